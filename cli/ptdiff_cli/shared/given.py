"""Samples given in files, and what is made of them: shared by ``mesh``, ``edit``, ``interpolate`` and ``complete``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff_cli.shared.terminal import BAD_DATA, Failure, bad_data, progress, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor

    from ptdiff.denoiser.network import Denoiser
    from ptdiff.modality.contract import Modality
    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import Plan


@dataclass(frozen=True)
class Given:
    """Samples (n, *shape) in world units, the name of the class of each ("" where it has none), and their modality."""

    samples: npt.NDArray[np.float32]
    classes: list[str]
    modality: str
    options: dict[str, object]


def read_given(path: Path, kind: Modality) -> Given:
    """The samples of an .npz as ``ptdiff sample`` writes it, or the one of a file that the modality reads."""
    import numpy as np

    with bad_data(str(path)):
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        stored = path.suffix.lower() == ".npz"
        found = _npz(path) if stored else Given(kind.read(path)[None], [""], "", {})
        if len(found.samples) == 0 or not np.isfinite(found.samples).all():
            raise ValueError("the samples are empty or not finite")
    return found


def _npz(path: Path) -> Given:
    import json
    import zipfile
    import zlib

    import numpy as np

    try:
        # opened here, because NumPy leaves the file of a damaged archive open
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error)) from error
    samples, label = arrays.get("samples"), arrays.get("label")
    if samples is None or samples.ndim < 2 or samples.dtype.kind != "f":
        raise ValueError("it holds no array 'samples' of numbers (n, …); 'ptdiff sample' writes such files")
    names = [str(name) for name in arrays.get("classes", [])]
    labels = [-1] * len(samples) if label is None else [int(i) for i in label]
    if len(labels) != len(samples):
        raise ValueError(f"{len(samples)} samples but {len(labels)} labels")
    classes = [names[i] if 0 <= i < len(names) else "" for i in labels]
    options = json.loads(str(arrays["options"])) if "options" in arrays else {}
    return Given(samples.astype(np.float32), classes, str(arrays.get("modality", "")), options)


Frame = tuple[Any, float]
"""A center and a size that are taken off samples, see :meth:`ptdiff.modality.contract.Modality.frame`."""


def frame_of(run: Run, given: Given, path: Path) -> Frame | None:
    """What must be taken off the one whole sample of a user's file; None for samples in the run's units already."""
    kind = run.modality()
    if given.modality or path.suffix.lower() == ".npz":
        return None
    with bad_data(str(path)):
        center, size = kind.frame(run.data, given.samples[0])
    return None if size == 1 else (center, size)


def fitting(run: Run, given: Given, path: Path, frame: Frame | None = None) -> Tensor:
    """The samples in the run's model units, ``frame`` taken off; Failure where they are not what its network takes."""
    import torch

    shape, own = given.samples.shape[1:], run.data.shape
    same = shape[1:] == own[1:] if run.data.unordered else shape == own
    if not same:
        any_number = ("any number", *own[1:]) if run.data.unordered else own
        raise Failure(f"{path}: a sample has the shape {shape}, not {any_number} as in {run.path}", BAD_DATA)
    return run.data.normalize(torch.from_numpy(placed(given.samples, frame)))


def placed(samples: npt.NDArray[np.float32], frame: Frame | None) -> npt.NDArray[np.float32]:
    """Samples (…, c) with the center taken off and their places, the first three numbers, divided by the size."""
    if frame is None:
        return samples
    center, size = frame
    moved: npt.NDArray[np.float32] = (samples - center).astype("float32")
    moved[..., :3] /= size
    return moved


def returned(samples: npt.NDArray[np.float32], frame: Frame | None) -> npt.NDArray[np.float32]:
    """The inverse of :func:`placed`."""
    if frame is None:
        return samples
    center, size = frame
    moved: npt.NDArray[np.float32] = samples.copy()
    moved[..., :3] *= size
    moved += center
    return moved


def labels_of(run: Run, classes: list[str], label: str | None) -> Tensor | None:
    """The class of each sample: its own by name, or what --label says (a class, or none); None without classes."""
    import torch

    from ptdiff_cli.shared.sampling_options import label_of

    if label is not None and label != "none":
        return torch.full((len(classes),), label_of(run, label))
    if not run.data.classes or label == "none":
        return None
    known = {name: i for i, name in enumerate(run.data.classes)}
    return torch.tensor([known.get(name, -1) for name in classes])


def model_of(run: Run, plan: Plan, weights: str | None, where: torch.device) -> Denoiser:
    """The run's denoiser, guided and limited as the plan says, on a device."""
    from ptdiff.sampling.walk import prepared

    model = run.denoiser(say, weights=weights).to(where).requires_grad_(False)
    return prepared(model, plan, run.data)


def in_batches(
    count: int, shape: tuple[int, ...], batch: int | None, where: torch.device, make: Callable[[Tensor], Tensor]
) -> Tensor:
    """The results of ``make`` on a device for the ids 0 … count - 1, a batch at a time; returned on the CPU."""
    import math

    import torch

    size = batch or max(1, min(count, 2**18 // max(1, math.prod(shape))))
    out = []
    with progress("samples") as bar:
        task = bar.add_task("sample", total=count, note="")
        for first in range(0, count, size):
            ids = torch.arange(first, min(first + size, count), device=where)
            out.append(make(ids).cpu())
            bar.update(task, advance=len(ids))
    return torch.cat(out)


def write_samples(
    run: Run, model_units: Tensor, labels: Tensor | None, target: Path, frame: Frame | None = None
) -> None:
    """Samples in world units, ``frame`` given back, as .npz, or in a format of the modality, as the suffix says."""
    import json

    import numpy as np

    from ptdiff.choices import unknown
    from ptdiff.sampling.walk import postprocessed
    from ptdiff_cli.shared.sampling_options import titles, write_npz

    kind = run.modality()
    world = postprocessed(kind, run.data.world(model_units), run.data)
    samples = returned(world.numpy().astype(np.float32), frame)
    if not np.isfinite(samples).all():
        raise ValueError("the samples are not finite: this model does not bear this process, solver and grid")
    if target.suffix == ".npz":
        write_npz(
            target,
            samples=samples,
            label=np.full(len(samples), -1) if labels is None else labels.numpy().astype(np.int64),
            classes=np.array(run.data.classes, dtype=np.str_),
            modality=np.array(run.config.modality),
            options=np.array(json.dumps(run.config.options)),
        )
        return
    write, together = kind.formats().get(target.suffix[1:]), kind.tables().get(target.suffix[1:])
    if write is None and together is None:
        raise unknown("format", target.suffix[1:], ["npz", *kind.formats(), *kind.tables()])
    target.parent.mkdir(parents=True, exist_ok=True)
    if together is not None:
        together(target, samples, [] if labels is None else titles(run, labels.numpy()))
        return
    assert write is not None
    for i, sample in enumerate(samples):
        write(target if len(samples) == 1 else target.with_stem(f"{target.stem}-{i:04d}"), sample)
