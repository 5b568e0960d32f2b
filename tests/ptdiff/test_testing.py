"""The conformance kit: a good modality passes every check, and one spoiled in one respect fails that check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.metrics import Score
from ptdiff.modality import Data, Measurement, Modality, Number, RaggedSplit, TensorSplit, Visualizer, Writer
from ptdiff.testing import CHECKS, Subject, check_modality


class Network(nn.Module):
    """Permutation-equivariant: every element by itself, and their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.level = LevelEmbedding(16, 2, conditions={"lift": Number()})
        self.inside = nn.Linear(2, 16)
        self.context = nn.Linear(2, 16)
        self.out = nn.Linear(16, 2)

    def hidden(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        told = self.level(angle, cond) + self.context(x.mean(dim=1))
        return torch.nn.functional.silu(self.inside(x) + told[:, None])

    def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        return self.out(self.hidden(x, angle, cond))  # type: ignore[no-any-return]


class Dots(Visualizer):
    def sheet(self, samples: Any, titles: Any) -> Any:
        image = np.full((8, 8, 3), 255, dtype=np.uint8)
        image[2:4] = 0
        return image


@dataclass(frozen=True)
class Good(Modality):
    """Small sets of points in the plane, in two classes."""

    count: int = 60
    sizes: tuple[int, ...] = (5,)

    def dataset(self) -> Data:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(self.count, self.sizes[0], 2, generator=generator) * 3 + 10
        label = torch.arange(self.count) % 2
        data = Data(
            (self.sizes[0], 2),
            classes=("odd", "even"),
            unordered=True,
            train=TensorSplit(x, label, {"lift": x[:, 0, 0].clone()}),
            val=TensorSplit(x[:10] + 0.5, label[:10], {"lift": x[:10, 0, 0].clone()}),
            conditions={"lift": Number()},
        )
        return data.measured(keep=(-1,))

    def backbone(self, data: Data) -> nn.Module:
        return Network()

    def visualizer(self) -> Visualizer:
        return Dots()

    def recipe(self) -> Mapping[str, Any]:
        return {"training": {"lr": 1e-3}, "process": "vp"}

    def formats(self) -> Mapping[str, Writer]:
        return {"txt": lambda path, x: np.savetxt(path, x)}


def test_a_good_modality_passes_every_check() -> None:
    subject = Subject(Good())
    for check in CHECKS:
        check(subject)


def test_findings_name_every_check_once_and_hold_no_problem() -> None:
    findings = list(check_modality(f"{__name__}:Good"))
    assert len(findings) == len(CHECKS) == len({finding.check for finding in findings})
    assert [finding.problem for finding in findings] == [None] * len(CHECKS)


Change = Callable[[Tensor, Any, Tensor, int], tuple[Tensor, Any]]


class Changed:
    """Training samples with their batches changed on the way."""

    def __init__(self, inner: Any, change: Change) -> None:
        self.inner, self.change = inner, change

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, ids: Tensor, seed: int) -> Any:
        return self.change(*self.inner.batch(ids, seed), ids, seed)


def data_with(change: Callable[[Data], Data]) -> type[Modality]:
    @dataclass(frozen=True)
    class Spoiled(Good):
        def dataset(self) -> Data:
            return change(super().dataset())

    return Spoiled


def batches_with(change: Change) -> type[Modality]:
    return data_with(lambda data: replace(data, train=Changed(data.train, change)))


def network_with(forward: Callable[..., Tensor], **parts: Callable[[], Any]) -> type[Modality]:
    class Spoiled(Network):
        def __init__(self) -> None:
            super().__init__()
            for name, make in parts.items():
                setattr(self, name, make())

        def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
            return forward(self, x, angle, cond)

    @dataclass(frozen=True)
    class SpoiledModality(Good):
        def backbone(self, data: Data) -> nn.Module:
            return Spoiled()

    return SpoiledModality


@dataclass(frozen=True)
class OfAllSizes(Good):
    """Sets of different sizes, whose network takes the mean over the padding too."""

    def dataset(self) -> Data:
        data = super().dataset()
        assert isinstance(data.train, TensorSplit)
        sets = [one[: 1 + i % 5] for i, one in enumerate(data.train.x)]
        return replace(data, train=RaggedSplit(sets, data.train.label, data.train.conditions)).measured(keep=(-1,))


def method_with(**methods: Any) -> type[Modality]:
    return dataclass(frozen=True)(type("Spoiled", (Good,), methods))


class Undecorated(Good):
    width: int = 3


@dataclass(frozen=True)
class PathOption(Good):
    place: Path = Path("here")


@dataclass(frozen=True)
class OptionLost(Good):
    """An option that comes back as another type."""

    numbers: Any = (1, 2)


def picture(image: Any) -> type[Modality]:
    class Spoiled(Visualizer):
        def sheet(self, samples: Any, titles: Any) -> Any:
            return image

    return method_with(visualizer=lambda self: Spoiled())


def scores(value: Callable[[Tensor], Score]) -> type[Modality]:
    return method_with(compare=lambda self, sets, protocol=None: Measurement({"it": value(sets.samples)}))


def normalized(net: Any, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
    h = net.hidden(x, angle, cond)
    return net.out(net.norm(h.flatten(0, 1)).reshape(h.shape))  # type: ignore[no-any-return]


SPOILED: dict[str, tuple[type[Modality], str]] = {
    "not declared a dataclass": (Undecorated, "options_are_a_frozen_dataclass_of_plain_values"),
    "an option that JSON cannot hold": (PathOption, "options_are_a_frozen_dataclass_of_plain_values"),
    "an option that JSON changes": (OptionLost, "options_are_a_frozen_dataclass_of_plain_values"),
    "another shape than declared": (data_with(lambda d: replace(d, shape=(6, 2))), "batches_have_the_declared_shape"),
    "float64": (batches_with(lambda x, c, *_: (x.double(), c)), "batches_have_the_declared_shape"),
    "not finite": (batches_with(lambda x, c, *_: (x / 0, c)), "batches_have_the_declared_shape"),
    "too few labels": (
        batches_with(lambda x, c, *_: (x, {"label": c["label"][1:]})),
        "batches_have_the_declared_shape",
    ),
    "classes without labels": (batches_with(lambda x, c, *_: (x, {})), "batches_have_the_declared_shape"),
    "a label beyond the classes": (
        batches_with(lambda x, c, *_: (x, {"label": c["label"] + 1})),
        "batches_have_the_declared_shape",
    ),
    "labels of another type": (
        batches_with(lambda x, c, *_: (x, {"label": c["label"].int()})),
        "batches_have_the_declared_shape",
    ),
    "global random state": (
        batches_with(lambda x, c, *_: (x + torch.randn_like(x), c)),
        "samples_are_a_pure_function_of_id_and_seed",
    ),
    "noise by place": (
        batches_with(lambda x, c, ids, seed: (x + torch.arange(len(x))[:, None, None], c)),
        "samples_are_a_pure_function_of_id_and_seed",
    ),
    "centered by the batch": (
        batches_with(lambda x, c, *_: (x - x.double().mean(dim=0).float(), c)),
        "samples_are_a_pure_function_of_id_and_seed",
    ),
    "not measured": (data_with(lambda d: replace(d, mean=0.0, scale=1.0)), "normalized_data_has_unit_variance"),
    "a scale too large": (data_with(lambda d: replace(d, scale=6.0)), "normalized_data_has_unit_variance"),
    "one set twice": (data_with(lambda d: replace(d, val=d.train)), "splits_do_not_share_samples"),
    "another shape out": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, c)[:, :, :1]),
        "the_backbone_keeps_shapes_and_stays_finite",
    ),
    "a logarithm of the angle": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, c) + a.log()[:, None, None]),
        "the_backbone_keeps_shapes_and_stays_finite",
    ),
    "a tangent of the angle": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, c) / (a < 1.57)[:, None, None]),
        "the_backbone_keeps_shapes_and_stays_finite",
    ),
    "the mean of the batch": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, c) + x.mean(dim=0)),
        "samples_do_not_see_each_other",
    ),
    "batch normalization": (network_with(normalized, norm=lambda: nn.BatchNorm1d(16)), "samples_do_not_see_each_other"),
    "no label as the first class": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, c or {"label": torch.zeros(len(x)).long()})),
        "not_given_is_said_in_two_ways",
    ),
    "deaf to labels": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, {})),
        "not_given_is_said_in_two_ways",
    ),
    "an estimate that is never read": (
        network_with(Network.forward, self_conditioning=lambda: True),
        "no_estimate_is_said_in_two_ways",
    ),
    "no estimate as one of ones": (
        network_with(
            lambda net, x, a, c: Network.forward(net, x, a, c) + c.get("estimate", torch.ones_like(x)),
            self_conditioning=lambda: True,
        ),
        "no_estimate_is_said_in_two_ways",
    ),
    "deaf to the noise level": (
        network_with(lambda net, x, a, c: Network.forward(net, x, 0 * a, c)),
        "the_backbone_listens_to_the_noise_level",
    ),
    "places in a set": (
        network_with(lambda net, x, a, c: Network.forward(net, x + torch.arange(x.shape[1])[:, None], a, c)),
        "sets_have_no_order",
    ),
    "a fixed number of elements": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, c)[:, :5]),
        "sets_have_no_order",
    ),
    "a part that is never used": (
        network_with(Network.forward, spare=lambda: nn.Linear(2, 2)),
        "every_parameter_learns",
    ),
    "a part cut off from the loss": (
        network_with(lambda net, x, a, c: net.out(net.hidden(x, a, c).detach())),
        "every_parameter_learns",
    ),
    "a loss that cannot fall": (
        network_with(lambda net, x, a, c: Network.forward(net, x, a, c) * 0 + 3),
        "every_parameter_learns",
    ),
    "a picture of numbers in [0, 1]": (picture(np.random.default_rng(0).random((8, 8, 3))), "pictures_are_pictures"),
    "a picture with transparency": (
        picture(np.eye(8, dtype=np.uint8)[..., None].repeat(4, 2)),
        "pictures_are_pictures",
    ),
    "a network that reads the padding of small sets": (OfAllSizes, "padding_changes_nothing"),
    "a number in another type": (
        batches_with(lambda x, c, *_: (x, {**c, "lift": c["lift"].double()})),
        "conditions_are_as_declared",
    ),
    "a declared condition that is missing": (
        batches_with(lambda x, c, *_: (x, {"label": c["label"]})),
        "conditions_are_as_declared",
    ),
    "a network that ignores a number": (
        network_with(lambda n, x, a, c: n.out(n.hidden(x, a, {k: v for k, v in c.items() if k != "lift"}))),
        "the_backbone_listens_to_every_condition",
    ),
    "a network that lets NaN through": (
        network_with(lambda n, x, a, c: n.out(n.hidden(x, a, c)) + c.get("lift", torch.zeros(len(x)))[:, None, None]),
        "the_backbone_listens_to_every_condition",
    ),
    "an empty picture": (picture(np.full((8, 8, 3), 255, dtype=np.uint8)), "pictures_are_pictures"),
    "no visualizer": (method_with(visualizer=lambda self: object()), "pictures_are_pictures"),
    "a format with a dot": (
        method_with(formats=lambda self: {".txt": lambda path, x: np.savetxt(path, x)}),
        "files_are_written",
    ),
    "a format that writes nothing": (
        method_with(formats=lambda self: {"txt": lambda path, x: path.touch()}),
        "files_are_written",
    ),
    "a table that is not written": (
        method_with(tables=lambda self: {"txt": lambda path, x, classes: None if classes else np.savetxt(path, x)}),
        "files_are_written",
    ),
    "an unknown key in the recipe": (
        method_with(recipe=lambda self: {"training": {"learning": 1}}),
        "the_recipe_fits_the_configuration",
    ),
    "a wrong value in the recipe": (
        method_with(recipe=lambda self: {"training": {"lr": "fast"}}),
        "the_recipe_fits_the_configuration",
    ),
    "no metrics": (
        method_with(compare=lambda self, *a, **k: Measurement({})),
        "metrics_know_a_good_set_from_a_bad_one",
    ),
    "protocols by a line alone": (
        method_with(protocols=lambda self: {"mine": "all at once"}),
        "metrics_know_a_good_set_from_a_bad_one",
    ),
    "metrics that always say the same": (
        scores(lambda x: Score(1.0, 0.9, 1.1, 0.5)),
        "metrics_know_a_good_set_from_a_bad_one",
    ),
    "metrics that prefer noise": (
        scores(lambda x: Score(1 / float(x.std()), 0.0, 1.0, 0.0)),
        "metrics_know_a_good_set_from_a_bad_one",
    ),
    "an interval upside down": (
        scores(lambda x: Score(float(x.std()), 2.0, 1.0, 0.0)),
        "metrics_know_a_good_set_from_a_bad_one",
    ),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_modality_spoiled_in_one_respect_fails_the_check_of_that_respect(spoil: str) -> None:
    kind, name = SPOILED[spoil]
    (check,) = (check for check in CHECKS if check.__name__ == name)
    check(Subject(Good()))
    with pytest.raises((AssertionError, ValueError, TypeError)):
        check(Subject(kind()))


def test_every_check_has_a_modality_that_fails_it() -> None:
    assert {name for _, name in SPOILED.values()} == {check.__name__ for check in CHECKS}


def test_a_modality_whose_data_cannot_be_read_is_reported_check_by_check() -> None:
    found = list(check_modality(f"{__name__}:Unreadable"))
    assert len(found) == len(CHECKS)
    assert sum("no such disk" in (finding.problem or "") for finding in found) >= 10


@dataclass(frozen=True)
class Unreadable(Good):
    def dataset(self) -> Data:
        raise OSError("no such disk")
