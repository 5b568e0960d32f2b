"""Declared conditions: as text and in Python, in training, in files, and refused in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conditioned_modality import COLORS, Placed  # type: ignore[import-not-found, unused-ignore]

import ptdiff
from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.errors import DataError, UnknownName
from ptdiff.modality import Category, Data, Number, TensorSplit, Vector
from ptdiff.modality.conditions import absent
from ptdiff.model.arguments import conditions_of
from ptdiff.model.loaded import Model
from ptdiff.model.sharded import sample_in_shards
from ptdiff.sampling.samples import Samples
from ptdiff.testing import PARTS, Subject
from ptdiff.testing import condition_checks as network
from ptdiff.testing import data_checks as data
from ptdiff.training.train import train_run
from ptdiff_cli.shared.sampling_plan import spoken

SETTINGS: dict[str, Any] = {
    "sampling": {"solver": "heun", "steps": 12},
    "training": {"steps": 500, "batch": 128, "lr": 1e-2, "precision": "32", "threads": 1, "shards": 1,
                 "compile": False, "validations": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of points whose place follows from the conditions."""
    return ptdiff.train(Placed(), out=tmp_path_factory.mktemp("run") / "run", **SETTINGS)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """The modality for the checks of the kit."""
    return Subject(Placed())


@pytest.mark.parametrize(
    "check", [check for part in PARTS if part != "package" for check in PARTS[part]], ids=lambda check: check.__name__
)
def test_the_modality_conforms(check: Any, subject: Subject) -> None:
    check(subject)


def test_samples_lie_where_the_conditions_put_them(model: Model) -> None:
    asked = {"atoms": 12, "color": "blue", "shift": [1.0, -1.0]}
    x = model.sample(64, conditions=asked).samples
    assert x.mean(dim=0).tolist() == pytest.approx([12 / 4 + 1, 4 - 1], abs=0.35)
    assert float(x.std(dim=0).max()) < 0.6
    free = model.sample(64).samples
    assert float(free.std(dim=0).min()) > 0.9
    # guidance compares with all of them left out
    assert not torch.equal(model.sample(8, conditions=asked, guidance=2.0).samples, x[:8])


def test_one_value_for_each_sample_is_the_same_as_alone(model: Model) -> None:
    atoms = [6, 12, "none", 20]
    together = model.sample(4, conditions={"atoms": atoms}).samples
    for i, one in enumerate(atoms):
        alone = model.sample(1, first=i, conditions={"atoms": one}).samples
        assert torch.allclose(together[i : i + 1], alone, atol=1e-4)


def test_text_and_python_say_the_same(model: Model) -> None:
    said = spoken(["atoms=12", "color=green", "shift=0.5,-0.25"])
    python = {"atoms": 12.0, "color": 1, "shift": torch.tensor([0.5, -0.25])}
    assert torch.equal(model.sample(3, conditions=said).samples, model.sample(3, conditions=python).samples)
    assert torch.equal(model.sample(3, conditions={"atoms": "none"}).samples, model.sample(3).samples)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"atom": 3}, UnknownName, "did you mean 'atoms'"),
        ({"atoms": 12.5}, ValueError, "atoms must be a whole number"),
        ({"atoms": 0}, ValueError, "the nearest is 1"),
        ({"atoms": "many"}, ValueError, "atoms must be a number or none, not 'many'"),
        ({"atoms": math.inf}, ValueError, "atoms must be a number or none"),
        ({"atoms": "nan"}, ValueError, "atoms must be a number or none"),
        ({"atoms": True}, ValueError, "atoms must be a number or none"),
        ({"atoms": [1, 2]}, ValueError, "atoms: 2 values for 4 samples"),
        ({"color": "grene"}, UnknownName, "did you mean 'green'"),
        ({"color": 3}, UnknownName, "unknown color '3'"),
        ({"shift": [1.0]}, ValueError, "shift must be 2 numbers"),
        ({"shift": "1,x"}, ValueError, "shift must be a number or none, not 'x'"),
        ({"label": "even"}, UnknownName, "unknown condition 'label'; choose from: atoms, color, shift"),
    ],
)
def test_wrong_names_and_values_are_refused_in_one_line(
    model: Model, asked: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        model.sample(4, conditions=asked)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_number_beyond_the_training_data_is_mentioned(model: Model) -> None:
    lines: list[str] = []
    model.sample(2, conditions={"atoms": 40}, say=lines.append)
    assert "atoms = 40 lies outside the training data, 5 to 20" in lines
    lines.clear()
    model.sample(2, conditions={"atoms": 20}, say=lines.append)
    assert not any("outside" in line for line in lines)


def test_files_keep_the_conditions(model: Model, tmp_path: Path) -> None:
    made = model.sample(3, conditions={"atoms": [6, "none", 9], "color": "blue"})
    again = Samples.read(made.save(tmp_path / "x.npz"), model.modality)
    assert sorted(again.conditions) == ["atoms", "color"]
    assert np.array_equal(again.conditions["atoms"], np.array([6, np.nan, 9], np.float32), equal_nan=True)
    assert again.conditions["color"].tolist() == ["blue"] * 3
    assert again.first(1).conditions["color"].tolist() == ["blue"]
    # and a likelihood of the file is that of the samples under the same conditions
    same = model.likelihood(made.samples, conditions={"atoms": [6, "none", 9], "color": "blue"})
    assert torch.equal(model.likelihood(again).nats, same.nats)
    assert not torch.allclose(same.nats, model.likelihood(made.samples).nats)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("condition.atoms", np.zeros(2, np.float32)),
        ("condition.atoms", np.full(3, np.inf, np.float32)),
        ("condition.atoms", np.zeros(3, np.int64)),
        ("condition.atoms", np.zeros((3, 2, 2), np.float32)),
    ],
)
def test_a_damaged_condition_in_a_file_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, samples=np.zeros((3, 2), np.float32), **{name: value})
    with pytest.raises(DataError, match=r"condition\.atoms"):
        Samples.read(path, Placed())


def test_data_json_records_the_conditions(model: Model) -> None:
    known = Data.from_facts(json.loads(json.dumps(model.data.facts()))).conditions
    atoms, color, shift = known["atoms"], known["color"], known["shift"]
    assert isinstance(atoms, Number) and atoms.seen == (5.0, 20.0) and atoms.whole and atoms.least == 1
    assert atoms.mean == pytest.approx(12.5, abs=0.6) and atoms.scale == pytest.approx(4.61, abs=0.3)
    assert color == Category(COLORS)
    assert isinstance(shift, Vector) and shift.size == 2 and shift.scale == pytest.approx(1, abs=0.1)
    assert model.data.facts()["format"] == 4 and Data((2,)).facts()["format"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": {"kind": "number"}},
        {"a b": {"kind": "number"}},
        {"a": {"kind": "image"}},
        {"a": {"kind": "number", "scale": 0}},
        {"a": {"kind": "number", "mean": "0"}},
        {"a": {"kind": "number", "seen": [1]}},
        {"a": {"kind": "number", "more": 1}},
        {"a": {"kind": "vector", "size": 10**9}},
        {"a": {"kind": "vector", "size": 2.5}},
        {"a": {"kind": "category", "names": []}},
        {"a": {"kind": "category", "names": ["x", "x"]}},
        {"a": {"kind": "category", "names": "xy"}},
        {"a": 3},
        [],
    ],
)
def test_damaged_declarations_are_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Data.from_facts({**Data((2,)).facts(), "conditions": wrong})


def test_conditions_are_left_out_one_by_one_and_all_together(tmp_path: Path) -> None:
    from ptdiff.run.folder import Run
    from ptdiff.training.module import DiffusionModule

    run = train_run(tmp_path / "run", {"modality": "placed", **_with(steps=1, batch=500)}, kind=Placed(labeled=True))
    module = DiffusionModule(run.denoiser(), Placed(labeled=True).dataset(), Run.open(run.path, kind=run.kind).config)
    counts = torch.zeros(4)
    everything, pairs, rows = 0, 0.0, 0
    for step, random in zip(range(40), module.randomness(range(40)), strict=True):
        assert random.hidden.shape == (500, 4)
        _, cond = module.batch(step, random.hidden)
        hidden = torch.stack(
            [cond["label"] < 0, cond["atoms"].isnan(), cond["color"] < 0, cond["shift"].isnan().all(dim=1)], dim=1
        )
        assert torch.equal(hidden, random.hidden)
        counts += hidden.sum(dim=0)
        everything += int(hidden.all(dim=1).sum())
        some = hidden[~hidden.all(dim=1)].float()
        pairs += float((some[:, 1] * some[:, 3]).sum())
        rows += 500
    single = 0.1 + 0.9 * 0.1
    assert torch.allclose(counts / rows, torch.full((4,), single), atol=0.015)
    assert everything / rows == pytest.approx(0.1 + 0.9 * 0.1**4, abs=0.01)
    # on their own they are independent
    assert pairs / rows == pytest.approx(0.9 * 0.1**2, abs=0.004)


def test_one_condition_alone_is_hidden_as_the_class_always_was() -> None:
    from ptdiff.noise import Stream, uniform

    ids, at = torch.arange(50), torch.full((50,), 3)
    alone = uniform(7, Stream.CONDITION_DROPOUT, ids, at)
    assert torch.equal(alone, uniform(7, Stream.CONDITION_DROPOUT, ids, at, (4,))[:, 0])


def test_a_condition_that_was_never_left_out_must_be_given(tmp_path: Path) -> None:
    run = train_run(tmp_path / "run", {"modality": "placed", **_with(steps=2, condition_dropout=0.0)}, kind=Placed())
    with pytest.raises(ValueError, match="condition color must be given: the model was trained without"):
        conditions_of(run, 2, None, {"atoms": 3, "shift": [0, 0]})
    given = conditions_of(run, 2, None, {"atoms": 3, "shift": [0, 0], "color": "none"})
    assert sorted(given) == ["atoms", "shift"]


def test_scores_compare_with_samples_of_the_same_conditions(model: Model) -> None:
    found = model.evaluate(n=40)
    wanted = Placed().dataset().val
    assert isinstance(wanted, TensorSplit)
    assert np.array_equal(found.samples.conditions["atoms"], wanted.conditions["atoms"].numpy())
    assert found.samples.conditions["color"].tolist() == [COLORS[i] for i in wanted.conditions["color"]]
    # so every sample lies near its own reference
    apart = (found.samples.samples - found.sets.reference).norm(dim=1)
    assert float(apart.median()) < 0.5


class Elsewhere:
    """An engine that works in this process on a modality that workers could load."""

    def map(self, make: Any, shards: Any) -> Any:
        return map(make, shards)


def test_workers_get_the_conditions(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    import ptdiff.model.sharded as sharded

    monkeypatch.setattr(sharded, "_loaded", lambda *_: model)
    there = dataclasses.replace(model, run=dataclasses.replace(model.run, kind=None))
    asked = {"atoms": [6, "none", 20, 9, 9], "color": ["red", "blue", "none", "red", "red"]}
    made, _ = sample_in_shards(there, 5, Elsewhere(), conditions=asked, batch=2)
    whole = model.sample(5, conditions=asked, batch=2)
    assert torch.allclose(made.samples, whole.samples, atol=1e-5)
    assert np.array_equal(made.conditions["atoms"], whole.conditions["atoms"], equal_nan=True)


def test_the_embedding_of_data_without_conditions_is_what_it_was() -> None:
    torch.manual_seed(3)
    one = LevelEmbedding(8, 2)
    torch.manual_seed(3)
    other = LevelEmbedding(8, 2, conditions={})
    assert list(one.state_dict()) == list(other.state_dict())
    cond = {"label": torch.tensor([0, -1])}
    assert torch.equal(one(torch.ones(2), cond), other(torch.ones(2), cond))


def test_the_kit_finds_a_network_that_is_deaf_to_a_condition() -> None:
    with pytest.raises(AssertionError, match="does not depend on 'color'"):
        network.the_backbone_uses_every_declared_condition(Subject(Placed(deaf="color")))


def test_the_kit_finds_batches_that_differ_from_their_declaration() -> None:
    import dataclasses

    subject = Subject(Placed())
    split = subject.data.train
    assert isinstance(split, TensorSplit)

    def checked(**values: Any) -> None:
        spoiled = Subject(Placed())
        changed = {k: v for k, v in {**split.conditions, **values}.items() if v is not None}
        spoiled.data_or_error = dataclasses.replace(subject.data, train=TensorSplit(split.x, None, changed))
        data.conditions_are_as_declared(spoiled)

    checked()
    with pytest.raises(AssertionError, match="train has none"):
        checked(atoms=None)
    with pytest.raises(AssertionError, match=r"'color' must be torch\.int64"):
        checked(color=split.conditions["color"].float())
    with pytest.raises(AssertionError, match="out of range: atoms must be a whole number"):
        checked(atoms=split.conditions["atoms"] + 0.5)
    with pytest.raises(AssertionError, match="out of range"):
        checked(color=split.conditions["color"] + 3)
    checked(shift=torch.full_like(split.conditions["shift"], math.nan))


def test_the_command_line_says_conditions_as_name_and_value() -> None:
    assert spoken(["atoms = 12", "color=red"]) == {"atoms": "12", "color": "red"}
    for wrong, message in ((["atoms"], "NAME=VALUE"), (["a=1", "a=2"], "given twice"), (["=3"], "NAME=VALUE")):
        with pytest.raises(ValueError, match=message):
            spoken(wrong)
    assert absent(Category(COLORS), 2).tolist() == [-1, -1]


def _with(**training: Any) -> dict[str, Any]:
    return {**SETTINGS, "training": {**SETTINGS["training"], **training}}
