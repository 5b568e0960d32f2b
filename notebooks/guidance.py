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
# # Guidance
#
# This notebook shows you what guidance does to the samples of a conditional model. A conditional diffusion model can
# generate a digit 3. Guidance makes it generate a digit that is *more clearly* a 3. It works at sampling time, on any
# trained model, by changing the denoiser.
#
# On points in the plane, with an exact denoiser, you can see what guidance really does. It is not quite what its
# derivation says, for better and for worse.

# %%
import math
import os

import matplotlib.pyplot as plt
import torch

from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.guidance import CFG, ClassifierGuided
from ptdiff.noise import Stream, normal
from ptdiff.process import Flow, Level
from ptdiff.solvers import SOLVERS, solve

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
COUNT = 400 if SMALL else 2000

# two classes: each is half a ring of Gaussians, and they overlap at both ends
angle = torch.arange(10) * 2 * math.pi / 10
data = Mixture(
    means=torch.stack([angle.cos(), angle.sin()], dim=1).double() * 1.35,
    stds=torch.full((10,), 0.22).double(),
    weights=torch.full((10,), 0.1).double(),
    labels=(torch.arange(10) >= 5).long(),
)
ids = torch.arange(COUNT)
start = normal(0, Stream.START, ids, 0, (2,)).double()
table = SOLVERS["heun"]().table(grid(Flow(), 40))
ones = {"label": torch.ones(COUNT, dtype=torch.long)}


def show(axis, x, title):
    axis.scatter(*data.means.T, s=500, c=data.labels, cmap="coolwarm", alpha=0.18, linewidths=0)
    axis.scatter(*x.T, s=2, c="k")
    axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", title=title)


# %% [markdown]
# ## Classifier guidance
#
# By Bayes' rule, the score of the conditional density is that of the unconditional one plus the gradient of a
# classifier, $\nabla\log p(x \mid c) = \nabla\log p(x) + \nabla\log p(c \mid x)$ (Dhariwal and Nichol 2021). With the
# exact classifier and scale 1, this is the conditional denoiser to the last digit.

# %%
level = Level(torch.tensor(0.6).double(), torch.tensor(0.4).double())
x = 0.6 * data.sample(0, ids) + 0.4 * start


def classifier(x, level, cond):
    return data.log_label(x, level, cond["label"])


def unconditional(x, level, cond):
    return data(x, level, {})


guided = ClassifierGuided(unconditional, classifier, 1.0)
difference = float((guided(x, level, ones) - data(x, level, ones)).abs().max())
print("largest difference from the conditional denoiser:", difference)
assert difference < 1e-9

# %% [markdown]
# ## Classifier-free guidance
#
# No classifier is needed if one network works both with and without the class (Ho and Salimans 2022):
#
# $$D_w = D_u + w\,(D_c - D_u) .$$
#
# $w = 1$ is the conditional model, $w = 0$ the unconditional one, and $w > 1$ extrapolates in the same direction.

# %%
figure, axes = plt.subplots(1, 5, figsize=(14, 3), layout="constrained")
found = {}
for axis, scale in zip(axes, (0.0, 1.0, 2.0, 4.0, 8.0), strict=True):
    found[scale] = solve(CFG(scale=scale).guide(data), start, table, ones)
    show(axis, found[scale], f"w = {scale:g}")

# %% [markdown]
# ## Benefits and costs
#
# The samples move away from the other class, as they should. But they also leave the parts of their own class that are
# near it, and at large $w$ they leave the data altogether. The guided density is *not* $p(x)\,p(c \mid x)^w$. It has
# this form at each noise level, but these densities are not noisy versions of each other. In numbers:

# %%
scales = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]
sure, spread, likely = [], [], []
for scale in scales:
    end = found.get(scale) if scale in found else solve(CFG(scale=scale).guide(data), start, table, ones)
    clean = Level(torch.ones(()).double(), torch.zeros(()).double())
    sure.append(float(data.log_label(end, clean, ones["label"]).exp().mean()))
    spread.append(float(end.var(dim=0).sum()))
    likely.append(float(data.log_prob(end, cond=ones).mean()))
figure, axes = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
for axis, values, title in zip(
    axes, (sure, spread, likely), ("probability of the class", "variance", "log-likelihood"), strict=True
):
    axis.plot(scales, values, "o-", markersize=3)
    axis.set(xlabel="w", title=title)
assert sure[2] > sure[0]
assert spread[-1] < spread[0]

# %% [markdown]
# ## Guidance in an interval
#
# Most of the harm is done at both ends. Guidance in an **interval** of noise levels (Kynkäänniemi et al. 2024) is off
# at the start, where it would decide too early, and at the end, where it is not needed. There it also saves the second
# call.
#
# Other rules (`apg`, `cfg-zero`, `tcfg`, …) treat parts of the difference differently. They were made for images; in
# two dimensions there is little to take apart.

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.2), layout="constrained")
rules = {"w = 1": CFG(), "w = 4": CFG(scale=4), "w = 4 in [0.3, 3]": CFG(scale=4, low=0.3, high=3.0)}
for axis, (title, rule) in zip(axes, rules.items(), strict=True):
    end = solve(rule.guide(data), start, table, ones)
    show(axis, end, f"{title}: variance {float(end.var(dim=0).sum()):.2f}")

# %% [markdown]
# ## On the command line
#
# ```
# ptdiff sample RUN --label 3 --guidance 2
# ptdiff sample RUN --label 3 --set "guidance={name: cfg, scale: 3, low: 0.3, high: 3}"
# ptdiff sample RUN --label 3 --set "guidance={name: apg, scale: 3}"
# ptdiff sample RUN --weak OTHER_RUN --guidance 2
# ```
#
# `ptdiff list guidance` lists all rules. Inpainting, super-resolution and other inverse problems are the same idea
# with another condition: `docs/guidance.md`.
