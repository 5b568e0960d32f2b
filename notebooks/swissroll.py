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
# # A swiss roll in a quarter of a minute
#
# This notebook shows you how to train your first model, on points on a spiral in the plane. It has everything that a
# larger one has: data, a network, training, samples, a score of their quality, and the likelihood of single points.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import torch
from PIL.Image import fromarray

from ptdiff.experiments.compare_runs import history
from ptdiff.experiments.loss_curves import curves
from ptdiff.gallery import OF_RUN
from ptdiff.gallery.scene import Scene
from ptdiff.likelihood.flow import FlowPath, log_likelihood
from ptdiff.modality import Comparison, registry
from ptdiff.model import Model
from ptdiff.process import VE
from ptdiff.sampling.sampler import Plan
from ptdiff.solvers import SOLVERS
from ptdiff.training.train import train_run

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
STEPS = 700 if SMALL else 3000

# %% [markdown]
# ## Data
#
# A **modality** is one kind of data with a network for it. Its options are those that `-o` sets on the command line.

# %%
kind = registry.load("points2d", {"data": "swissroll"})
data = kind.dataset()
print(data.summary["text"])
x, _ = data.train.batch(torch.arange(4000), 0)
fromarray(kind.visualizer().sheet(x.numpy(), []))

# %% [markdown]
# ## Training
#
# One call does the same as `ptdiff train -m points2d --data swissroll`. It combines the defaults, the modality's
# recipe, and the settings given here, which override both. The result is a **run**, a folder with the configuration,
# the losses and the checkpoints.

# %%
place = Path(mkdtemp()) / "swissroll"
options = {"data": "swissroll", "count": 4000, "width": 64} if SMALL else {"data": "swissroll"}
run = train_run(place, {"modality": "points2d", "options": options, "training": {"steps": STEPS}})
print(sorted(path.name for path in place.iterdir()))
print({key: value for key, value in history(place)[-1].items() if not isinstance(value, list)})

# %%
fromarray(curves([place]))

# %% [markdown]
# ## Samples
#
# The plots of a run are functions of it, the same that `ptdiff gallery NAME RUN` uses.

# %%
scene = Scene(Model.of(run, data=data))
fromarray(OF_RUN["samples"](scene))

# %%
fromarray(OF_RUN["reverse"](scene))

# %% [markdown]
# ## Measuring quality
#
# The score is the sliced Wasserstein distance between samples and held-out points. Compare it with the **floor**: the
# same distance between two sets of real points.

# %%
count = 400
ids = torch.arange(count)
samples = scene.samples(ids, {})
reference, _ = data.val.batch(torch.arange(count), 0)
training, _ = data.train.batch(torch.arange(count), 0)
scores = kind.compare(Comparison(samples, reference, training)).scores
for name, score in scores.items():
    print(f"{name:22s} {score.value:8.4f}   95 % {score.low:.4f} to {score.high:.4f}   floor {score.floor:.4f}")
noise = Comparison(torch.randn_like(samples) * float(x.std()), reference, training)
noise_score = kind.compare(noise).scores["sliced_wasserstein"]
assert scores["sliced_wasserstein"].value < 0.7 * noise_score.value

# %% [markdown]
# ## One model, every process
#
# The model was trained under `flow`. It is conditioned on nothing but the noise level, so it samples under any process
# with any solver.

# %%
plans = {
    "flow, Heun, 40 steps": None,
    "ve, Heun, 40 steps": Plan(VE(), SOLVERS["heun"](), 40),
    "flow, DPM-Solver++ 2M, 8 steps": Plan(scene.plan.process, SOLVERS["dpm++2m"](), 8),
    "flow, Euler-Maruyama, 200 steps": Plan(scene.plan.process, SOLVERS["euler-maruyama"](), 200),
}
figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
for axis, (title, plan) in zip(axes, plans.items(), strict=True):
    axis.scatter(*Scene(Model.of(run, plan)).samples(ids, {}).T, s=2)
    axis.set(xticks=[], yticks=[], aspect="equal", title=title)
    axis.title.set_fontsize(9)

# %% [markdown]
# ## Likelihood
#
# The probability flow transports density, so a diffusion model can also compute the likelihood of any point.

# %%
side = 16 if SMALL else 60
reach = 1.9 * float(data.scale)
lattice = torch.cartesian_prod(*[torch.linspace(-reach, reach, side)] * 2) + torch.as_tensor(data.mean)
nats = log_likelihood(scene.denoiser, data.normalize(lattice), path=FlowPath(steps=8 if SMALL else 40)).nats
figure, axis = plt.subplots(figsize=(4.4, 4), layout="constrained")
shown = axis.imshow(nats.reshape(side, side).T.clamp(min=-8), origin="lower", cmap="viridis")
axis.set(xticks=[], yticks=[], title="log-likelihood, nats")
figure.colorbar(shown)

# %% [markdown]
# ## Next steps
#
# ```
# ptdiff train -m points2d --data swissroll --out runs/swissroll
# ptdiff eval runs/swissroll --report report.html
# ptdiff gallery film runs/swissroll --out roll.gif
# ptdiff train -c swissroll-ddpm
# ```
