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
# The same steps on images.  With a folder of MNIST's files in the environment variable `PTDIFF_MNIST` the notebook uses those; without, it takes
# the 1,797 digits of 8 × 8 pixels that come with scikit-learn.  At small size the training is a matter of seconds and the digits are rough: what they
# become with the time of the recipes is in `docs/gallery.md`.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import torch
from PIL.Image import fromarray

from ptdiff.experiments.side_by_side import curves
from ptdiff.gallery import OF_RUN
from ptdiff.gallery.subject import Subject
from ptdiff.modality import registry
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
# Without labels (`-o labels=false`) the network learns all digits as one distribution.

# %%
folder = Path(mkdtemp())
plain = train_run(
    folder / "plain",
    {"modality": "images", "options": options | {"labels": False}, "training": budget, "sampling": {"steps": 12}},
)
subject = Subject.of(plain, data=data)
fromarray(OF_RUN["samples"](subject))

# %% [markdown]
# What the network sees and what it makes of it in one call, by noise level: at much noise it answers with the mean of everything, at
# little noise with the digit.

# %%
fromarray(OF_RUN["denoiser"](subject))

# %% [markdown]
# ## Conditional
#
# With labels the network is told the class, and in a tenth of the cases it is not, so that one network knows both.

# %%
told = train_run(
    folder / "told",
    {
        "modality": "images",
        "options": options,
        "training": budget | {"condition_dropout": 0.1},
        "sampling": {"steps": 12, "guidance": 2.0},
    },
)
subject = Subject.of(told, data=data)
fromarray(OF_RUN["classes"](subject))

# %% [markdown]
# Guidance makes the classes clearer and the digits more alike: from left to right without a class, without guidance, and stronger and stronger.

# %%
fromarray(OF_RUN["guidance"](subject))

# %% [markdown]
# ## Side by side
#
# `ptdiff runs compare plain told --plot curves.png` draws the losses of several runs.

# %%
fromarray(curves([folder / "plain", folder / "told"]))

# %% [markdown]
# ## Does it draw what it is asked for?
#
# A classifier that never saw the model can tell: here the nearest training digit.  At small size a share far above one in ten is all
# that can be asked.

# %%
count = 40 if SMALL else 200
labels = torch.arange(count) % 10
samples = subject.samples(torch.arange(count), {"label": labels})
real, real_cond = data.train.batch(torch.arange(min(len(data.train), 5000)), 0)
_, twin = kind.nearest(samples, real)
read = real_cond["label"][twin]
share = float((read == labels).float().mean())
print(f"{share:.0%} of the digits are read as what was asked for")
figure, axis = plt.subplots(figsize=(3.6, 3.3), layout="constrained")
table = torch.zeros(10, 10)
table.index_put_((labels, read), torch.ones(count), accumulate=True)
axis.imshow(table, cmap="Blues")
axis.set(xlabel="read as", ylabel="asked for", xticks=range(10), yticks=range(10))
assert share > 0.25

# %% [markdown]
# ## From here
#
# ```
# ptdiff train -c mnist-cond --data path/to/mnist      # 15 minutes on two cores
# ptdiff sample RUN --label 7 --guidance 2 -n 16
# ptdiff eval RUN --protocol fid-lenet
# ```
