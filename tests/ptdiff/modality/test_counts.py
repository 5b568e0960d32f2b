"""The number of elements as a condition: it decides the sizes of samples, and nothing can contradict it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from ragged_modality import Sets  # type: ignore[import-not-found, unused-ignore]
from torch import Tensor, nn

import ptdiff
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.modality import Data, Number, RaggedSplit
from ptdiff.modality.ragged import sizes_of
from ptdiff.model import arguments
from ptdiff.model.loaded import Model
from ptdiff.model.sharded import sample_in_shards
from ptdiff.testing import Subject
from ptdiff.testing.sampling_checks import samples_have_any_number_of_elements

COUNTS = Number(least=1, whole=True, counts=True)


@dataclasses.dataclass(frozen=True)
class Counted(Sets):  # type: ignore[misc, unused-ignore]
    """Sets that know how many elements they have."""

    def dataset(self) -> Data:
        plain = super().dataset()

        def known(split: Any) -> RaggedSplit:
            sets = list(split.elements.split(split.sizes.tolist()))
            return RaggedSplit(sets, split.given["label"], {"size": split.sizes.float()}, largest=8)

        whole = dataclasses.replace(plain, train=known(plain.train), val=known(plain.val), conditions={"size": COUNTS})
        return whole.measured(keep=(-1,))


@pytest.fixture(scope="module")
def model() -> Model:
    plain: dict[str, Any] = {"precision": "32", "threads": 1, "shards": 1, "compile": False, "validations": 0}
    return ptdiff.train(Counted(), steps=2, training={"batch": 8, **plain}, sampling={"steps": 3})


def sizes(samples: Any) -> list[int]:
    return [len(one) for one in samples.sets]


def test_a_sample_has_as_many_elements_as_were_asked_for(model: Model) -> None:
    assert sizes(model.sample(5, conditions={"size": 4})) == [4] * 5
    assert sizes(model.sample(3, conditions={"size": [3, 8, 5]})) == [3, 8, 5]
    assert {len(state.x[0]) for state in model.states(2, conditions={"size": 6})} == {6}


def test_sets_without_a_number_have_the_sizes_of_the_data(model: Model) -> None:
    drawn = sizes(model.sample(4, seed=3))
    assert sizes(model.sample(4, seed=3, conditions={"size": ["none", 3, "none", 4]})) == [drawn[0], 3, drawn[2], 4]


def test_workers_make_the_sizes_that_were_asked_for(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    class Here:
        name = "here"

        def map(self, work: Any, tasks: Any) -> Any:
            return map(work, tasks)

    monkeypatch.setattr("ptdiff.model.sharded._loaded", lambda *a: model)
    held = dataclasses.replace(model, run=dataclasses.replace(model.run, kind=None))
    found, _ = sample_in_shards(held, 5, Here(), conditions={"size": [3, 8, 5, 4, 3]}, batch=2)  # type: ignore[arg-type]
    assert sizes(found) == [3, 8, 5, 4, 3]


def test_the_number_of_elements_cannot_be_given_twice(model: Model) -> None:
    with pytest.raises(ValueError, match="given twice, as points and as size"):
        model.sample(2, conditions={"size": 4}, points=5)
    assert sizes(model.sample(2, points=5)) == [5, 5]


def test_an_evaluation_asks_for_the_sizes_of_the_reference(model: Model) -> None:
    found = model.evaluate(n=20)
    reference = sizes_of(found.sets.reference).tolist()
    assert sizes(found.samples) == reference
    assert found.scores["sizes"].value == 0


def test_numbers_that_contradict_the_sets_are_refused() -> None:
    sets = [torch.randn(n, 2) for n in (3, 4, 5)]
    wrong = RaggedSplit(sets, conditions={"size": torch.tensor([3.0, 4.0, 4.0])})
    with pytest.raises(ValueError, match="size must be the number of elements of each set"):
        Data((5, 2), unordered=True, train=wrong, conditions={"size": COUNTS}).measured()
    with pytest.raises(ValueError, match="whole and at least 1"):
        Number(counts=True)
    with pytest.raises(ValueError, match="only one condition"):
        Data((5, 2), unordered=True, train=wrong, conditions={"size": COUNTS, "also": COUNTS})


def test_data_json_keeps_the_declaration_and_that_of_other_numbers_stays_as_it_was(model: Model) -> None:
    assert Data.from_facts(model.data.facts()).conditions == model.data.conditions
    assert model.data.counted == "size"
    plain = Data((5, 2), conditions={"temperature": Number()})
    assert "counts" not in plain.facts()["conditions"]["temperature"]
    assert plain.counted is None


def test_a_network_that_computes_one_prediction_refuses_others() -> None:
    class Exact(nn.Module):
        prediction = "velocity"

        def forward(self, x: Tensor, angle: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
            return x

    assert NetworkDenoiser(Exact(), "velocity").prediction == "velocity"
    with pytest.raises(ValueError, match="prediction must be velocity for the network Exact, not x0"):
        NetworkDenoiser(Exact(), "x0")


def test_the_kit_finds_samples_that_have_another_number_of_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(Counted())
    samples_have_any_number_of_elements(subject)
    mask = arguments.mask_for
    monkeypatch.setattr("ptdiff.model.loaded.mask_for", lambda *given: mask(*given[:4], {}))
    with pytest.raises(AssertionError, match="samples for the condition size"):
        samples_have_any_number_of_elements(subject)
