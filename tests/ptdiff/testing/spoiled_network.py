"""Modalities with spoiled networks: what was done to each, and the check that finds it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from good_modality import Good, Network, Ragged, method_with, network_with
from torch import Tensor, nn

from ptdiff.modality import Data, Modality

forward = Network.forward


def normalized(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    h = net.hidden(x, angle, cond)
    return net.out(net.norm(h.flatten(0, 1)).reshape(h.shape))  # type: ignore[no-any-return]


def counting(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    net.calls += 1
    return forward(net, x, angle, cond) + 0.1 * float(net.calls)


def remembering(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    net.told = net.level(angle, cond)
    return forward(net, x, angle, cond)


def in_place(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    if not x.requires_grad:
        x *= 1.01
    return forward(net, x, angle, cond)


def single_precision(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    # torch.zeros makes float32, and index_add_ needs both of one type
    sums = torch.zeros(len(x), 16).index_add_(0, torch.arange(len(x)), net.inside(x).mean(dim=1))
    return forward(net, x, angle, cond) + sums.mean(dim=1)[:, None, None]


def on_the_cpu(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    return forward(net, x, angle, cond) + torch.ones(2)


def drawing(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    return forward(net, x, angle, cond) * net.hidden_scale


def caching(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    if net.cache is None:
        net.cache = x.mean(dim=(0, 1))
    return forward(net, x, angle, cond) + net.out.bias * net.cache


class Randomized(Network):
    """Initial weights that are drawn from Python's random numbers."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.out.bias, random.Random().random())


class Outside(Network):
    """A layer that the module does not know."""

    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.forward = lambda x, angle, cond: shared(x, angle, cond)  # type: ignore[method-assign]


class Dropping(Network):
    """Noise of Python's own in training, which no checkpoint holds."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(0)

    def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        y = super().forward(x, angle, cond)
        return y * (1 + self.random.random()) if self.training else y


class Counted(Network):
    """A schedule inside the network that is in no checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.steps += 1
        return super().forward(x, angle, cond) / (1 + self.steps if self.training else 1)


def built(make: Any) -> type[Modality]:
    return method_with(backbone=lambda self, data: make())


def outside(self: Any, data: Data) -> nn.Module:
    return Outside(Network())


@dataclass(frozen=True)
class LooksAtSamples(Good):
    """A network that needs the training samples."""

    def backbone(self, data: Data) -> nn.Module:
        net = Network()
        with torch.no_grad():
            net.out.bias.copy_(data.train.batch(torch.arange(4), 0)[0].mean(dim=(0, 1)))  # type: ignore[union-attr]
        return net


def failing(self: Any, data: Data) -> nn.Module:
    raise RuntimeError("no network today")


class Padded(Network):
    """The mean of elements and padding."""

    def mean(self, x: Tensor, cond: Any) -> Tensor:
        return x.mean(dim=1)


@dataclass(frozen=True)
class ReadsPadding(Ragged):
    """A network that reads the padding of small sets."""

    def backbone(self, data: Data) -> nn.Module:
        return Padded()


def positions(net: Any, x: Tensor, a: Tensor, c: Any) -> Tensor:
    return forward(net, x + torch.arange(x.shape[1], device=x.device)[:, None], a, c)


SPOILED: dict[str, tuple[type[Modality], str]] = {
    "a network that is not built": (method_with(backbone=failing), "the_backbone_is_built"),
    "a function as a network": (built(lambda: lambda x, a, c: x), "the_backbone_is_built"),
    "a network in float64": (built(lambda: Network().double()), "the_backbone_is_built"),
    "a network that looks at samples": (LooksAtSamples, "backbones_need_no_samples"),
    "another shape out": (
        network_with(lambda net, x, a, c: forward(net, x, a, c)[:, :, :1]),
        "the_backbone_keeps_shapes",
    ),
    "float64 out": (network_with(lambda net, x, a, c: forward(net, x, a, c).double()), "the_backbone_keeps_shapes"),
    "a logarithm of the angle": (
        network_with(lambda net, x, a, c: forward(net, x, a, c) + a.log()[:, None, None]),
        "the_backbone_is_finite_at_every_noise_level",
    ),
    "a tangent of the angle": (
        network_with(lambda net, x, a, c: forward(net, x, a, c) / (a < 1.57)[:, None, None]),
        "the_backbone_is_finite_at_every_noise_level",
    ),
    "deaf to the noise level": (
        network_with(lambda net, x, a, c: forward(net, x, 0 * a, c)),
        "the_backbone_depends_on_the_noise_level",
    ),
    "deaf to its input": (
        network_with(lambda net, x, a, c: forward(net, 0 * x, a, c)),
        "the_backbone_depends_on_its_input",
    ),
    "the mean of the batch": (
        network_with(lambda net, x, a, c: forward(net, x, a, c) + x.mean(dim=0)),
        "samples_do_not_affect_each_other",
    ),
    "batch normalization": (
        network_with(normalized, norm=lambda: nn.BatchNorm1d(16)),
        "samples_do_not_affect_each_other",
    ),
    "a count of the calls": (
        network_with(counting, calls=lambda: nn.Parameter(torch.zeros(()), requires_grad=False)),
        "the_backbone_has_no_memory",
    ),
    "a list of the calls": (
        network_with(
            lambda net, x, a, c: forward(net, x, a, c) + 0.01 * len(net.seen.append(1) or net.seen), seen=lambda: []
        ),
        "the_backbone_has_no_memory",
    ),
    "the embedding on the module": (network_with(remembering), "the_backbone_stores_nothing_of_a_call"),
    "its input changed in place": (network_with(in_place), "the_backbone_leaves_its_inputs_alone"),
    "a product of two types": (network_with(single_precision), "the_backbone_runs_in_bfloat16"),
    "a constant on the CPU": (network_with(on_the_cpu), "the_backbone_moves_to_another_device"),
    "weights from another generator": (built(Randomized), "networks_are_the_same_for_a_seed"),
    "a factor in no checkpoint": (
        network_with(drawing, hidden_scale=lambda: float(1 + torch.rand(()))),
        "weights_alone_make_the_network",
    ),
    "a layer in a closure": (method_with(backbone=outside), "the_network_can_be_copied"),
    "places in a set": (network_with(positions), "sets_have_no_order"),
    "a fixed number of elements": (
        network_with(lambda net, x, a, c: forward(net, x, a, c)[:, :5]),
        "sets_have_any_number_of_elements",
    ),
    "the mean of elements and padding": (ReadsPadding, "padding_changes_nothing"),
    "deaf to a declared number": (
        network_with(lambda net, x, a, c: forward(net, x, a, {k: v for k, v in c.items() if k != "lift"})),
        "the_backbone_uses_every_declared_condition",
    ),
    "a number of NaN let through": (
        network_with(lambda net, x, a, c: forward(net, x, a, c) + c.get("lift", torch.zeros_like(a))[:, None, None]),
        "the_backbone_uses_every_declared_condition",
    ),
    "no label as the first class": (
        network_with(lambda net, x, a, c: forward(net, x, a, {"label": torch.zeros(len(x)).long(), **c})),
        "not_given_is_said_in_two_ways",
    ),
    "deaf to labels": (
        network_with(lambda net, x, a, c: forward(net, x, a, {k: v for k, v in c.items() if k != "label"})),
        "the_backbone_uses_the_label",
    ),
    "labels for all or none": (
        network_with(
            lambda net, x, a, c: forward(net, x, a, {} if "label" in c and bool((c["label"] < 0).any()) else c)
        ),
        "labels_are_dropped_for_single_samples",
    ),
    "deaf to a weight": (
        network_with(lambda net, x, a, c: forward(net, x, a, {**c, "weight": 0 * a})),
        "every_condition_is_used",
    ),
    "a weight that must be given": (
        network_with(lambda net, x, a, c: forward(net, x, a, {**c, "weight": c["weight"]})),
        "every_condition_may_be_missing",
    ),
    "an estimate that is never read": (
        network_with(forward, self_conditioning=lambda: True),
        "no_estimate_is_said_in_two_ways",
    ),
    "no estimate as one of ones": (
        network_with(
            lambda net, x, a, c: forward(net, x, a, c) + c.get("estimate", torch.ones_like(x)),
            self_conditioning=lambda: True,
        ),
        "no_estimate_is_said_in_two_ways",
    ),
    "a part that is never used": (
        network_with(forward, spare=lambda: nn.Linear(2, 2)),
        "every_parameter_gets_a_gradient",
    ),
    "a part multiplied by zero": (
        network_with(lambda net, x, a, c: forward(net, x, a, c) + 0 * net.spare(x), spare=lambda: nn.Linear(2, 2)),
        "every_parameter_gets_a_gradient",
    ),
    "a part cut off from the loss": (
        network_with(lambda net, x, a, c: net.out(net.hidden(x, a, c).detach())),
        "every_parameter_gets_a_gradient",
    ),
    "an input without gradients": (
        network_with(lambda net, x, a, c: forward(net, x.detach(), a, c)),
        "gradients_reach_the_input",
    ),
    "a cache of the first call": (
        network_with(caching, cache=lambda: None),
        "the_backbone_trains_after_sampling",
    ),
    "a loss that cannot fall": (
        network_with(lambda net, x, a, c: forward(net, x, a, c) * 0 + 3),
        "the_loss_falls_on_one_batch",
    ),
    "random numbers of Python's in training": (built(Dropping), "a_resumed_run_is_the_same_bit_for_bit"),
    "a schedule in no checkpoint": (built(Counted), "a_resumed_run_is_the_same_bit_for_bit"),
}
