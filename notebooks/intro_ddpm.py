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
# # Denoising diffusion from scratch
#
# This notebook shows you how a diffusion model works. A diffusion model makes new samples of some data by removing
# noise. On points in the plane, where everything can be plotted and checked, you will see
#
# - how data turns into noise, and how fast (the schedule);
# - what a network has to learn, and why this is a variational autoencoder;
# - how samples are generated, and how they are restricted to one class.
#
# No network is trained here. If the data is a mixture of Gaussians, the best possible denoiser is a formula
# (`ptdiff.denoiser.oracle.Mixture`), so you see what a perfectly trained network would do.

# %%
import math
import os

import matplotlib.pyplot as plt
import torch
from PIL.Image import fromarray

from ptdiff.denoiser.oracle import Mixture
from ptdiff.gallery.schedules import schedules
from ptdiff.grid import grid
from ptdiff.likelihood.chain import variational_bound
from ptdiff.noise import Stream, normal
from ptdiff.process import Chain, Level, VPCosine
from ptdiff.solvers import SOLVERS, trajectory

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
COUNT = 400 if SMALL else 2000

angle = torch.arange(6) * math.pi / 3
data = Mixture(
    means=torch.stack([angle.cos(), angle.sin()], dim=1) * math.sqrt(2) * 0.98,
    stds=torch.full((6,), 0.14),
    weights=torch.full((6,), 1 / 6),
    labels=torch.arange(6) % 2,
)
ids = torch.arange(COUNT)
x0 = data.sample(0, ids)
print("mean", x0.mean(0).numpy().round(2), " variance", x0.var().numpy().round(2), ": data of about unit variance")

# %% [markdown]
# ## Forward process: data turns into noise
#
# DDPM adds a little Gaussian noise a thousand times and rescales so that the variance stays one:
#
# $$x_i = \sqrt{1 - \beta_i}\; x_{i-1} + \sqrt{\beta_i}\; \epsilon_i .$$
#
# A sum of Gaussians is a Gaussian, so the steps need not be taken one by one. With
# $\bar\alpha_i = \prod_{j \le i} (1 - \beta_j)$,
#
# $$x_i = \alpha_i\, x_0 + \sigma_i\, \epsilon, \qquad \alpha_i = \sqrt{\bar\alpha_i}, \quad \sigma_i = \sqrt{1 - \bar\alpha_i} .$$
#
# This pair of numbers, the **noise level**, is all that ptdiff knows of a process.

# %%
chain = Chain(steps=1000, schedule="linear")
levels = chain.level(torch.linspace(0, 1, 1000).double())
abar = levels.alpha.square()
beta = 1 - abar / torch.cat([torch.ones(1).double(), abar[:-1]])

x, generator = x0.double().clone(), torch.Generator().manual_seed(0)
for b in beta[:300]:
    x = (1 - b).sqrt() * x + b.sqrt() * torch.randn(x.shape, generator=generator, dtype=torch.float64)
at_once = levels.alpha[299] * x0 + levels.sigma[299] * torch.randn(x0.shape, generator=generator)
print("variance after 300 steps, one by one:", float(x.var()), " at once:", float(at_once.var()))
assert abs(float(x.var() - at_once.var())) < 0.2

# %%
eps = normal(0, Stream.TRAIN_NOISE, ids, 0, (2,))
figure, axes = plt.subplots(1, 6, figsize=(13, 2.3), layout="constrained")
for axis, i in zip(axes, [0, 50, 150, 300, 600, 999], strict=True):
    noisy = levels.alpha[i] * x0 + levels.sigma[i] * eps
    axis.scatter(*noisy.T, s=1.5, c=data.labels[torch.cdist(x0, data.means).argmin(1)], cmap="coolwarm")
    axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", title=f"step {i + 1}")

# %% [markdown]
# ## Noise schedules
#
# The linear schedule of Ho et al. (2020) destroys the data early; the cosine schedule of Nichol and Dhariwal (2021)
# spreads its steps more evenly. What matters is the **signal-to-noise ratio** $\alpha^2/\sigma^2$, plotted at the
# lower left as its logarithm.
#
# At the last step it should be zero. For the usual schedules it is not quite, so the model starts from pure noise
# although training never saw pure noise.

# %%
fromarray(schedules())

# %%
for name in ("linear", "scaled-linear", "cosine", "sigmoid-abar"):
    process = Chain(steps=1000, schedule=name)
    print(f"{name:14s} terminal signal-to-noise ratio {process.terminal_snr:.1e}")
fixed = Chain(steps=1000, schedule="linear", zero_terminal_snr=True)
print(f"{'repaired':14s} terminal signal-to-noise ratio {fixed.terminal_snr:.1e}")
assert fixed.terminal_snr == 0 < Chain(steps=1000, schedule="linear").terminal_snr

# %% [markdown]
# ## What the network has to learn
#
# To remove noise, you need the best guess of the clean data at every noise level: the posterior mean
# $D(x) = E[x_0 \mid x]$. It minimizes a plain regression loss, $E\,|D(x) - x_0|^2$, and this is all there is to
# training a diffusion model.
#
# Predicting the noise instead, $\hat\epsilon = (x - \alpha D(x)) / \sigma$, is the same with another weight: the
# squared error of $\hat\epsilon$ is $\alpha^2/\sigma^2$ times that of $D$.
#
# At low noise the guess is the nearest cluster, at high noise it is the mean of everything.

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
lattice = torch.cartesian_prod(torch.linspace(-2.2, 2.2, 15), torch.linspace(-2.2, 2.2, 15))
for axis, i in zip(axes, [60, 250, 450, 800], strict=True):
    level = Level(levels.alpha[i].float(), levels.sigma[i].float())
    guess = data(lattice, level, {})
    axis.scatter(*(level.alpha * x0 + level.sigma * eps).T, s=1, c="#cccccc")
    axis.quiver(
        *lattice.T, *(guess - lattice).T, angles="xy", scale_units="xy", scale=2.5, width=0.004, color="#2a6fb0"
    )
    axis.set(
        xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xticks=[], yticks=[], aspect="equal", title=f"D(x) − x at step {i + 1}"
    )

# %%
level = Level(levels.alpha[299].float(), levels.sigma[299].float())
noisy = level.alpha * x0 + level.sigma * eps
guess = data(noisy, level, {})
error_of_data = (guess - x0).square().mean()
error_of_noise = ((noisy - level.alpha * guess) / level.sigma - eps).square().mean()
snr = (level.alpha / level.sigma).square()
print(f"error of the noise / error of the data: {float(error_of_noise / error_of_data):.4f}, SNR: {float(snr):.4f}")
assert torch.isclose(error_of_noise / error_of_data, snr, rtol=1e-3)

# %% [markdown]
# ## A diffusion model is a variational autoencoder
#
# A VAE has an encoder that turns data into codes and a decoder that turns codes into data, and is trained to maximize
# the evidence lower bound. A diffusion model is a VAE with a thousand layers of codes, the noisy states. Its encoder
# is fixed: it adds noise. The negative bound is a sum of one term per step (Ho et al. 2020, eq. 5),
#
# $$-\log p(x_0) \;\le\; L_T + \sum_{t>1} L_{t-1} + L_0 ,$$
#
# and each of them is a weighted squared error of the denoiser. With the exact denoiser, the only gap to the truth is
# what a chain of finitely many Gaussian steps cannot express. It closes as the steps get smaller.

# %%
few = x0[: 200 if SMALL else 1000]
truth = float(-data.log_prob(few).mean())
bounds = {}
for steps in (4, 8, 16, 32, 64, 128):
    bound = variational_bound(data, few, grid(VPCosine(), steps), variance="upper", draws=8)
    bounds[steps] = float(bound.nats.mean())
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.semilogx(list(bounds), list(bounds.values()), "o-", label="variational bound")
axis.axhline(truth, color="k", linestyle=":", label="−log p(x₀), exact")
axis.set(xlabel="steps of the chain", ylabel="nats")
axis.legend()
assert bounds[4] > bounds[16] > bounds[64] > truth - 0.05

# %% [markdown]
# ## Reverse process: noise turns into data
#
# Start from noise. In each step, ask the denoiser for $x_0$, and sample the previous state from the Gaussian
# $q(x_{i-1} \mid x_i, x_0)$, whose mean lies between $x_i$ and $x_0$. In ptdiff a solver on given levels is a
# **table**, and `trajectory` steps through it.

# %%
solver, levels_50 = SOLVERS["ddpm"](variance="upper"), grid(VPCosine(), 50)
table = solver.table(levels_50)
start = normal(1, Stream.START, ids, 0, (2,))
draws = lambda k: normal(1, Stream.SOLVER, ids, k, (2,))
states = list(trajectory(data, start, table, noise=draws))
figure, axes = plt.subplots(1, 6, figsize=(13, 2.3), layout="constrained")
for axis, i in zip(axes, [0, 15, 25, 35, 42, 50], strict=True):
    axis.scatter(*states[i].x.T, s=1.5, c="#2a6fb0")
    axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", title=f"{50 - i} steps to go")
near = torch.cdist(states[-1].x, data.means).amin(1)
print(
    f"{float((near < 0.6).float().mean()):.1%} of the samples lie in a cluster; {table.calls} denoiser calls per sample"
)
assert float((near < 0.6).float().mean()) > 0.95

# %% [markdown]
# ## Samples of one class
#
# A denoiser that is conditioned on the class estimates $E[x_0 \mid x, \text{class}]$. Nothing else changes. Networks
# learn to work both with and without the class because the label is dropped from time to time
# (`training.condition_dropout`).

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.7), layout="constrained")
for axis, (title, label) in zip(axes, {"class 0": 0, "class 1": 1, "no class": -1}.items(), strict=True):
    cond = {"label": torch.full((COUNT,), label)}
    end = list(trajectory(data, start, table, cond, draws))[-1].x
    axis.scatter(*end.T, s=1.5, c="#c8452f" if label == 1 else "#2a6fb0")
    axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xticks=[], yticks=[], aspect="equal", title=title)
    if label >= 0:
        assert bool((data.labels[torch.cdist(end, data.means).argmin(1)] == label).float().mean() > 0.98)

# %% [markdown]
# ## Next steps
#
# The same with a network is one command, `ptdiff train -c swissroll-ddpm`: see the notebook `swissroll`. A thousand
# steps are many: `intro_ddim` needs only ten.
