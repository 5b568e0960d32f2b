"""Checks of the package: its imports, its side effects in a process of its own, and its metadata."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import distribution, entry_points, packages_distributions, requires
from pathlib import Path
from typing import Any

from ptdiff.modality import registry
from ptdiff.modality.registry import GROUP, Listed
from ptdiff.testing.subject import Subject, skip

PUBLIC = (
    "ptdiff.choices",
    "ptdiff.denoiser.embedding",
    "ptdiff.denoiser.latent_code",
    "ptdiff.denoiser.network",
    "ptdiff.errors",
    "ptdiff.grid",
    "ptdiff.guidance",
    "ptdiff.metrics",
    "ptdiff.modality",
    "ptdiff.noise",
    "ptdiff.pictures.files",
    "ptdiff.pictures.page",
    "ptdiff.pictures.plot",
    "ptdiff.process",
    "ptdiff.solvers",
    "ptdiff.testing",
)
"""Modules that plugins may import, with the modules in them; all others may change with any version."""

HEAVY = ("torch", "torch_geometric", "pytorch_lightning", "matplotlib", "scipy", "sklearn", "skimage", "pandas")
"""Libraries that take a noticeable time to import; listing the modalities must not wait for them."""

SECONDS = 1.0
"""Most seconds of CPU time that importing a module may take."""

PATIENCE = 300.0
"""Seconds for a plugin to be imported and read in a process of its own."""


def importing_is_light(subject: Subject) -> None:
    """Check that importing the module and building the modality load no large library."""
    report = _observed(subject)
    for what, name in (("importing the module", "imported"), ("building the modality", "built")):
        heavy = [library for library in HEAVY if library in report[name]["loaded"]]
        assert not heavy, f"{what} imports {', '.join(heavy)}: import them inside the methods that use them"
    seconds = report["imported"]["seconds"]
    assert seconds < SECONDS, (
        f"importing the module takes {seconds:.1f} s: import {', '.join(report['imported']['loaded'][:8])} inside the "
        "methods that use them"
    )


def importing_has_no_effects(subject: Subject) -> None:
    """Check that importing the module and building the modality print, write and download nothing."""
    report = _observed(subject)
    for what, name in (("importing the module", "imported"), ("building the modality", "built")):
        seen = report[name]
        assert not seen["connected"], f"{what} connects to {seen['connected'][0]}: download in dataset()"
        outside = _outside(seen["written"])
        assert not outside, f"{what} writes {outside[0]}: leave files alone until dataset()"
        assert not seen["printed"].strip(), f"{what} prints {seen['printed'].strip()[:80]!r}: remove the output"


def reading_data_prints_nothing(subject: Subject) -> None:
    """Check that dataset() and backbone() leave the terminal to the command."""
    text = _read(subject)["printed"].strip()
    assert not text, f"dataset() or backbone() print {text[:80]!r}: put facts into Data(..., summary=...)"


def reading_data_writes_to_the_cache_alone(subject: Subject) -> None:
    """Check that dataset() writes no file outside the cache of the user and the folder for temporary files."""
    outside = _outside(_read(subject)["written"])
    assert not outside, f"dataset() writes {outside[0]}: use a folder in ~/.cache or a temporary one"


def another_process_finds_the_same(subject: Subject) -> None:
    """Check that samples and initial weights are the same in another process, as resuming needs."""
    from ptdiff.testing.probe import digest

    report = _observed(subject)
    _read(subject)
    x, cond = subject.batch(seed=5)
    assert report["hashes"]["train"] == digest({"x": x, **cond}), (
        "another process reads other samples for the same ids and seed: nothing may depend on hash(), on the order of "
        "a set or of a folder, or on the time"
    )
    assert report["hashes"]["weights"] == digest(dict(subject.fresh().state_dict())), (
        "another process initializes other weights for the same torch.manual_seed"
    )


def imports_are_public(subject: Subject) -> None:
    """Check that the package imports from ptdiff only what plugins may import."""
    kind = type(subject.modality)
    listed = _listed(subject)
    if listed is not None and listed.distribution == "ptdiff":
        skip("it ships with ptdiff, whose internals are always of the same version")
    for file in _sources(kind):
        for name, line in _imports(file):
            assert not _is_internal(name, kind.__module__.partition(".")[0]), (
                f"{file.name}:{line} imports {name}, which may change with any version of ptdiff: use one of "
                f"{', '.join(PUBLIC)}"
            )


def the_entry_point_leads_to_the_class(subject: Subject) -> None:
    """Check that the installed name loads this class."""
    listed = _installed(subject)
    assert registry.modality_class(listed.name) is type(subject.modality), (
        f"the entry point {listed.name} = {listed.target} leads to another class"
    )


def the_name_is_its_own(subject: Subject) -> None:
    """Check that the name is lower-case, and that of no modality of another distribution."""
    listed = _installed(subject)
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", listed.name), (
        f"name the modality with lower-case letters, digits and hyphens, not {listed.name!r}"
    )
    owners = {entry.dist.name for entry in entry_points(group=GROUP, name=listed.name) if entry.dist is not None}
    assert owners == {listed.distribution}, f"{listed.name} is also a modality of {', '.join(sorted(owners))}"


def the_distribution_requires_ptdiff(subject: Subject) -> None:
    """Check that the distribution has a version, and declares that it needs ptdiff and which Python."""
    listed = _installed(subject)
    if listed.distribution == "ptdiff":
        skip("it ships with ptdiff")
    found = distribution(listed.distribution)
    assert re.match(r"\d", found.version or ""), f"{listed.distribution} has no version in pyproject.toml"
    needs = [re.split(r"[\s<>=!~;\[(]", need)[0].lower() for need in requires(listed.distribution) or []]
    assert "ptdiff" in needs, f'{listed.distribution} does not require ptdiff: dependencies = ["ptdiff"]'
    assert "Requires-Python" in found.metadata, f'{listed.distribution}: set requires-python = ">=3.11"'


def _outside(written: Sequence[str]) -> list[str]:
    """The files that are neither temporary nor in a cache of the user."""
    variables = ("PTDIFF_CACHE", "PTDIFF_DATA", "XDG_CACHE_HOME", "MPLCONFIGDIR", "TORCH_HOME", "HF_HOME")
    chosen = [Path(os.environ[variable]) for variable in variables if os.environ.get(variable)]
    # matplotlib makes its folder of settings when it is imported
    own = Path(tempfile.gettempdir()), Path.home() / ".cache", Path.home() / ".config" / "matplotlib"
    allowed = [folder.resolve() for folder in (*own, *chosen)]
    return [path for path in written if not any(Path(path).resolve().is_relative_to(folder) for folder in allowed)]


def _listed(subject: Subject) -> Listed | None:
    kind = type(subject.modality)
    target = f"{kind.__module__}:{kind.__qualname__}"
    return next((listed for listed in registry.modalities() if listed.target == target), None)


def _installed(subject: Subject) -> Listed:
    found = _listed(subject)
    if found is None:
        skip(f"no installed distribution has an entry point for {type(subject.modality).__name__}")
    return found


def _read(subject: Subject) -> dict[str, Any]:
    """The report on reading the data in another process; skipped if that fails."""
    report = _observed(subject)
    if "read" not in report or report["read"]["problem"]:
        skip("needs dataset() and backbone(data), which fail")
    found: dict[str, Any] = report["read"]
    return found


def _observed(subject: Subject) -> Mapping[str, Any]:
    """What another process reports about the modality."""
    kind = type(subject.modality)
    if "<locals>" in kind.__qualname__ or not _is_importable(kind.__module__):
        skip(f"another process cannot import {kind.__module__}:{kind.__qualname__}")
    report: dict[str, Any] = _report(
        f"{kind.__module__}:{kind.__qualname__}", json.dumps(dataclasses.asdict(subject.modality))
    )
    if report["imported"]["problem"]:
        raise AssertionError(f"another process cannot import the module: {report['imported']['problem']}")
    return report


def _is_importable(module: str) -> bool:
    try:
        return module != "__main__" and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@cache
def _report(name: str, options: str) -> Any:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-m", "ptdiff.testing.probe", name, options]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "7"},
    )
    if done.returncode or not done.stdout:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise AssertionError(f"a process that imports the module and reads the data ends with: {last}")
    return json.loads(done.stdout)


def _sources(kind: type) -> list[Path]:
    """The Python files of the package of a class, or of its single module."""
    package = kind.__module__.partition(".")[0]
    spec = importlib.util.find_spec(package) if _is_importable(package) else None
    if spec is None or spec.origin is None:
        skip(f"the source of {package} is not found")
    return sorted(Path(spec.origin).parent.rglob("*.py")) if spec.submodule_search_locations else [Path(spec.origin)]


def _imports(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _is_internal(name: str, own: str) -> bool:
    """True for an import of a part of ptdiff that is not public."""
    top, *rest = name.split(".")
    if top == own or not top.startswith("ptdiff"):
        return False
    if top != "ptdiff":
        return "ptdiff" in packages_distributions().get(top, [])
    if any(part.startswith("_") for part in rest):
        return True
    from ptdiff import MODULES
    from ptdiff import PUBLIC as FRONT

    if not rest or rest[0] in {*FRONT, *MODULES}:
        return False
    return not any(name == public or name.startswith(f"{public}.") for public in PUBLIC)
