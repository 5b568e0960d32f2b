"""The lowest possible loss on the training set, for the regret of a network.

The denoiser with the lowest loss on a finite training set {y_i} is the posterior mean of that set
(ptdiff.denoiser.oracle.Mixture.of_data; Karras et al. 2022, eq. 57).  For x = c x_0 + s eps, c = cos theta, s = sin
theta:

    D(x) = sum_i w_i y_i,    w_i proportional to exp(-||x - c y_i||^2 / (2 s^2))

The sums run over the set in pieces, with the largest exponent so far factored out (in the log domain, in float64).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ptdiff.machine.host import double
from ptdiff.modality.data import Condition, Data, Split

MOST_SAMPLES, MOST_ELEMENTS = 50_000, 10_000
"""Larger training sets and larger samples take too long."""


def is_small_and_fixed(samples: Split, shape: tuple[int, ...]) -> bool:
    """Return True if a training set is finite and of moderate size, not generated for every batch."""
    if not 0 < len(samples) <= MOST_SAMPLES or math.prod(shape) > MOST_ELEMENTS:
        return False
    ids = torch.arange(min(4, len(samples)))
    (one, cond), (other, _) = samples.batch(ids, 1), samples.batch(ids, 2)
    return set(cond) <= {"label"} and torch.equal(one, other)


def posterior_mean(data: Data, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
    """D(x) of the training set of ``data`` in model units, on a device with float64.

    x is (b, *shape) at angles theta (b,).  Samples with a label >= 0 use only their class; NaN if the class is empty.
    """
    assert data.train is not None
    flat, label = double(x.flatten(1)), cond.get("label")
    cos, sin = torch.cos(double(angle))[:, None], torch.sin(double(angle))[:, None]
    most = torch.full((len(x), 1), -1e300, dtype=torch.float64, device=flat.device)
    total, mean = torch.zeros_like(most), torch.zeros_like(flat)
    for ids in torch.arange(len(data.train)).chunk(-(-len(data.train) * flat.shape[1] // 2**22)):
        y, given = data.train.batch(ids, 0)
        y = data.normalize(y.to(flat.device)).flatten(1).double()
        # without the common term ||x||^2
        logits = (cos * (flat @ y.T) - 0.5 * cos.square() * y.square().sum(dim=1)) / sin.square()
        if label is not None and "label" in given:
            known = label.to(flat.device)[:, None]
            other = (known >= 0) & (known != given["label"].to(flat.device))
            logits = torch.where(other, -torch.inf, logits)
        now = torch.maximum(most, logits.amax(dim=1, keepdim=True))
        shrink, weight = torch.exp(most - now), torch.exp(logits - now)
        total, mean, most = total * shrink + weight.sum(dim=1, keepdim=True), mean * shrink + weight @ y, now
    return (mean / total).reshape(x.shape)
