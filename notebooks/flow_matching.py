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
# This notebook shows you how flow matching relates to diffusion. Flow matching (Lipman et al. 2023; Liu et al. 2023)
# has no noise schedule and no variational bound, only a straight line from noise to data and a network that learns the
# velocity along it. You will see that it is diffusion under another process, in what sense its paths are straight, and
# what changes if noise is paired with data.

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
# Connect a sample $x_0$ and noise $\epsilon$ by a line, $x_t = (1 - t)\,x_0 + t\,\epsilon$. The velocity along it is
# $\epsilon - x_0$. A network that only sees $x_t$ and $t$ cannot know which pair the line belongs to. It learns the
# mean velocity of all lines through that point: $u(x, t) = E[\epsilon - x_0 \mid x_t = x]$. Following $u$ from noise
# leads to the data.
#
# In ptdiff this is the process `flow`, $\alpha = 1 - t$ and $\sigma = t$, with the prediction `flow`. Since
# $E[\epsilon \mid x]$ follows from $E[x_0 \mid x]$, the velocity is the denoiser in other units:
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
# On the left are the lines that training sees, on the right the paths that the learned velocity follows. Two paths
# never cross: where lines cross, the mean velocity bends.

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
# ## Flow matching is diffusion
#
# The same denoiser under the variance-exploding levels of EDM follows the same flow in other coordinates: $x/\alpha$
# against $\sigma/\alpha$ is the same curve. So a model trained by flow matching samples under `edm` and vice versa,
# from the same noise to the same sample.

# %%
fine = 200 if SMALL else 500
one = solve(data, noise, SOLVERS["heun"]().table(grid(Flow(), fine)))
ve = grid(EDM(), fine)
two = solve(data, 160 * noise, SOLVERS["heun"]().table(ve))
same = float(((one - two).norm(dim=1) < 0.05).double().mean())
print(f"{same:.1%} of the samples are the same under flow and under edm")
assert same > 0.97

# %% [markdown]
# ## Sampling in few steps
#
# Straight paths would need only one step. These paths are not straight, but straighter than others, and Euler's method
# works well on them.

# %%
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for axis, steps in zip(axes, (1, 2, 5, 20), strict=True):
    end = solve(data, noise, SOLVERS["euler"](chart="flow").table(grid(process, steps)))
    axis.scatter(*end.T, s=2, c="#2a6fb0")
    axis.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), xticks=[], yticks=[], aspect="equal", title=f"{steps} Euler steps")

# %% [markdown]
# One step gives the mean of all data, since nothing else is known at pure noise.

# %%
end = solve(data, noise, SOLVERS["euler"](chart="flow").table(grid(process, 1)))
assert torch.allclose(end, (data.weights[:, None] * data.means).sum(0).expand_as(end), atol=1e-6)

# %% [markdown]
# ## Couplings that cross less
#
# What if the lines were chosen not to cross? `coupling: ot` pairs noise and data within a batch at the smallest total
# squared distance (Pooladian et al. 2023; Tong et al. 2024). The lines become shorter and cross less, so the network
# has less to average over. The price is that the noise now contains some information about the data, which depends on
# the batch.

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
# Flow matching is the default in ptdiff:
#
# ```
# ptdiff train -m points2d --data swissroll
# ptdiff train -m points2d --data swissroll --set coupling=ot
# ptdiff sample RUN --solver euler --steps 4
# ```
