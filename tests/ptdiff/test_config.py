"""The configuration: who overrides whom, what a mistake is told, and that a file says all there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ptdiff.choices import choose
from ptdiff.errors import UnknownName
from ptdiff.process import PROCESSES, VE, VPLinear
from ptdiff.run.config import Config, merged, read, settings, validate

unhurried = hypothesis_settings(deadline=None)
words = st.text("abcdefghij_", min_size=1, max_size=5)
numbers = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=12)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
sections = st.recursive(numbers, lambda old: st.dictionaries(words, old, min_size=1, max_size=3))
trees = st.dictionaries(words, sections, max_size=4)


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    return {k: v for key, value in tree.items() for k, v in leaves(value, (*path, key)).items()}


@unhurried
@given(trees, trees)
def test_what_is_laid_over_wins_and_what_it_does_not_name_stays(base: dict[str, Any], over: dict[str, Any]) -> None:
    both = leaves(merged(base, over))
    top = leaves(over)
    for path, value in top.items():
        assert both[path] == value
    hidden = {path[:n] for path in top for n in range(1, len(path) + 1)}
    for path, value in leaves(base).items():
        if not any(path[:n] in top for n in range(1, len(path) + 1)) and path not in hidden:
            assert both[path] == value
    assert set(both) <= set(leaves(base)) | set(top)


@unhurried
@given(trees)
def test_merging_with_nothing_or_itself_changes_nothing(tree: dict[str, Any]) -> None:
    assert merged(tree, {}) == merged({}, tree) == merged(tree, tree) == tree


@unhurried
@given(trees, trees)
def test_merging_leaves_its_arguments_alone(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = repr(base), repr(over)
    result = merged(base, over)
    for value in result.values():
        if isinstance(value, dict):
            value["new"] = 1
    assert (repr(base), repr(over)) == before


def test_precedence_is_defaults_recipe_files_in_order_settings() -> None:
    recipe = {"training": {"lr": 1.0, "batch": 1, "steps": 1, "warmup": 1}}
    first = {"training": {"lr": 2.0, "batch": 2, "steps": 2}}
    second = {"training": {"lr": 3.0, "batch": 3}}
    named = settings(["training.lr=4"])
    values: dict[str, Any] = {"modality": "m"}
    for layer in (recipe, first, second, named):
        values = merged(values, layer)
    training = validate(values).training
    assert (training.lr, training.batch, training.steps, training.warmup) == (4.0, 3, 2, 1)
    assert training.clip == Config(modality="m").training.clip


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ("ve", {"sigma_max": 40}, VE(sigma_max=40)),
        ({"name": "ve", "sigma_max": 40}, "vp", VPLinear()),
        ({"name": "ve", "sigma_max": 40}, {"name": "vp"}, VPLinear()),
        ({"name": "ve", "sigma_max": 40}, {"sigma_min": 0.1}, VE(sigma_min=0.1, sigma_max=40)),
        ("ve", {"name": "vp", "beta_max": 10}, VPLinear(beta_max=10)),
        ("flow", "ve", VE()),
    ],
)
def test_another_name_replaces_a_choice_whole_and_options_refine_it(base: Any, over: Any, result: Any) -> None:
    config = validate({"modality": "m"} | merged({"process": base}, {"process": over}))
    assert choose("process", PROCESSES, config.process) == result


@pytest.mark.parametrize(
    ("values", "nearest"),
    [
        ({"modalty": "m"}, "'modality'"),
        ({"training": {"stepz": 1}}, "'steps'"),
        ({"training": {"warm_up": 1}}, "'warmup'"),
        ({"sampling": {"sovler": "heun"}}, "'solver'"),
        ({"trainign": {}}, "'training'"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_right_one(values: dict[str, Any], nearest: str) -> None:
    with pytest.raises(UnknownName) as caught:
        validate({"modality": "m"} | values)
    assert f"did you mean {nearest}?" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_like_none_is_answered_with_the_list_alone() -> None:
    with pytest.raises(UnknownName, match=r"in training 'qqq'; choose from: steps, minutes"):
        validate({"modality": "m", "training": {"qqq": 1}})


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"training": {"steps": "many"}}, "training.steps"),
        ({"training": {"steps": 0}}, "training.steps"),
        ({"training": {"steps": 1.5}}, "training.steps"),
        ({"training": {"lr": -1}}, "training.lr"),
        ({"training": {"lr": float("nan")}}, "training.lr"),
        ({"training": {"lr": float("inf")}}, "training.lr"),
        ({"training": {"ema": 1}}, "training.ema"),
        ({"training": {"betas": [0.9]}}, "training.betas"),
        ({"training": {"betas": [0.9, 1.5]}}, "training.betas"),
        ({"training": {"precision": "16"}}, "training.precision"),
        ({"training": 5}, "training"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"process": {"sigma_max": 4}}, "process: should be a name"),
        ({"process": 3}, "process: should be a name"),
        ({"sampling": {"solver": None}}, "sampling.solver: should be a name"),
        ({"modality": None}, "modality"),
        ({"options": [1]}, "options"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(values: dict[str, Any], where: str) -> None:
    with pytest.raises(ValueError, match=r"^configuration: ") as caught:
        validate({"modality": "m"} | values)
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_modality_is_the_one_thing_that_must_be_said() -> None:
    with pytest.raises(ValueError, match="modality"):
        validate({})
    assert validate({"modality": "m"}) == Config(modality="m")


def test_a_configuration_cannot_be_changed() -> None:
    config = validate({"modality": "m"})
    with pytest.raises(ValidationError):
        config.seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        config.training.lr = 3.0  # type: ignore[misc]


@unhurried
@given(
    modality=st.text(min_size=1, max_size=20),
    options=st.dictionaries(words, json_values, max_size=4),
    seed=st.integers(0, 2**63 - 1),
    lr=st.floats(1e-300, 1e300),
    minutes=st.none() | st.floats(1e-9, 1e9),
    steps=st.integers(1, 10**12),
    process=st.sampled_from(["ve", {"name": "ve", "sigma_max": 1e-5}, {"name": "vp", "note": "1e5"}]),
)
def test_yaml_says_everything_and_is_read_back_equal(tmp_path_factory: Any, **values: Any) -> None:
    training = {key: values.pop(key) for key in ("lr", "minutes", "steps")}
    config = validate(values | {"training": training})
    path = tmp_path_factory.mktemp("yaml") / "config.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    assert validate(read(path)) == config
    assert validate(read(path)).to_yaml() == config.to_yaml()


def test_the_yaml_names_every_key(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(validate({"modality": "m"}).to_yaml())
    values = read(path)
    assert set(values) == set(Config.model_fields)
    assert set(values["training"]) == set(type(Config(modality="m").training).model_fields)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: b: c", "not YAML"),
        ("[1, 2]", "must be a mapping"),
        ("3", "must be a mapping"),
        ("1: 2", "must be a mapping"),
        ("!!python/object/apply:os.system ['true']", "tags are not read"),
        ("a: !!python/name:os.system", "tags are not read"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"modality: \xff\xfe")
    with pytest.raises(ValueError, match="not text in UTF-8"):
        read(path)


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert read(tmp_path / "c.yaml") == {}


@pytest.mark.parametrize(
    ("pairs", "values"),
    [
        (["seed=3"], {"seed": 3}),
        (["training.lr=1e-3"], {"training": {"lr": 0.001}}),
        (["training.lr=1E3"], {"training": {"lr": 1000.0}}),
        (["a.b.c=1", "a.b.d=2", "a.e=x"], {"a": {"b": {"c": 1, "d": 2}, "e": "x"}}),
        (["a=[0.9, 0.95]"], {"a": [0.9, 0.95]}),
        (["a={name: ve, sigma_max: 40}"], {"a": {"name": "ve", "sigma_max": 40}}),
        (["a=true", "b=false"], {"a": True, "b": False}),
        (["a=word", "b=the end", "c="], {"a": "word", "b": "the end", "c": None}),
        (["a=x=y"], {"a": "x=y"}),
        (["a=1", "a=2"], {"a": 2}),
        (["a='3'"], {"a": "3"}),
        (["a=~/models/plane.e3"], {"a": "~/models/plane.e3"}),
        ([], {}),
    ],
)
def test_settings_are_read_as_one_would_mean_them(pairs: list[str], values: dict[str, Any]) -> None:
    assert settings(pairs) == values


def test_small_numbers_in_lists_and_mappings_arrive_as_numbers() -> None:
    values = settings(["training.betas=[9e-1, 99e-2]", "process={name: ve, sigma_max: 4e1}"])
    config = validate({"modality": "m"} | values)
    assert config.training.betas == (0.9, 0.99)
    assert choose("process", PROCESSES, config.process) == VE(sigma_max=40.0)


@pytest.mark.parametrize("pair", ["seed", "=3", "", ".a=1", "a.=1", "a..b=1", "a=[1", "a=b: c: d", " = 1"])
def test_a_setting_that_is_none_is_refused_in_one_line(pair: str) -> None:
    with pytest.raises(ValueError, match=r"is not") as caught:
        settings([pair])
    assert "\n" not in str(caught.value)


def test_a_value_is_not_a_section() -> None:
    with pytest.raises(ValueError, match="training is already a value"):
        settings(["training=3", "training.lr=1"])


@unhurried
@given(
    st.dictionaries(words, st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=5)
)
def test_settings_give_back_the_numbers_they_were_written_from(values: dict[str, Any]) -> None:
    again = settings([f"{key}={json.dumps(value)}" for key, value in values.items()])
    assert again == values
    assert [type(v) for v in again.values()] == [type(v) for v in values.values()]


def test_a_value_of_several_kinds_is_refused_by_its_key_and_all_of_them() -> None:
    with pytest.raises(ValueError, match=r"training\.threads: should be 'auto' or should be a valid integer"):
        validate({"modality": "points2d", "training": {"threads": "many"}})
    with pytest.raises(
        ValueError, match=r"training\.threads: should be 'auto' or should be greater than or equal to 1"
    ):
        validate({"modality": "points2d", "training": {"threads": 0}})
