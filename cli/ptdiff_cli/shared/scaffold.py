"""A new plugin: the files of its distribution, from the templates that ship with ptdiff.

The templates are files with ``${...}`` for the names, filled by :class:`string.Template`.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

KINDS = ("modality",)
"""The kinds of plugins that there are templates for."""

RESERVED = "tensors"
"""The name of runs on plain tensors in config.yaml."""

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
    "${package}/__init__.py": "module.py",
    "${package}/network.py": "network.py",
    "${package}/py.typed": None,
    "${package}/recipes/${name}-quick.yaml": "recipe.yaml",
    "tests/test_${name}.py": "test.py",
}
"""The files of a distribution, each with its template; None for an empty file."""


def checked_name(name: str) -> str:
    """``name``, if a new modality can have it.

    Raises ValueError, in one line, for a name that is no lower-case identifier, is taken, or would hide a package.
    """
    from ptdiff.modality import registry

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        advice = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        near = f", such as {advice!r}" if advice and not keyword.iskeyword(advice) else ""
        raise ValueError(
            f"{name!r} cannot be the name of a plugin: it must be lower-case letters, digits and underscores, begin "
            f"with a letter, and be no word of Python{near}"
        )
    for listed in registry.modalities():
        if listed.name == name:
            raise ValueError(
                f"{name!r} is a modality of {listed.distribution} {listed.version}: choose another name, because two "
                "plugins cannot share one"
            )
    package = names(name)["package"]
    if name == RESERVED or importlib.util.find_spec(package) is not None:
        raise ValueError(f"{name!r} is taken: there already is a package {package}; choose another name")
    return name


def names(name: str) -> dict[str, str]:
    """The names that templates contain, from the name of the plugin."""
    from ptdiff import __version__

    words = [word for word in name.split("_") if word]
    class_name = "".join(word.capitalize() for word in words)
    if class_name in re.findall(r"\w+", _template("modality", "module.py")):
        # as Data and Image would be, which the module imports
        class_name += "Modality"
    return {
        "name": name,
        "title": " ".join(words).capitalize(),
        "class_name": class_name,
        "package": f"ptdiff_{name}",
        "distribution": "ptdiff-" + "-".join(words),
        "ptdiff": __version__,
    }


def texts(name: str, kind: str = "modality") -> dict[str, str]:
    """The files of a new distribution by their path in it."""
    from ptdiff.choices import one_of

    one_of("kind of plugin", kind, KINDS)
    there = names(name)
    made = {}
    for path, template in FILES.items():
        text = "" if template is None else _template(kind, template)
        made[Template(path).substitute(there)] = Template(text).substitute(there)
    return made


def _template(kind: str, name: str) -> str:
    return (files("ptdiff_cli") / "templates" / kind / f"{name}.template").read_text(encoding="utf-8")


def write(folder: Path, name: str, kind: str = "modality") -> list[Path]:
    """Write the files of a new distribution to ``folder``, which must not exist, and return them.

    Raises ValueError for a name that it cannot have, UnknownName for an unknown kind, and FileExistsError.
    """
    made = texts(checked_name(name), kind)
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(f"{folder} already exists: choose another --out")
    folder.mkdir(parents=True)
    for path, text in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return [folder / path for path in made]
