"""Reading and writing of sample files.

    .npz               samples (n, *shape) float, or, for sets of different sizes, all their elements (m, …) one set
                       after the other, and offsets (n + 1,) int: set i is samples[offsets[i]:offsets[i + 1]];
                       label (n,) int, -1 for none; classes: names; modality: name; options: JSON;
                       trajectory (t, n, *shape) or (t, m, …): states from noise to data, if they were kept;
                       condition.NAME (n, …): each condition given, numbers (NaN: none) or names ("none")
    .csv .parquet …    all samples in one file: :meth:`ptdiff.modality.contract.Modality.tables`
    .ply .png …        one sample in each file: :meth:`ptdiff.modality.contract.Modality.formats`

All numbers are in world units, plus the ``origin`` of the data (:class:`ptdiff.modality.data.Data`), which an .npz
names; samples with one are float64 in the file, and float32 without it in memory.  Nothing here needs torch.  Files
contain no pickles and no import paths.
"""

from __future__ import annotations

import json
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptdiff.choices import unknown
from ptdiff.documents.atomic import whole
from ptdiff.documents.files import opened
from ptdiff.documents.jsons import parse_json
from ptdiff.errors import Unsupported, reading
from ptdiff.modality.conditions import MOST_CONDITIONS
from ptdiff.modality.offsets import find_origin, with_origin, without_origin
from ptdiff.modality.ragged import is_ragged, sets_of, sizes_of
from ptdiff.sampling.formats import reader, writers

if TYPE_CHECKING:
    import numpy.typing as npt

    from ptdiff.modality.contract import Modality
    from ptdiff.modality.types import TableWriter


NAMES = ("samples", "label", "classes", "modality", "options", "trajectory", "origin", "offsets")
"""The arrays of an .npz file of samples; others are not read, except for conditions."""

CONDITION = "condition."
"""Prefix of the names of arrays of conditions."""

FREE_EXPANSION, MOST_EXPANSION = 1 << 26, 32
"""Bytes to which any .npz file may expand, and how many times its size a larger one may: samples hardly compress, and
DEFLATE makes up to 1,000 bytes of zeros from one."""

MOST_NAME = 50
"""Most characters of a title in a file name: with four bytes each, they fit the 255 bytes that file systems allow."""

MOST_HEADER = 10_000
"""Largest header of an array in bytes, NumPy's own bound: a header has a shape and a type."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The contents of a file of samples.

    ``samples``: (n, *shape) float32; sets of different sizes are padded with NaN, see :attr:`sets`.
    ``label``: (n,) int64, index into ``classes``, -1 for none.
    ``classes``: names.  ``modality``, ``options``: as in a run's config.yaml; "" if the file does not say.
    ``trajectory``: (t, n, *shape) float32, or None.
    ``origin``: what the numbers lack of those in the file, one for each entry of the last axis; () for nothing.
    ``conditions``: by name, (n, …) each: float32, NaN for none, or the names of categories, "none" for none.
    """

    samples: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    classes: tuple[str, ...] = ()
    modality: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    trajectory: npt.NDArray[np.float32] | None = None
    origin: tuple[float, ...] = ()
    conditions: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def world(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        """Numbers of ``samples`` or ``trajectory`` as in the file: float64 with the origin, or as they are."""
        return with_origin(x, self.origin)

    def moved(self, origin: tuple[float, ...]) -> Stored:
        """The same samples with another origin; ValueError if it has another length than the last axis."""
        if origin == self.origin:
            return self
        if origin and len(origin) != self.samples.shape[-1]:
            raise ValueError(f"samples of {self.samples.shape[-1]} numbers for an origin of {len(origin)}")
        by = tuple((np.zeros(self.samples.shape[-1]) + (origin or 0.0) - np.array(self.origin or 0.0)).tolist())
        way = None if self.trajectory is None else without_origin(self.trajectory, by)
        return replace(self, samples=without_origin(self.samples, by), trajectory=way, origin=origin)

    @property
    def sets(self) -> npt.NDArray[Any]:
        """The samples without padding: an object array (n,) of arrays if their sizes differ, else ``samples``."""
        return sets_of(self.samples)

    @property
    def names(self) -> list[str]:
        """The class of each sample, "" for none."""
        return [self.classes[i] if 0 <= i < len(self.classes) else "" for i in self.label.tolist()]

    @property
    def titles(self) -> list[str]:
        """The class of each sample, "" for none; empty for data without classes."""
        return self.names if self.classes else []


def read(path: Path, kind: Modality | None = None) -> Stored:
    """Read the samples of an .npz file, or the single sample of a file that ``kind`` can read (.ply, .png …).

    An .npz file without samples is such a file, too: a cloud may be stored in one.

    Raises DataError, with the path, if the file does not exist or has no valid samples.
    """
    with reading(str(path)):
        if not path.is_file():
            raise FileNotFoundError("the file does not exist")
        if path.suffix.lower() == ".npz":
            arrays = _arrays(path)
            if kind is None or "samples" in arrays:
                return _checked(arrays)
        elif kind is None:
            raise ValueError("only .npz files can be read without a modality")
        try:
            x = kind.read(path)[None]
        except (Unsupported, ValueError) as error:
            if path.suffix.lower() != ".npz":
                own = reader(kind, path)
                if own is None:
                    raise
                return _single(np.asarray(own(path))[None])
            made = "it has no array 'samples'; 'ptdiff sample' writes files with one"
            raise ValueError(f"{made} (as data: {getattr(error, 'reason', error)})") from error
        return _single(x)


def _single(x: npt.NDArray[np.floating]) -> Stored:
    """One sample (1, *shape) of a file that says nothing else."""
    origin = find_origin(x)
    return Stored(_finite("the sample", without_origin(x, origin), x.ndim), np.full(1, -1), origin=origin)


def holds_samples(path: Path) -> bool:
    """True for an .npz file, unless it lacks the array samples, as the cloud of a user does."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            return "samples.npy" in archive.namelist()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return True  # refused with the reason when it is read


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with opened(path) as file:
            single = file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX
        if single:
            raise ValueError("it contains a single array; an .npz archive is needed")
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            members: dict[str, zipfile.ZipInfo] = {}
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if _read_too(name) and name in members:
                    raise ValueError(f"the array {name!r} appears twice")
                members[name] = info
            wanted = {name: info for name, info in members.items() if _read_too(name)}
            stored, packed = sum(info.file_size for info in wanted.values()), path.stat().st_size
            if stored > max(FREE_EXPANSION, MOST_EXPANSION * packed):
                raise ValueError(
                    f"{packed:,} bytes that expand to {stored:,}: if the file is yours, save it uncompressed (np.savez)"
                )
            return {name: _member(archive, info) for name, info in wanted.items()}
    except (EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a valid .npz file: {error}") from error
    except (KeyError, IndexError, OverflowError, SyntaxError, struct.error) as error:
        raise ValueError(f"not a valid .npz file: {type(error).__name__}: {error}") from error


def _read_too(name: str) -> bool:
    return name in NAMES or (name.startswith(CONDITION) and name[len(CONDITION) :].isidentifier())


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    """One array of an archive, allocated only if the shape that it declares fits the bytes that it has."""
    with archive.open(info) as file:
        header = np.lib.format.read_magic(file)
        declared = (np.lib.format.read_array_header_1_0 if header == (1, 0) else np.lib.format.read_array_header_2_0)(
            file, max_header_size=MOST_HEADER
        )
        shape, _, dtype = declared
        if dtype.hasobject:
            raise ValueError(f"'{info.filename}' contains Python objects, which are not read")
        if math.prod(shape) * dtype.itemsize != info.file_size - file.tell():
            raise ValueError(f"'{info.filename}' declares {dtype} {shape}, which is not what it contains")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False, max_header_size=MOST_HEADER)


def _checked(arrays: Mapping[str, Any]) -> Stored:
    if "samples" not in arrays:
        raise ValueError("it has no array 'samples'; 'ptdiff sample' writes files with one")
    given = arrays["samples"]
    origin = _origin(arrays, given)
    samples = _finite("'samples'", without_origin(given, origin) if origin else given, given.ndim)
    ends = _offsets(arrays, samples)
    if ends is not None:
        samples = _padded(samples, ends)
    names = arrays.get("classes", np.empty(0, np.str_))
    if names.ndim != 1 or (names.size and names.dtype.kind != "U"):
        raise ValueError("'classes' must be a list of names")
    label = arrays.get("label", np.full(len(samples), -1))
    if label.shape != samples.shape[:1] or label.dtype.kind not in "iu":
        raise ValueError(f"'label' must be one whole number for each of {len(samples)} samples")
    if label.min() < -1 or (names.size and label.max() >= names.size):
        raise ValueError(f"'label' must lie between -1 and {names.size - 1}, the last class")
    way = arrays.get("trajectory")
    if way is not None:
        way = _finite("'trajectory'", without_origin(way, origin) if origin else way, given.ndim + 1)
        if ends is not None and way.shape[1:] == given.shape:
            way = np.stack([_padded(state, ends) for state in way])
        if way.shape[1:] != samples.shape:
            raise ValueError(
                f"'trajectory' has the shape {way.shape}, not (steps, {', '.join(map(str, samples.shape))})"
            )
    return Stored(
        samples,
        label.astype(np.int64),
        tuple(map(str, names)),
        _text(arrays, "modality"),
        _options(arrays),
        way,
        origin,
        _conditions(arrays, len(samples)),
    )


def _conditions(arrays: Mapping[str, Any], count: int) -> dict[str, npt.NDArray[Any]]:
    found = {name[len(CONDITION) :]: value for name, value in arrays.items() if name.startswith(CONDITION)}
    if len(found) > MOST_CONDITIONS:
        raise ValueError(f"a file has at most {MOST_CONDITIONS} conditions, not {len(found)}")
    for name, value in found.items():
        rank = (1, 2) if value.dtype.kind == "f" else (1,)
        if value.dtype.kind not in "fU" or value.ndim not in rank or len(value) != count:
            raise ValueError(f"'{CONDITION}{name}' must have a number, vector or name for each of {count} samples")
        if value.dtype.kind == "f" and np.isinf(value).any():
            raise ValueError(f"'{CONDITION}{name}': some numbers are not finite")
    return {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in found.items()}


def _offsets(arrays: Mapping[str, Any], elements: npt.NDArray[np.float32]) -> npt.NDArray[np.int64] | None:
    offsets = arrays.get("offsets")
    if offsets is None:
        return None
    if offsets.ndim != 1 or len(offsets) < 2 or offsets.dtype.kind not in "iu" or offsets.dtype.itemsize > 8:
        raise ValueError("'offsets' must be a list of whole numbers, with one more than there are sets")
    ends: npt.NDArray[np.int64] = offsets.astype(np.int64)
    sizes = np.diff(ends)
    if ends[0] != 0 or ends[-1] != len(elements) or sizes.min() < 1:
        raise ValueError(f"'offsets' must rise from 0 to {len(elements)}, the number of elements")
    needed = len(sizes) * int(sizes.max()) * (elements.nbytes // len(elements))
    if needed > max(FREE_EXPANSION, MOST_EXPANSION * elements.nbytes):
        raise ValueError(f"the sizes of the sets differ too much: {elements.nbytes:,} bytes would take {needed:,}")
    return ends


def _padded(elements: npt.NDArray[np.float32], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    sizes = np.diff(ends)
    mask = np.arange(sizes.max()) < sizes[:, None]
    made = np.full((*mask.shape, *elements.shape[1:]), np.nan, dtype=np.float32)
    made[mask] = elements
    return made


def _origin(arrays: Mapping[str, Any], samples: Any) -> tuple[float, ...]:
    origin = arrays.get("origin")
    if origin is None:
        return ()
    if origin.dtype != np.float64 or samples.ndim < 2 or origin.shape != samples.shape[-1:]:
        raise ValueError(f"'origin' must hold {samples.shape[-1:]} float64 numbers, not {origin.dtype} {origin.shape}")
    if not np.isfinite(origin).all():
        raise ValueError("'origin': the numbers are not finite")
    return tuple(origin.tolist())


def _finite(name: str, given: Any, rank: int) -> npt.NDArray[np.float32]:
    """``given`` in float32; ValueError unless it is a finite, non-empty float array of ``rank`` axes, at least 2."""
    if given.ndim < 2 or given.ndim != rank or given.dtype.kind != "f":
        raise ValueError(f"{name} must be an array of floating-point numbers (n, …), not {given.dtype} {given.shape}")
    if given.size == 0:
        raise ValueError(f"{name}: the array is empty, {given.shape}")
    with np.errstate(over="ignore"):
        made: npt.NDArray[np.float32] = given.astype(np.float32, copy=False)
    if not np.isfinite(made).all():
        raise ValueError(f"{name}: some numbers are not finite")
    return made


def _text(arrays: Mapping[str, Any], key: str) -> str:
    value = arrays.get(key)
    if value is None:
        return ""
    if value.ndim or value.dtype.kind != "U":
        raise ValueError(f"'{key}' must be a single string")
    return str(value)


def _options(arrays: Mapping[str, Any]) -> dict[str, Any]:
    text = _text(arrays, "options")
    found = parse_json(text) if text else {}
    if not isinstance(found, dict):
        raise ValueError("'options' must be a JSON object")
    return found


def check_target(path: Path | None, format: str | None, count: int, kind: Modality) -> str:
    """The format in which :func:`write` writes ``count`` samples to ``path``; call it before the samples are computed.

    Raises UnknownName for an unknown format, and ValueError if it does not fit the suffix or the number of samples.
    """
    name = format or (path.suffix[1:] if path is not None and path.suffix else "npz")
    tables: Mapping[str, TableWriter] = {} if name == "npz" else kind.tables()
    single = None if name == "npz" else writers(kind)
    if single is not None and name not in tables:
        if name not in single:
            raise unknown("format", name, sorted({"npz", *single.names(), *tables}))
        # a plugin that cannot be used is refused before the work
        single[name]
    if path is None or not path.suffix:
        return name
    if name in tables and path.suffix != f".{name}":
        raise ValueError(f"{path}: a file in the format {name} must end in .{name}")
    if single is not None and name in single and (count > 1 or path.suffix != f".{name}"):
        raise ValueError(f"{path}: must be a folder, for {count} samples as {name} files")
    return name


def write(path: Path, stored: Stored, kind: Modality, format: str | None = None) -> Path:
    """Write samples and return the path: a file, or a folder with one file for each sample.

    ``format``: npz, or a format of the modality; default: by suffix, npz for a path without one.  A path without suffix
    is a folder.  In a folder, tables are named ``samples.csv`` …, and single samples 0000-<class>.ply ….  Several
    single samples with a path that has a suffix become <stem>-0000.ply … next to it.  An npz is written atomically.

    Raises UnknownName for an unknown format, and OSError if a file cannot be written.
    """
    name = format or path.suffix[1:] or "npz"
    if name == "npz":
        samples, way, extra = stored.samples, stored.trajectory, dict[str, Any]()
        if is_ragged(samples):
            sizes = sizes_of(samples)
            mask = np.arange(samples.shape[1]) < sizes[:, None]
            samples, way = samples[mask], None if way is None else way[:, mask]
            extra["offsets"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        extra |= {} if way is None else {"trajectory": stored.world(way)}
        extra |= {"origin": np.array(stored.origin)} if stored.origin else {}
        extra |= {f"{CONDITION}{name}": value for name, value in stored.conditions.items()}
        write_npz(
            path,
            samples=stored.world(samples),
            label=stored.label,
            classes=np.array(stored.classes, dtype=np.str_),
            modality=np.array(stored.modality),
            options=np.array(json.dumps(dict(stored.options))),
            **extra,
        )
        return path
    tables, single = kind.tables(), writers(kind)
    if name in tables:
        target = path if path.suffix else path / f"samples.{name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        tables[name](target, sets_of(stored.world(stored.samples)), stored.titles)
        return target
    if name not in single:
        raise unknown("format", name, sorted({"npz", *single.names(), *tables}))
    for target, x in zip(_targets(path, stored, name), sets_of(stored.world(stored.samples)), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        single[name](target, x)
    return path


def write_npz(path: Path, **arrays: Any) -> None:
    """Write arrays to an npz file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # an open file, because NumPy would append .npz to another suffix
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def _targets(path: Path, stored: Stored, name: str) -> list[Path]:
    count = len(stored.samples)
    digits = max(4, len(str(count - 1)))
    if path.suffix:
        return [path] if count == 1 else [path.with_stem(f"{path.stem}-{i:0{digits}d}") for i in range(count)]
    titles = stored.titles or [stored.modality or "sample"] * count
    return [path / f"{i:0{digits}d}-{plain(title)}.{name}" for i, title in enumerate(titles)]


def plain(text: str) -> str:
    """``text`` for use in a file name: everything but letters, digits, - and _ becomes -, and long texts are cut."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in text[:MOST_NAME])
