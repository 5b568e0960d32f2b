"""Modalities with spoiled options and data: what was done to each, and the check that finds it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from good_modality import Good, Split, batches_with, data_with, method_with

from ptdiff.modality import Data, Modality, Number, option


class Undecorated(Good):
    """Not a dataclass of its own."""

    width: int = 3


@dataclass(frozen=True)
class PathOption(Good):
    """An option that JSON cannot hold."""

    place: Path = option(Path("here"), "a path")  # noqa: RUF009


@dataclass(frozen=True)
class OptionLost(Good):
    """An option that comes back as another type."""

    numbers: Any = option((1, 2), "numbers")  # noqa: RUF009


@dataclass(frozen=True)
class Unexplained(Good):
    """An option without a help text."""

    width: str = "3"


@dataclass(frozen=True)
class Untyped(Good):
    """An option that accepts anything."""

    width: Any = option(None, "anything")  # noqa: RUF009


@dataclass(frozen=True)
class Unlimited(Good):
    """An option without a range."""

    width: int = option(3, "a width")


@dataclass(frozen=True)
class NotANumber(Good):
    """An option whose range lets NaN through."""

    share: float = option(0.5, "a share")

    def __post_init__(self) -> None:
        if self.share < 0:
            raise ValueError("share must be at least 0")


@dataclass(frozen=True)
class OtherError(Good):
    """A value that is refused with an error that no command expects."""

    width: int = option(3, "a width")

    def __post_init__(self) -> None:
        assert self.width > 0


@dataclass(frozen=True)
class DataElsewhere(Good):
    """of_data names no option."""

    of_data = ("data", "folder")


@dataclass(frozen=True)
class Silent(Good):
    __doc__ = None


@dataclass(frozen=True)
class RecipeFile(Good):
    """A recipe file with an unknown key."""

    @classmethod
    def recipes(cls) -> Mapping[str, Path]:
        return {"fast": Path(__file__).parent / "fast.yaml"}


class Counting:
    """A split that returns the number of the call in place of a coordinate."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.calls = inner, 0

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, ids: Any, seed: int) -> Any:
        x, cond = self.inner.batch(ids, seed)
        self.calls += 1
        return x + self.calls, cond


class View(Split):
    """A split that returns a view of its data."""

    def batch(self, ids: Any, seed: int) -> Any:
        first, last = int(ids[0]), int(ids[-1])
        if torch.equal(ids, torch.arange(first, last + 1)):
            return self.x[first : last + 1], super().batch(ids, seed)[1]
        return super().batch(ids, seed)


class Shorter(Split):
    """A split whose plain samples are fewer."""

    @property
    def plain(self) -> Any:
        return Split(self.x[:3], self.label[:3])  # type: ignore[index]


def train_of(kind: type[Split]) -> type[Modality]:
    return data_with(lambda d: replace(d, train=kind(d.train.x.clone(), d.train.label)))  # type: ignore[union-attr]


def noisy(draw: Any) -> type[Modality]:
    return batches_with(lambda x, c, *_: (x + draw(x), c))


def by_seed(x: Any, cond: Any, ids: Any, seed: int) -> Any:
    return x + float(np.random.RandomState(seed).rand()), cond


def by_threads(x: Any, cond: Any, ids: Any, seed: int) -> Any:
    return x + torch.get_num_threads(), cond


def unreadable(self: Any) -> Data:
    raise OSError("no such disk")


SPOILED: dict[str, tuple[type[Modality], str]] = {
    "not declared a dataclass": (Undecorated, "options_are_a_frozen_dataclass"),
    "an option that JSON cannot hold": (PathOption, "options_survive_config_yaml"),
    "an option that JSON changes": (OptionLost, "options_survive_config_yaml"),
    "an option without a help text": (Unexplained, "every_option_has_a_help_text"),
    "an option of any type": (Untyped, "options_of_the_wrong_type_are_refused"),
    "a number without a range": (Unlimited, "numbers_have_a_range"),
    "a range that NaN passes": (NotANumber, "numbers_have_a_range"),
    "a value refused with an assertion": (OtherError, "numbers_have_a_range"),
    "of_data names no option": (DataElsewhere, "of_data_names_options"),
    "no docstring": (Silent, "the_class_has_a_help_text"),
    "an unknown key in the recipe": (
        method_with(recipe=lambda self: {"training": {"learning": 1}}),
        "the_recipe_fits_the_configuration",
    ),
    "a wrong value in the recipe": (
        method_with(recipe=lambda self: {"training": {"lr": "fast"}}),
        "the_recipe_fits_the_configuration",
    ),
    "an unknown solver in the recipe": (
        method_with(recipe=lambda self: {"sampling": {"solver": "huen"}}),
        "the_recipe_fits_the_configuration",
    ),
    "a recipe file that is not there": (RecipeFile, "the_recipe_fits_the_configuration"),
    "data that cannot be read": (method_with(dataset=unreadable), "the_data_is_read"),
    "data of another class": (method_with(dataset=lambda self: {"train": []}), "the_data_is_read"),
    "no training samples": (data_with(lambda d: replace(d, train=None)), "the_data_is_read"),
    "a summary that JSON cannot hold": (
        data_with(lambda d: replace(d, summary={"from": Path("here")})),
        "the_facts_survive_the_run_folder",
    ),
    "a mean of another shape": (
        data_with(lambda d: replace(d, mean=(0.0, 1.0, 2.0))),
        "the_facts_survive_the_run_folder",
    ),
    "a name for two classes": (data_with(lambda d: replace(d, classes=("odd", "odd"))), "classes_have_names"),
    "one label for all": (
        batches_with(lambda x, c, *_: (x, {**c, "label": 0 * c["label"]})),
        "classes_have_names",
    ),
    "another shape than declared": (data_with(lambda d: replace(d, shape=(6, 2))), "batches_have_the_declared_shape"),
    "a lone sample without its axis": (
        batches_with(lambda x, c, *_: (x.squeeze(0), c)),
        "batches_have_the_declared_shape",
    ),
    "float64": (batches_with(lambda x, c, *_: (x.double(), c)), "samples_are_finite_float32"),
    "not finite": (batches_with(lambda x, c, *_: (x / 0, c)), "samples_are_finite_float32"),
    "a validation split in float64": (
        data_with(lambda d: replace(d, val=Split(d.val.x.double(), d.val.label))),  # type: ignore[union-attr]
        "samples_are_finite_float32",
    ),
    "too few labels": (
        batches_with(lambda x, c, *_: (x, {**c, "label": c["label"][1:]})),
        "every_sample_has_its_conditions",
    ),
    "a condition of some batches": (
        batches_with(lambda x, c, ids, _: (x, c if len(ids) > 1 else {"label": c["label"]})),
        "every_sample_has_its_conditions",
    ),
    "classes without labels": (
        data_with(lambda d: replace(d, train=Split(d.train.x), val=None)),  # type: ignore[union-attr]
        "labels_are_those_of_the_classes",
    ),
    "a label beyond the classes": (
        batches_with(lambda x, c, *_: (x, {**c, "label": c["label"] + 1})),
        "labels_are_those_of_the_classes",
    ),
    "labels of another type": (
        batches_with(lambda x, c, *_: (x, {**c, "label": c["label"].int()})),
        "labels_are_those_of_the_classes",
    ),
    "a number in another type": (
        batches_with(lambda x, c, *_: (x, {**c, "lift": c["lift"].double()})),
        "conditions_are_as_declared",
    ),
    "a declared number that is missing": (
        data_with(lambda d: replace(d, conditions={**d.conditions, "atoms": Number()})),
        "conditions_are_as_declared",
    ),
    "a number out of its range": (
        data_with(lambda d: replace(d, conditions={"lift": Number(least=100)})),
        "conditions_are_as_declared",
    ),
    "sets of different sizes without a mask": (
        data_with(lambda d: replace(d, sizes=((3, 0, 25), (5, 1, 25)))),
        "batches_have_the_declared_shape",
    ),
    "a mask that was not measured": (
        batches_with(lambda x, c, *_: (x, {**c, "mask": torch.ones(x.shape[:2], dtype=torch.bool)})),
        "batches_have_the_declared_shape",
    ),
    "labels without names": (data_with(lambda d: replace(d, classes=())), "labels_are_those_of_the_classes"),
    "noise in long batches": (
        batches_with(lambda x, c, ids, _: (x + (torch.arange(len(x)) > 2)[:, None, None], c)),
        "every_id_can_be_read",
    ),
    "seeds of 32 bits": (batches_with(by_seed), "every_seed_is_accepted"),
    "a count of the reads": (
        data_with(lambda d: replace(d, train=Counting(d.train))),
        "the_same_ids_and_seed_give_the_same_samples",
    ),
    "noise by place": (
        batches_with(lambda x, c, ids, seed: (x + torch.arange(len(x))[:, None, None], c)),
        "a_sample_does_not_depend_on_its_batch",
    ),
    "centered by the batch": (
        batches_with(lambda x, c, *_: (x - x.double().mean(dim=0).float(), c)),
        "a_sample_does_not_depend_on_its_batch",
    ),
    "torch's random state": (noisy(torch.randn_like), "samples_ignore_the_global_random_state"),
    "NumPy's random state": (noisy(lambda x: float(np.random.rand())), "samples_ignore_the_global_random_state"),
    "Python's random state": (noisy(lambda x: random.random()), "samples_ignore_the_global_random_state"),
    "a seed set for everybody": (
        noisy(lambda x: float(torch.manual_seed(0).initial_seed())),
        "samples_ignore_the_global_random_state",
    ),
    "the number of threads": (batches_with(by_threads), "samples_do_not_depend_on_threads"),
    "a view of the data": (train_of(View), "changing_a_batch_leaves_the_data_alone"),
    "one set twice": (data_with(lambda d: replace(d, val=d.train)), "splits_do_not_share_samples"),
    "a sample in both splits": (
        data_with(lambda d: replace(d, val=Split(d.train.x[-1:], d.train.label[-1:]))),  # type: ignore[union-attr,index]
        "splits_do_not_share_samples",
    ),
    "not measured": (data_with(lambda d: replace(d, mean=0.0, scale=1.0)), "normalized_data_has_unit_variance"),
    "a scale too large": (data_with(lambda d: replace(d, scale=16.0)), "normalized_data_has_unit_variance"),
    "numbers far from zero": (
        data_with(lambda d: replace(d, train=Split(d.train.x * 1e-4 + 4096, d.train.label)).measured()),  # type: ignore[union-attr]
        "numbers_keep_their_digits",
    ),
    "fewer plain samples": (train_of(Shorter), "plain_samples_are_those_without_augmentation"),
    "missing data as other data": (
        method_with(dataset=lambda self: Good().dataset()),
        "data_that_is_missing_is_reported",
    ),
    "missing data as a bug": (
        method_with(dataset=lambda self: {"cloud": Good().dataset()}[self.data]),
        "data_that_is_missing_is_reported",
    ),
}
