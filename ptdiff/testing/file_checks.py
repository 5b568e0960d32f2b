"""Checks of file formats: writers, readers, and files that cannot be read."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ptdiff.errors import Unsupported
from ptdiff.modality.contract import Modality
from ptdiff.modality.ragged import sets_of
from ptdiff.testing.subject import Subject, assert_reported, skip

if TYPE_CHECKING:
    from ptdiff.modality.types import Array


def formats_have_names(subject: Subject) -> None:
    """Check that formats are suffixes without dot, in lower case, and none is npz, which every modality has."""
    names = [*subject.modality.formats(), *subject.modality.tables()]
    if not names:
        skip("there are no formats() and no tables()")
    bad = [name for name in names if not re.fullmatch(r"[a-z0-9]+(\.[a-z0-9]+)*", name)]
    assert not bad, f"name formats by their suffix, in lower case and without the dot, not {', '.join(map(repr, bad))}"
    assert "npz" not in names, "the format npz is that of ptdiff: choose another suffix"


def files_are_written(subject: Subject) -> None:
    """Check that every format writes a file that is not empty, and nothing beside it."""
    formats = subject.modality.formats()
    if not formats:
        skip("there are no formats()")
    x = _samples(subject)
    for suffix, write in formats.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"sample.{suffix.lstrip('.')}"
            write(path, x[0].copy())
            assert path.is_file() and path.stat().st_size > 0, f"format {suffix} wrote nothing to {path.name}"
            others = sorted(other.name for other in Path(folder).iterdir() if other != path)
            assert not others, f"format {suffix} leaves {', '.join(others)} beside {path.name}"


def tables_are_written(subject: Subject) -> None:
    """Check that every table writes a file that is not empty, with and without classes."""
    tables = subject.modality.tables()
    if not tables:
        skip("there are no tables()")
    x = _samples(subject)
    for suffix, write in tables.items():
        for classes in ([], ["one"] * len(x)):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"all.{suffix.lstrip('.')}"
                write(path, x, classes)
                assert path.is_file() and path.stat().st_size > 0, f"table {suffix} wrote nothing"


def files_are_read_as_they_were_written(subject: Subject) -> None:
    """Check that read() returns what the writer of each format that it knows wrote, up to the loss of the format."""
    import numpy as np

    _needs_reader(subject)
    known = 0
    x = _samples(subject)[0]
    for suffix, write in subject.modality.formats().items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"sample.{suffix}"
            write(path, x.copy())
            try:
                back = np.asarray(subject.modality.read(path))
            except Unsupported:
                continue
        known += 1
        assert back.shape == x.shape, f"{suffix}: a sample of shape {x.shape} is read with shape {back.shape}"
        error = float(np.abs(back - x).mean() / (float(x.std()) or 1.0))
        assert error < 0.05, (
            f"{suffix}: numbers come back with an error of {error:.0%} of their spread: writer and read() disagree "
            "about units, axes or order"
        )
    assert known, "read() reads none of the formats()"


def files_that_cannot_be_read_are_reported(subject: Subject) -> None:
    """Check that missing, empty and damaged files raise OSError or ValueError with one line."""
    _needs_reader(subject)
    suffixes = list(subject.modality.formats()) or ["bin"]
    for suffix in suffixes:
        with tempfile.TemporaryDirectory() as folder:
            empty, damaged = Path(folder) / f"empty.{suffix}", Path(folder) / f"damaged.{suffix}"
            empty.write_bytes(b"")
            damaged.write_bytes(bytes(range(256)) * 4)
            for path in (Path(folder) / f"missing.{suffix}", empty, damaged):
                assert_reported(lambda path=path: subject.modality.read(path), f"read() of a file that is {path.stem}")  # type: ignore[misc]


def sample_files_are_read_again(subject: Subject) -> None:
    """Check that the .npz file of ``ptdiff sample`` comes back with its samples, classes and modality."""
    import numpy as np

    from ptdiff.sampling.samples import Samples

    found = subject.sample(2, steps=2)
    with tempfile.TemporaryDirectory() as folder:
        again = Samples.read(found.save(Path(folder) / "samples.npz"), subject.modality)
    assert all(map(np.array_equal, again.sets, found.sets))
    assert again.classes == found.classes


def missing_sources_are_reported(subject: Subject) -> None:
    """Check that import_data and check_data raise OSError or ValueError for a folder that does not exist."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "missing", Path(folder) / "target"
        calls = {
            "import_data": lambda: subject.modality.import_data(source, target, points=8, replace=False),
            "check_data": lambda: subject.modality.check_data(source),
        }
        defined = [name for name in calls if _overrides(subject, name)]
        if not defined:
            skip("there are no import_data and no check_data")
        for name in defined:
            assert_reported(calls[name], f"{name} of a folder that does not exist")


def _samples(subject: Subject) -> Array:
    """Training samples as files hold them: with the data's origin, each with its own number of elements."""
    from ptdiff.modality.offsets import with_origin

    x: Array = sets_of(with_origin(subject.shown(), subject.data.origin))
    return x


def _overrides(subject: Subject, name: str) -> bool:
    return getattr(type(subject.modality), name) is not getattr(Modality, name)


def _needs_reader(subject: Subject) -> None:
    if not _overrides(subject, "read"):
        skip("there is no read(): samples are read from .npz files alone")
