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
# # EDM preconditioning
#
# This notebook shows you what a network should output so that it learns well at every noise level. It derives the four
# coefficients of Karras et al. (2022), *Elucidating the design space of diffusion models*, from the requirement that
# input and target have unit variance. It shows that v-prediction is the same thing, and what each choice does to the
# errors.

# %%
import os

import matplotlib.pyplot as plt
import torch
from PIL.Image import fromarray

from ptdiff.denoiser.network import PREDICTIONS
from ptdiff.denoiser.oracle import Mixture
from ptdiff.density import DENSITIES
from ptdiff.gallery.preconditioning import preconditioning
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import EDM, Level
from ptdiff.solvers import SOLVERS, solve

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
COUNT = 2000 if SMALL else 20000

data = Mixture(
    means=torch.tensor([[-1.2], [0.2], [1.3]]).double(),
    stds=torch.tensor([0.15, 0.3, 0.1]).double(),
    weights=torch.tensor([0.4, 0.3, 0.3]).double(),
)
ids = torch.arange(COUNT)
x0, eps = data.sample(0, ids), normal(0, Stream.TRAIN_NOISE, ids, 0, (1,)).double()
shift, scale = x0.mean(), x0.std()
data = Mixture((data.means - shift) / scale, data.stds / scale, data.weights)
x0 = (x0 - shift) / scale  # unit variance: the contract of ptdiff's core

# %% [markdown]
# ## The problem
#
# Take noisy data $x = x_0 + \sigma\epsilon$ with $\sigma$ from 0.01 to 100. Without scaling, the input of the network
# varies over four orders of magnitude. And what should the network output?
#
# - $x_0$ is easy at high noise, where it is the mean. At low noise the network must copy its input to many digits, and
#   a small relative error is large compared with $\sigma$.
# - $\epsilon$ is the other way round. At high noise, $x_0 = x - \sigma\hat\epsilon$ multiplies every error by
#   $\sigma$.
#
# If the network makes an error of 1 % of its output's scale, the error of $x_0$ is $|c_\text{out}|$ times that:

# %%
sigma = torch.logspace(-2, 2, 200).double()
level = Level(torch.ones_like(sigma), sigma)
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name in ("x0", "eps", "velocity"):
    axis.loglog(sigma, 0.01 * PREDICTIONS[name](level).out.abs(), label=name)
axis.set(xlabel="σ", ylabel="error of x₀ from 1 % at the output")
axis.legend()

# %% [markdown]
# ## The derivation
#
# Write $D(x) = c_\text{skip}\,x + c_\text{out}\,F(c_\text{in}\,x)$ and require three things, for data of variance 1:
#
# 1. The input has unit variance: $c_\text{in} = 1/\sqrt{1 + \sigma^2}$.
# 2. The target of $F$ has unit variance:
#    $c_\text{out}^2 = \operatorname{Var}[x_0 - c_\text{skip}\,x] = (1 - c_\text{skip})^2 + c_\text{skip}^2\sigma^2$.
# 3. $c_\text{out}$, which multiplies the errors of $F$, is as small as possible. Its derivative vanishes at
#    $c_\text{skip} = 1/(1 + \sigma^2)$, so $c_\text{out} = \sigma/\sqrt{1 + \sigma^2}$ (up to its sign).
#
# Measured on the data:

# %%
ours = PREDICTIONS["velocity"](level)
assert torch.allclose(ours.skip, 1 / (1 + sigma**2))
assert torch.allclose(ours.out.abs(), sigma / (1 + sigma**2).sqrt())

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
chosen = sigma[::8]
for name in ("x0", "eps", "velocity", "flow"):
    spread = []
    for s in chosen:
        at = PREDICTIONS[name](Level(torch.ones(()).double(), s))
        spread.append(float((at.data * x0 + at.noise * eps).var()))
    axis.semilogx(chosen, spread, label=name)
    if name == "velocity":
        assert all(abs(v - 1) < 0.12 for v in spread)
axis.set(xlabel="σ", ylabel="variance of the target", ylim=(0, 2.2))
axis.legend()

# %% [markdown]
# ## v-prediction is the same
#
# Put data and noise on a circle, $x/\sqrt{1+\sigma^2} = \cos\theta\,x_0 + \sin\theta\,\epsilon$ with
# $\tan\theta = \sigma$. As $\theta$ grows, the point moves in the direction
# $v = \cos\theta\,\epsilon - \sin\theta\,x_0$ (Salimans and Ho 2022), and this is EDM's target.
#
# In ptdiff it is called `velocity`. The network is conditioned on $\theta$ and sees neither process nor scale, so one
# checkpoint samples under every process.

# %%
fromarray(preconditioning())

# %% [markdown]
# ## Noise levels for training
#
# EDM weights the loss so that every level counts equally for the network's own output (`weighting: edm`, the same as
# `prediction` here). It then samples the levels where there is something to learn: $\log\sigma$ has a normal
# distribution.
#
# At low noise, the noise hides what could be learned. At high noise, the answer is the mean. The share of the variance
# that the best denoiser explains shows where the work is.

# %%
explained = []
for s in chosen:
    at = Level(torch.ones(()).double(), s)
    target = PREDICTIONS["velocity"](at)
    x = x0 + s * eps
    best = (data(x, at, {}) - target.skip * x) / target.out
    explained.append(float(best.var()))
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
axis.semilogx(chosen, explained, "o-", markersize=3, label="explained share of the target's variance")
log_normal = torch.distributions.Normal(torch.tensor(-0.5), torch.tensor(1.2))
axis.semilogx(chosen, log_normal.log_prob(chosen.log()).exp(), label="density of log σ in training")
axis.set(xlabel="σ")
axis.legend()
print("available densities:", ", ".join(DENSITIES))

# %% [markdown]
# ## Noise levels for sampling
#
# EDM's grid has $\sigma^{1/7}$ evenly spaced, and uses Heun's method between the levels. With fifteen steps:

# %%
table = SOLVERS["heun"]().table(grid(EDM(), 15))
print(f"σ: {', '.join(f'{float(s):.3g}' for s in grid(EDM(), 15).sigma)}")
x = solve(data, 160 * normal(1, Stream.START, ids, 0, (1,)).double(), table)
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
place = torch.linspace(-2.5, 2.5, 400).double()[:, None]
axis.hist(x[:, 0].numpy(), bins=80, density=True, color="#9bbfe0", label=f"samples, {table.calls} calls")
axis.plot(place, data.log_prob(place).exp(), "k", linewidth=1, label="exact density")
axis.legend()
assert abs(float(x.var()) - 1) < 0.1

# %% [markdown]
# ## Recipes
#
# `ptdiff train -c swissroll-edm` and `ptdiff train -c mnist-edm` train this way; `ptdiff list recipe` lists all
# recipes.
