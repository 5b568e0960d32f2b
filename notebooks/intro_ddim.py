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
# # DDIM and the probability flow
#
# This notebook shows you how to sample in few steps. A chain of a thousand steps needs a thousand network calls per
# sample. Song et al. (2021) noticed that the network does not depend on how the steps are taken: it was trained on
# single noise levels, and many processes share these.
#
# One of these processes adds no noise at all. Its path from noise to data is the solution of an ordinary differential
# equation, so ODE solvers apply. The denoiser in this notebook is exact, so every error you see comes from the solver.

# %%
import math
import os

import matplotlib.pyplot as plt
import torch

from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import VPCosine
from ptdiff.solvers import SOLVERS, solve, trajectory
from ptdiff.solvers.inversion import invert

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
COUNT = 300 if SMALL else 2000

angle = torch.arange(8) * math.pi / 4
data = Mixture(
    means=torch.stack([angle.cos(), angle.sin()], dim=1) * 1.4,
    stds=torch.full((8,), 0.1),
    weights=torch.full((8,), 1 / 8),
)
ids = torch.arange(COUNT)
start = normal(0, Stream.START, ids, 0, (2,)).double()

# %% [markdown]
# ## One denoiser, a family of samplers
#
# DDIM moves the state to the next level with its estimates of data and noise, $\hat x_0 = D(x)$ and
# $\hat\epsilon = (x - \alpha \hat x_0)/\sigma$. It may replace a share $\eta$ of the noise by fresh noise:
#
# $$x_t = \alpha_t\,\hat x_0 + \sqrt{\sigma_t^2 - \eta^2\tilde\beta}\;\hat\epsilon + \eta\sqrt{\tilde\beta}\;z .$$
#
# $\eta = 1$ is DDPM's ancestral sampling, $\eta = 0$ is deterministic. With small steps, both have the same
# distribution at every level. With large steps, both blur the space between the clusters, and the stochastic one also
# makes the clusters too narrow: their standard deviation should be 0.1.


# %%
def drawn(name, steps, **options):
    """Samples of a solver after a number of steps, and the number of denoiser calls."""
    table = SOLVERS[name](**options).table(grid(VPCosine(), steps))
    noise = lambda k: normal(0, Stream.SOLVER, ids, k, (2,)).double()
    return solve(data, start, table, noise=noise if table.stochastic else None), table.calls


figure, axes = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
for row, eta in zip(axes, (1.0, 0.0), strict=True):
    for axis, steps in zip(row, (5, 10, 20, 100), strict=True):
        axis.scatter(*drawn("ddim", steps, eta=eta)[0].T, s=2)
        axis.set(
            xlim=(-2.2, 2.2),
            ylim=(-2.2, 2.2),
            xticks=[],
            yticks=[],
            aspect="equal",
            title=f"η = {eta:g}, {steps} steps",
        )

# %%
widths = {}
for eta in (1.0, 0.0):
    for steps in (20, 100):
        x = drawn("ddim", steps, eta=eta)[0]
        gap, nearest = torch.cdist(x, data.means.double()).min(dim=1)
        widths[eta, steps] = float((gap[gap < 0.4].square().mean() / 2).sqrt())
        print(f"η = {eta:g}, {steps:3d} steps: width {widths[eta, steps]:.3f}")
assert widths[1.0, 20] < widths[0.0, 20]

# %% [markdown]
# ## Almost straight paths
#
# Without noise, every start leads to one end: the sample is a function of the initial noise. The paths are smooth, so
# large steps are enough.

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axis, eta in zip(axes, (1.0, 0.0), strict=True):
    table = SOLVERS["ddim"](eta=eta).table(grid(VPCosine(), 200))
    noise = lambda k: normal(0, Stream.SOLVER, ids[:12], k, (2,)).double()
    path = torch.stack([s.x for s in trajectory(data, start[:12], table, noise=noise if eta else None)])
    axis.plot(path[..., 0], path[..., 1], linewidth=0.9)
    axis.scatter(*path[-1].T, c="k", s=12, zorder=3)
    axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", title=f"paths, η = {eta:g}")

# %% [markdown]
# ## DDIM is Euler's method, and there are better ones
#
# DDIM is the first-order solver of the probability flow: its error halves when the number of steps doubles. The error
# of a second-order solver falls to a quarter, and ptdiff has many such solvers: `ptdiff list solver`. For Gaussian
# data the exact end of the path is known,
#
# $$x_0 = \mu + s\,\frac{x_T - \alpha_T\,\mu}{\sqrt{\alpha_T^2 s^2 + \sigma_T^2}} ,$$
#
# so the error can be measured to the last digit.

# %%
line = Gaussian(mean=torch.tensor([0.3]).double(), std=torch.tensor([0.4]).double())
z = torch.linspace(-2, 2, 9).double()[:, None]
truth = line.mean + line.std * z
errors = {}
for name in ("ddim", "dpm++2m", "heun", "dpm++3m"):
    errors[name] = []
    for steps in (8, 16, 32, 64, 128):
        table = SOLVERS[name]().table(grid(VPCosine(), steps))
        errors[name].append((table.calls, float((solve(line, z, table) - truth).abs().max())))
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, found in errors.items():
    axis.loglog(*zip(*found, strict=True), "o-", markersize=3, label=name)
axis.set(xlabel="denoiser calls", ylabel="largest error")
axis.legend()
ratio = {name: found[-2][1] / found[-1][1] for name, found in errors.items()}
print("error of 64 steps over that of 128:", {name: round(value, 1) for name, value in ratio.items()})
assert 1.7 < ratio["ddim"] < 2.5
assert ratio["heun"] > 3.5

# %% [markdown]
# ## From data to noise and back
#
# A deterministic path can be followed in the other direction: every data point has its own noise. Interpolating in the
# noise interpolates in the data. `ptdiff interpolate` does this with images and clouds.

# %%
levels = grid(VPCosine(), 100)
x0 = data.sample(3, torch.arange(6)).double()
latent = invert(data, x0, SOLVERS["heun"](), levels)
again = solve(data, latent, SOLVERS["heun"]().table(levels))
print("largest difference after a round trip to noise and back:", float((again - x0).abs().max()))
assert float((again - x0).abs().max()) < 0.05

figure, axis = plt.subplots(figsize=(4, 4), layout="constrained")
axis.scatter(*data.sample(0, ids).T, s=2, c="#cccccc")
share = torch.linspace(0, 1, 40).double()[:, None] * math.pi / 2
between = share.cos() * latent[:1] + share.sin() * latent[1:2]
axis.plot(*solve(data, between, SOLVERS["heun"]().table(levels)).T, ".-", linewidth=0.6)
axis.set(xticks=[], yticks=[], aspect="equal", title="from one sample to another")

# %% [markdown]
# ## On the command line
#
# ```
# ptdiff sample RUN --solver ddim --steps 10
# ptdiff sample RUN --solver dpm++2m --steps 10
# ptdiff sample RUN --solver ddpm --steps 200
# ```
#
# `docs/solvers.md` says which solver to use, based on measured certificates.
