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
# # Why preconditioning
#
# What a network should output so that it learns well at every noise level is the question that Karras et al. (2022), *Elucidating the
# design space of diffusion models*, answered by requiring unit variance of what goes in and of what is to come out.  This
# notebook derives their four coefficients, shows that v-prediction is the same thing, and looks at what each choice does to the errors.

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
# Take noisy data $x = x_0 + \sigma\epsilon$ with $\sigma$ from 0.01 to 100.  Fed as it is, the input of the network varies over four
# orders of magnitude.  And what shall it output?
#
# - $x_0$: easy at much noise (the mean), but at little noise it must copy its input to many digits, and a small relative error of the
#   network is a large error compared with $\sigma$.
# - $\epsilon$: the other way round.  At much noise $x_0 = x - \sigma\hat\epsilon$ multiplies every error by $\sigma$.
#
# If the network makes an error of 1 % of its output's scale, the estimate of $x_0$ is wrong by *out* times that:

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
# Write $D(x) = c_\text{skip}\,x + c_\text{out}\,F(c_\text{in}\,x)$ and ask for three things, for data of variance 1:
#
# 1. the input has unit variance: $c_\text{in} = 1/\sqrt{1 + \sigma^2}$,
# 2. the target of $F$ has unit variance: $c_\text{out}^2 = \operatorname{Var}[x_0 - c_\text{skip}\,x] = (1 - c_\text{skip})^2 + c_\text{skip}^2\sigma^2$,
# 3. $c_\text{out}$, which multiplies the errors of $F$, is as small as can be: its derivative vanishes at
#    $c_\text{skip} = 1/(1 + \sigma^2)$, which makes $c_\text{out} = \sigma/\sqrt{1 + \sigma^2}$ (up to its sign).
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
# Put data and noise on a circle, $x/\sqrt{1+\sigma^2} = \cos\theta\,x_0 + \sin\theta\,\epsilon$ with $\tan\theta = \sigma$.  The
# direction in which the point moves as $\theta$ grows is $v = \cos\theta\,\epsilon - \sin\theta\,x_0$ (Salimans and Ho 2022), and that is
# EDM's target.  In ptdiff it is called `velocity`, the network is told $\theta$, and neither process nor scale is visible to it: that is
# why one checkpoint samples under every process.

# %%
fromarray(preconditioning())

# %% [markdown]
# ## Where to train
#
# EDM weights the loss so that every level counts alike for the network's own output (`weighting: edm`, the same as `prediction` here), and
# then draws the levels where there is something to learn: $\log\sigma$ normal.  At little noise the noise drowns what could be learned, at
# much noise the answer is the mean.  The part of the variance that the best denoiser explains shows where the work is.

# %%
explained = []
for s in chosen:
    at = Level(torch.ones(()).double(), s)
    target = PREDICTIONS["velocity"](at)
    x = x0 + s * eps
    best = (data(x, at, {}) - target.skip * x) / target.out
    explained.append(float(best.var()))
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
axis.semilogx(chosen, explained, "o-", markersize=3, label="share of the target that can be known")
log_normal = torch.distributions.Normal(torch.tensor(-0.5), torch.tensor(1.2))
axis.semilogx(chosen, log_normal.log_prob(chosen.log()).exp(), label="density of log σ in training")
axis.set(xlabel="σ")
axis.legend()
print("densities to choose from:", ", ".join(DENSITIES))

# %% [markdown]
# ## And where to sample
#
# EDM's grid has $\sigma^{1/7}$ evenly spaced, and Heun's method between.  In fifteen steps:

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
# ## As a recipe
#
# `ptdiff train -c swissroll-edm` and `ptdiff train -c mnist-edm` train this way; `ptdiff list recipe` shows all.
