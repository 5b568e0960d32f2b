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
# # Flow matching
#
# Flow matching (Lipman et al. 2023; Liu et al. 2023) starts elsewhere: no noise schedule, no variational bound, but a straight line from
# noise to data and a network that learns the velocity along it.  This notebook shows that it is diffusion under another process, what its
# straight lines are and are not, and what pairing noise with data changes.

# %%
import os

import matplotlib.pyplot as plt
import torch

from ptdiff.denoiser.network import PREDICTIONS
from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.objective.coupling import COUPLINGS
from ptdiff.process import EDM, Flow
from ptdiff.solvers import SOLVERS, solve, trajectory

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
COUNT = 256 if SMALL else 1500

data = Mixture(
    means=torch.tensor([[-1.3, 0.0], [1.3, 0.0], [0.0, 0.9]]).double(),
    stds=torch.full((3,), 0.12).double(),
    weights=torch.tensor([0.375, 0.375, 0.25]).double(),
)
ids = torch.arange(COUNT)
x0, noise = data.sample(0, ids), normal(0, Stream.START, ids, 0, (2,)).double()

# %% [markdown]
# ## A line from noise to data
#
# Join a sample $x_0$ and a noise $\epsilon$ by a line, $x_t = (1 - t)\,x_0 + t\,\epsilon$.  The velocity along it is $\epsilon - x_0$.  A network
# that is shown $x_t$ and $t$ alone cannot know which pair it lies between, and learns the mean velocity of all lines through
# that place: $u(x, t) = E[\epsilon - x_0 \mid x_t = x]$.  Following $u$ from noise leads to the data.
#
# In ptdiff's words that is the process `flow`, $\alpha = 1 - t$ and $\sigma = t$, and the prediction `flow`.  As $E[\epsilon \mid x]$ follows from
# $E[x_0 \mid x]$, the velocity is the denoiser in other units:
#
# $$u(x, t) = \frac{x - D(x)}{t} .$$

# %%
process = Flow()
level = process.level(torch.full((COUNT,), 0.6).double())
x = 0.4 * x0 + 0.6 * noise
target = PREDICTIONS["flow"](level)
network = (data(x, level, {}) - target.skip[:, None] * x) / target.out[:, None]
print("largest difference:", float((network - (x - data(x, level, {})) / 0.6).abs().max()))
assert torch.allclose(network, (x - data(x, level, {})) / 0.6)

# %% [markdown]
# ## The lines cross, the flow does not
#
# On the left the lines that the training sees, on the right the paths that the learned velocity follows.  Two paths never cross: where
# lines do, the mean velocity bends.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
few = slice(0, 60)
for axis in axes:
    axis.scatter(*x0.T, s=2, c="#bbbbbb")
    axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), xticks=[], yticks=[], aspect="equal")
axes[0].plot(*torch.stack([x0[few], noise[few]]).unbind(-1), linewidth=0.5, color="#2a6fb0")
axes[0].set_title("lines from noise to data")
levels = grid(process, 60)
path = torch.stack([s.x for s in trajectory(data, noise[few], SOLVERS["heun"]().table(levels))])
axes[1].plot(*path.unbind(-1), linewidth=0.6, color="#c8452f")
axes[1].set_title("paths of the flow")

# %% [markdown]
# ## It is diffusion
#
# The same denoiser under the variance-exploding levels of EDM follows the same flow in other coordinates: $x/\alpha$ against $\sigma/\alpha$ is the
# same curve.  So a model that was trained by flow matching samples under `edm`, and the other way round, from the same noise to the same
# sample.

# %%
fine = 200 if SMALL else 500
one = solve(data, noise, SOLVERS["heun"]().table(grid(Flow(), fine)))
ve = grid(EDM(), fine)
two = solve(data, 160 * noise, SOLVERS["heun"]().table(ve))
same = float(((one - two).norm(dim=1) < 0.05).double().mean())
print(f"{same:.1%} of the samples are the same under flow and under edm")
assert same > 0.97

# %% [markdown]
# ## Few steps
#
# Straight paths would need one step.  These are not straight, but straighter than others', and Euler's method fares well on them.

# %%
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for axis, steps in zip(axes, (1, 2, 5, 20), strict=True):
    end = solve(data, noise, SOLVERS["euler"](chart="flow").table(grid(process, steps)))
    axis.scatter(*end.T, s=2, c="#2a6fb0")
    axis.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), xticks=[], yticks=[], aspect="equal", title=f"{steps} Euler steps")

# %% [markdown]
# One step gives the mean of all data: at pure noise nothing else is known.

# %%
end = solve(data, noise, SOLVERS["euler"](chart="flow").table(grid(process, 1)))
assert torch.allclose(end, (data.weights[:, None] * data.means).sum(0).expand_as(end), atol=1e-6)

# %% [markdown]
# ## Pairs that cross less
#
# What if the lines were chosen not to cross?  Within a batch, `coupling: ot` pairs noise and data at the least total squared distance
# (Pooladian et al. 2023; Tong et al. 2024).  The lines are shorter, cross less, and the network has less to average over.  The price is that the
# noise now knows something of the data: the batch decides what.

# %%
batch = 64
pairing = COUPLINGS["ot"]()
print("couplings:", ", ".join(COUPLINGS))
cost = torch.cdist(x0[:batch], noise[:batch]).square()
from scipy.optimize import linear_sum_assignment

rows, columns = linear_sum_assignment(cost.numpy())
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for axis, partner, title in zip(
    axes, (range(batch), columns), ("as they come", "paired at the least cost"), strict=True
):
    ends = torch.stack([x0[:batch], noise[list(partner)]])
    axis.plot(*ends.unbind(-1), linewidth=0.6, color="#2a6fb0")
    length = float((ends[0] - ends[1]).norm(dim=1).mean())
    axis.set(
        xlim=(-2.8, 2.8),
        ylim=(-2.8, 2.8),
        xticks=[],
        yticks=[],
        aspect="equal",
        title=f"{title}: mean length {length:.2f}",
    )
assert cost[rows, columns].mean() < 0.8 * cost.diagonal().mean()

# %% [markdown]
# ## On the command line
#
# Flow matching is what ptdiff does when nothing else is said:
#
# ```
# ptdiff train -m points2d --data swissroll
# ptdiff train -m points2d --data swissroll --set coupling=ot
# ptdiff sample RUN --solver euler --steps 4
# ```
