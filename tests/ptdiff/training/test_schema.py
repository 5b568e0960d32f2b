"""The JSON Schema and the reader agree on what a configuration is."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ptdiff.documents.yamls import yaml_text
from ptdiff.modality.registry import modality_class
from ptdiff.run.config import Config, defaults, merged, read
from ptdiff.run.recipes import recipes
from ptdiff.training.configuration import resolve
from ptdiff.training.schema import CATALOGS, schema

SCHEMA = schema()
CHECKER = jsonschema.Draft202012Validator(SCHEMA)
COUNT = 200

CHOICES = {
    "process": ("process",),
    "objective": ("objective",),
    "density": ("density",),
    "weighting": ("weighting",),
    "loss": ("loss",),
    "coupling": ("coupling",),
    "optimizer": ("training", "optimizer"),
    "schedule": ("training", "schedule"),
    "average": ("training", "ema"),
    "solver": ("sampling", "solver"),
    "spacing": ("sampling", "spacing"),
}

OUT_OF_RANGE: list[tuple[tuple[str, ...], list[Any]]] = [
    (("seed",), [-1, 2**63]),
    (("training", "steps"), [0, -5, 10**13]),
    (("training", "batch"), [0, 10**9]),
    (("training", "lr"), [0, -1e-3]),
    (("training", "betas"), [[0.9], [0.9, 0.99, 0.999], [1.0, 0.9], [-0.1, 0.9]]),
    (("training", "condition_dropout"), [1.5, -0.1]),
    (("training", "ema"), [1.0, -0.1]),
    (("training", "averages"), [[0.9] * 65, [2.0]]),
    (("training", "keep"), [0]),
    (("training", "threads"), [0, 10**6]),
    (("sampling", "steps"), [0, 10**9]),
]

OF_ANOTHER_KIND = ["text", True, [1], {"x": 1}, 1.5, 7, None]
"""Values of which some do not fit a key."""


def bases() -> list[dict[str, Any]]:
    """Complete configurations of every modality and of every recipe, as they stand in config.yaml."""
    found = [resolve({"modality": name})[0] for name in ("points2d", "pointcloud", "images")]
    return [config.model_dump(mode="json") for config in found]


def at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def typo(word: str, rng: random.Random) -> str:
    """The word with two letters exchanged, one left out, or one twice."""
    i = rng.randrange(len(word) - 1)
    return rng.choice(
        [
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + word[i + 1 :],
            word[:i] + word[i : i + 1] + word[i:],
        ]
    )


def spoiled(values: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], str | None]:
    """A copy with one fault, and the right name if the fault is a misspelt one."""
    values = copy.deepcopy(values)
    way = rng.choice(["key", "choice", "option", "kind", "range", "modality option"])
    if way == "key":
        section = at(values, rng.choice([(), ("training",), ("sampling",)]))
        right = rng.choice([key for key in section if len(key) > 4])
        wrong = typo(right, rng)
        section[wrong] = section.pop(right)
        # a doubled letter may be the same letter: then the configuration is whole
        return values, right if wrong != right else None
    if way in ("choice", "option"):
        kind = rng.choice(list(CHOICES))
        path = CHOICES[kind]
        section = at(values, path[:-1])
        names = [name for name in CATALOGS[kind] if len(name) > 3]
        if way == "choice":
            right = rng.choice(names)
            wrong = typo(right, rng)
            section[path[-1]] = wrong if rng.random() < 0.5 else {"name": wrong}
            return values, None if wrong in CATALOGS[kind] else right
        section[path[-1]] = {"name": section[path[-1]]["name"], "no_such_option": 1}
        return values, None
    if way == "range":
        path, wrong = rng.choice(OUT_OF_RANGE)
        at(values, path[:-1])[path[-1]] = rng.choice(wrong)
        return values, None
    if way == "modality option":
        options = values["options"]
        if rng.random() < 0.5:
            right = rng.choice([key for key in options if len(key) > 4])
            options[typo(right, rng)] = options.pop(right)
            return values, right
        options[rng.choice(["width", "layers", "blocks"])] = rng.choice([0, -3, 10**9, "wide", True])
        return values, None
    path = rng.choice(
        [
            ("seed",),
            ("prediction",),
            ("options",),
            *(("training", key) for key in Config(modality="x").training.model_dump()),
        ]
    )
    at(values, path[:-1])[path[-1]] = rng.choice(OF_ANOTHER_KIND)
    return values, None


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA)


def test_every_recipe_every_default_and_every_saved_configuration_is_valid(tmp_path: Path) -> None:
    for recipe in recipes():
        CHECKER.validate({"modality": recipe.modality} | read(recipe.path))
    for values in bases():
        CHECKER.validate(values)
        CHECKER.validate(merged(defaults(values["modality"]), {"options": values["options"]}))


@pytest.mark.parametrize("kind", sorted(CHOICES))
def test_every_choice_with_all_its_options_is_valid(kind: str) -> None:
    from ptdiff.choices import described

    path = CHOICES[kind]
    for name, cls in CATALOGS[kind].items():
        try:
            whole = described(CATALOGS[kind], cls())
        except TypeError:
            # an option without a default
            continue
        for value in (name, json.loads(json.dumps(whole))):
            values: dict[str, Any] = {path[0]: value} if len(path) == 1 else {path[0]: {path[1]: value}}
            CHECKER.validate(values)


@pytest.mark.parametrize("part", range(4))
def test_the_schema_and_the_reader_agree_on_spoiled_configurations(part: int, tmp_path: Path) -> None:
    """Both take a configuration or both refuse it; the reader in one line, with the right name for a misspelt one."""
    whole, refused = bases(), 0
    for number in range(part * COUNT // 4, (part + 1) * COUNT // 4):
        rng = random.Random(f"spoiled {number}")
        values, right = spoiled(rng.choice(whole), rng)
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml_text(values), encoding="utf-8")
        try:
            resolve(read(path))
            message = ""
        except ValueError as error:
            message = str(error)
        faults = [error.message for error in CHECKER.iter_errors(values)]
        assert bool(faults) == bool(message), (number, message, faults, values)
        assert len(message.splitlines()) <= 1, message
        if message and right is not None:
            assert f"did you mean {right!r}" in message or right in message, (number, right, message)
        refused += bool(message)
    assert refused > COUNT // 4 * 0.7


def test_the_schema_that_ships_is_the_one_that_is_generated() -> None:
    shipped = Path(__file__).parents[3] / "cli" / "ptdiff_cli" / "config.schema.json"
    names = ("images", "pointcloud", "points2d")
    fresh = json.dumps(schema({name: modality_class(name) for name in names}), indent=1) + "\n"
    command = "ptdiff config schema --out cli/ptdiff_cli/config.schema.json"
    assert shipped.read_text(encoding="utf-8") == fresh, f"write it again: {command}"
