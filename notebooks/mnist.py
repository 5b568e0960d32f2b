# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Digits, unconditional and conditional
#
# This notebook shows you how to train an unconditional and a class-conditional model of images. It uses the 1,797
# digits of 8 × 8 pixels that come with scikit-learn, or MNIST if the environment variable `PTDIFF_MNIST` names a
# folder with its files.
#
# At small size, training takes seconds and the digits are rough. `docs/gallery.md` shows what they look like after the
# time that the recipes take.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import torch
from PIL.Image import fromarray

from ptdiff.experiments.loss_curves import curves
from ptdiff.gallery import OF_RUN
from ptdiff.gallery.scene import Scene
from ptdiff.modality import registry
from ptdiff.model import Model
from ptdiff.training.train import train_run

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
source = os.environ.get("PTDIFF_MNIST", "digits")
options = {"data": source, **({"size": "tiny"} if SMALL else {})}
budget = (
    {"steps": 150, "batch": 64, "warmup": 20, "shards": 1} if SMALL else {"steps": None, "minutes": 3.0, "batch": 64}
)

kind = registry.load("images", options)
data = kind.dataset()
print(data.summary["text"])
x, cond = data.train.batch(torch.arange(40), 0)
fromarray(kind.visualizer().sheet(x.numpy(), []))

# %% [markdown]
# ## Unconditional
#
# Without labels (`-o labels=false`), the network learns all digits as one distribution.

# %%
folder = Path(mkdtemp())
plain = train_run(
    folder / "plain",
    {"modality": "images", "options": options | {"labels": False}, "training": budget, "sampling": {"steps": 12}},
)
scene = Scene(Model.of(plain, data=data))
fromarray(OF_RUN["samples"](scene))

# %% [markdown]
# The input of the network and its output after one call, by noise level. At high noise the output is the mean of
# everything, at low noise it is the digit.

# %%
fromarray(OF_RUN["denoiser"](scene))

# %% [markdown]
# ## Conditional
#
# With labels, the network is conditioned on the class. The label is dropped for a tenth of the samples, so one network
# works both with and without it.

# %%
conditional = train_run(
    folder / "conditional",
    {
        "modality": "images",
        "options": options,
        "training": budget | {"condition_dropout": 0.1},
        "sampling": {"steps": 12, "guidance": 2.0},
    },
)
scene = Scene(Model.of(conditional, data=data))
fromarray(OF_RUN["classes"](scene))

# %% [markdown]
# Guidance makes the classes clearer and the digits more alike. From left to right: without a class, without guidance,
# and with increasing guidance.

# %%
fromarray(OF_RUN["guidance"](scene))

# %% [markdown]
# ## Comparing the runs
#
# `ptdiff runs compare plain conditional --plot curves.png` plots the losses of several runs.

# %%
fromarray(curves([folder / "plain", folder / "conditional"]))

# %% [markdown]
# ## Do samples have the requested class?
#
# A classifier that is independent of the model can tell; here, it is the nearest training digit. At small size, expect
# no more than a share far above one in ten.

# %%
count = 40 if SMALL else 200
labels = torch.arange(count) % 10
samples = scene.samples(torch.arange(count), {"label": labels})
real, real_cond = data.train.batch(torch.arange(min(len(data.train), 5000)), 0)
_, twin = kind.nearest(samples, real)
read = real_cond["label"][twin]
share = float((read == labels).float().mean())
print(f"{share:.0%} of the digits are classified as requested")
figure, axis = plt.subplots(figsize=(3.6, 3.3), layout="constrained")
table = torch.zeros(10, 10)
table.index_put_((labels, read), torch.ones(count), accumulate=True)
axis.imshow(table, cmap="Blues")
axis.set(xlabel="classified as", ylabel="requested", xticks=range(10), yticks=range(10))
assert share > 0.25

# %% [markdown]
# ## Next steps
#
# ```
# ptdiff train -c mnist-cond --data path/to/mnist      # 15 minutes on two cores
# ptdiff sample RUN --label 7 --guidance 2 -n 16
# ptdiff eval RUN --protocol lenet
# ```
