"""Checks of the options of a modality and of what a configuration makes of them."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, get_type_hints

from ptdiff.choices import build
from ptdiff.modality.contract import Modality
from ptdiff.testing.subject import Subject, skip

WRONG = ({"no": ["such", "value"]}, [{"no": "such value"}])
"""Values of which no option can accept both, unless it accepts anything."""

FAR = -(10**15)
"""A number below the range of every option."""


def options_are_a_frozen_dataclass(subject: Subject) -> None:
    """Check that the class itself is a frozen dataclass, as its options are its fields."""
    # parameters of the class itself: an undecorated class inherits those of the contract and has no options
    declared = vars(type(subject.modality)).get("__dataclass_params__")
    assert declared is not None and declared.frozen, "declare the modality with @dataclass(frozen=True)"


def options_survive_config_yaml(subject: Subject) -> None:
    """Check that the options of a run come back from its config.yaml and from sample files as they were."""
    from ptdiff.documents.yamls import parse_yaml
    from ptdiff.run.config import Config

    options = dataclasses.asdict(subject.modality)
    written = Config(modality="it", options=json.loads(json.dumps(options))).to_yaml()
    again = build(type(subject.modality).__name__, type(subject.modality), parse_yaml(written)["options"])
    assert again == subject.modality, (
        f"options change on their way through config.yaml: give them plain types, such as int, str or tuple[int, ...] "
        f"({options} became {dataclasses.asdict(again)})"
    )


def every_option_has_a_help_text(subject: Subject) -> None:
    """Check that ``ptdiff modalities NAME`` can say what each option means."""
    bare = [field.name for field in dataclasses.fields(subject.modality) if not field.metadata.get("help")]
    assert not bare, f"no help text for {', '.join(bare)}: declare options with option(default, text)"


def options_of_the_wrong_type_are_refused(subject: Subject) -> None:
    """Check that a value of another type is refused with one line when the configuration is read."""
    for field in dataclasses.fields(subject.modality):
        accepted = [value for value in WRONG if _accepted(subject.modality, field.name, value)]
        assert len(accepted) < len(WRONG), (
            f"the option {field.name} accepts {WRONG[0]}: annotate it with its type, such as int or str"
        )


def numbers_have_a_range(subject: Subject) -> None:
    """Check that numbers far below any sensible value, and NaN, are refused before anything is built."""
    hints = get_type_hints(type(subject.modality))
    for field in dataclasses.fields(subject.modality):
        for value in (FAR, math.nan):
            if hints[field.name] is Any or not _fits(hints[field.name], value):
                continue
            assert not _accepted(subject.modality, field.name, value), (
                f"the option {field.name} accepts {value:g}: give it a range, option(default, text, least=...)"
            )


def of_data_names_options(subject: Subject) -> None:
    """Check that ``of_data``, which fine-tuning on other data reads, names options that exist."""
    kind = type(subject.modality)
    if kind.of_data == Modality.of_data:
        skip("of_data is the default")
    unknown = set(kind.of_data) - {field.name for field in dataclasses.fields(kind)}
    assert not unknown, f"of_data names {', '.join(sorted(unknown))}, which are no options"


def the_class_has_a_help_text(subject: Subject) -> None:
    """Check that the docstring of the class begins with a line for ``ptdiff modalities``."""
    kind = type(subject.modality)
    text = (vars(kind).get("__doc__") or "").strip()
    # dataclasses write the signature into classes without a docstring
    assert text and not text.startswith(f"{kind.__name__}("), (
        f"write a docstring for the class {kind.__name__}: its first line describes the data"
    )


def the_recipe_fits_the_configuration(subject: Subject) -> None:
    """Check that recipe() and every recipe file have known keys with values of the right type."""
    from ptdiff.run.config import merged, read
    from ptdiff.training.configuration import resolve

    values = merged(subject.modality.recipe(), {"modality": "it"})
    resolve(values, kind=subject.modality)
    for name, path in type(subject.modality).recipes().items():
        try:
            given = read(path)
            build(f"recipe {name}", type(subject.modality), given.get("options", {}))
            resolve(merged(values, given | {"modality": "it"}), kind=subject.modality)
        except ValueError as error:
            raise AssertionError(f"recipes/{path.name}: {error}") from error


def _fits(hint: Any, value: Any) -> bool:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError:
        return False
    return True


def _accepted(modality: Modality, name: str, value: Any) -> bool:
    """True if the modality can be built with ``value``; other errors than ValueError end a command with a traceback."""
    try:
        build(type(modality).__name__, type(modality), {name: value})
    except ValueError:
        return False
    return True
