"""Options of sampling: converts names, mappings and objects to a Plan, and a Plan to plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from ptdiff.choices import Catalog, described, unknown
from ptdiff.grid import SPACINGS, End, Spacing
from ptdiff.guidance import GUIDANCE, Guidance
from ptdiff.guidance.threshold import THRESHOLDS, Threshold
from ptdiff.process import PROCESSES, Process
from ptdiff.run.config import merged, read, sampling
from ptdiff.sampling.sampler import Plan
from ptdiff.solvers import ADAPTIVE, SOLVERS, Adaptive, Solver

Named = str | Mapping[str, Any]
"""A name, such as "heun", or a mapping with a name and options, such as {"name": "ve", "sigma_max": 40}."""


class Options(TypedDict, total=False):
    """Options of sampling that differ from the plan of a model; None keeps the plan's value.

    A choice is a name, a mapping with a name and options, a mapping with options for the current name, or an object.
    ``guidance``: a number is the scale of the current rule.  ``spacing``: may be a file from ``ptdiff optimize``.
    """

    solver: Named | Solver | Adaptive | None
    steps: int | None
    process: Named | Process | None
    spacing: Named | Path | Spacing | None
    end: End | None
    guidance: float | Named | Guidance | None
    threshold: Named | Threshold | None
    noise: Literal["path", "independent"] | None
    precision: Literal["auto", "32", "bf16"] | None


CATALOGS: Mapping[str, Catalog[Any]] = {
    "process": PROCESSES,
    "solver": SOLVERS | ADAPTIVE,
    "spacing": SPACINGS,
    "guidance": GUIDANCE,
    "threshold": THRESHOLDS,
}
"""The options that are choices, each with its catalog."""


def facts(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, including all options."""
    return {field.name: _plain(field.name, getattr(plan, field.name)) for field in fields(plan)}


def _plain(name: str, value: Any) -> Any:
    return (
        value if name not in CATALOGS or value is None or isinstance(value, str) else described(CATALOGS[name], value)
    )


def changed(plan: Plan, options: Mapping[str, Any]) -> Plan:
    """``plan`` with ``options`` in place of its own, see :class:`Options`.

    Here None is a value, which removes a threshold.  Raises UnknownName for an unknown name, and ValueError for a wrong
    value or combination, because the solver is compiled for the grid.
    """
    names = [field.name for field in fields(Plan) if field.name != "seed"]
    for name in options:
        if name not in names:
            raise unknown("option of sampling", name, names)
    made = {name: value for name, value in options.items() if _is_object(name, value)}
    named = {name: _shortened(name, value) for name, value in options.items() if name not in made}
    # objects of classes that are not in a catalog stay as they are
    kept = {name: getattr(plan, name) for name in CATALOGS if not _has_name(name, getattr(plan, name))}
    base = {name: _plain(name, getattr(plan, name)) for name in names if name not in {**made, **kept}}
    chosen = merged(base, named)
    made = {name: value for name, value in kept.items() if name not in named} | made
    process = chosen.pop("process", "flow")
    process = {"name": process} if isinstance(process, str) else process
    found = replace(Plan.chosen(process, sampling(chosen), plan.seed), **made)
    if isinstance(found.solver, Adaptive):
        found.levels()
    else:
        found.table()
    return found


def _is_object(name: str, value: Any) -> bool:
    """True if ``value`` is an object of a choice; ValueError if it is of a wrong type."""
    if name not in CATALOGS or value is None or isinstance(value, (str, Mapping, int, float, Path)):
        return False
    if isinstance(value, type):
        raise ValueError(f"{name} must be an object, {value.__name__}(), not the class")
    # solvers and spacings are protocols, so their methods are checked
    parts = {"solver": ("table", "trajectory"), "spacing": ("times",)}
    known = {"guidance": Guidance, "threshold": Threshold, "process": Process}.get(name)
    if (known is not None and not isinstance(value, known)) or (
        known is None and not any(hasattr(value, part) for part in parts[name])
    ):
        raise ValueError(f"{name} must be a name, a mapping or a {name} object, not {type(value).__name__}")
    return True


def _has_name(name: str, value: Any) -> bool:
    return value is None or isinstance(value, str) or CATALOGS[name].name_of(type(value)) is not None


def _shortened(name: str, value: Any) -> Any:
    if name == "guidance" and isinstance(value, (int, float)) and not isinstance(value, bool):
        # the scale of the current rule
        return {"scale": float(value)}
    if name == "spacing" and isinstance(value, (str, Path)) and Path(value).suffix == ".yaml":
        if not Path(value).is_file():
            raise ValueError(f"spacing {value} does not exist; 'ptdiff optimize' writes such files")
        return read(Path(value))
    return value
