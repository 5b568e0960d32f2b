"""The likelihood of the data that a model was held out from, or was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptdiff.choices import choose, described, one_of
from ptdiff.errors import DataError, reading
from ptdiff.likelihood.divergence import DIVERGENCES, Divergence, Hutchinson
from ptdiff.likelihood.flow import Path as FlowPath
from ptdiff.likelihood.world import WorldLogLikelihood, world_log_likelihood
from ptdiff.modality.data import Condition
from ptdiff.modality.types import Progress
from ptdiff.model.loaded import Model
from ptdiff.process import PROCESSES
from ptdiff.sampling.files import write_npz


@dataclass(frozen=True, eq=False)
class SplitLikelihood:
    """Log-likelihoods of n samples of a split, and how they were computed.

    ids: (n,), the places of the samples in the split.  cond: what the network was told of them.
    """

    split: str
    path: FlowPath
    divergence: Divergence
    seed: int
    weights: str | float | None
    step: int
    likelihood: WorldLogLikelihood = field(repr=False)
    ids: Tensor = field(repr=False)
    cond: Condition = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Means with their errors, and all settings, as plain values."""
        found, errors = self.likelihood, self.likelihood.model_units
        return {
            "n": len(self.ids),
            "split": self.split,
            "shape": list(found.shape),
            "given": sorted(self.cond),
            **{name: dataclasses.asdict(mean) for name, mean in found.negative().items()},
            "bin_width": found.bin_width,
            "step_error": float(errors.step_error.mean()),
            "start_gap": float(errors.start_gap.mean()),
            "prior_gap": float(errors.prior_gap.mean()),
            "calls": errors.calls,
            "divergence": described(DIVERGENCES, self.divergence),
            "process": described(PROCESSES, self.path.process),
            "steps": self.path.steps,
            "sigma_min": errors.sigma_min,
            "seed": self.seed,
            "weights": self.weights,
            "step": self.step,
        }

    def save(self, path: Path | str) -> Path:
        """Write the values of every sample to an .npz file and return where."""
        path, errors = Path(path), self.likelihood.model_units
        arrays = {"nats": self.likelihood.nats, "standard_error": errors.standard_error}
        arrays |= {"step_error": errors.step_error, "start_gap": errors.start_gap, "id": self.ids, **self.cond}
        write_npz(path, **{name: value.numpy() for name, value in arrays.items()})
        return path


def split_likelihood(
    model: Model,
    n: int = 64,
    *,
    split: str = "val",
    path: FlowPath | None = None,
    divergence: Divergence | None = None,
    unconditional: bool = False,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> SplitLikelihood:
    """The log-likelihood of ``n`` random samples of the run's data, or of the whole split if it has fewer.

    path: by default under the run's own process.  unconditional: do not tell the network the class.  seed: of the
    samples and of the probes.  divergence, batch, progress, say: see
    :func:`ptdiff.likelihood.world.world_log_likelihood`.

    Raises ValueError for a consistency model, UnknownName for a split that there is not, and DataError for data that
    cannot be read or has fewer than two samples.
    """
    if not model.means:
        raise ValueError(
            "a network trained for consistency estimates no E[x0 | x], and so has no likelihood by the flow"
        )
    one_of("split", split, ("val", "train"))
    with reading("data"):
        data = model.data if model.data.train is not None else model.modality.dataset()
    target = {"val": data.val, "train": data.train}[split]
    if target is None or len(target) < 2:
        raise DataError(f"there is no {split} split of two samples or more")
    count = min(n, len(target))
    if count < n and say is not None:
        say(f"there are {count} samples in the {split} split: all of them are taken")
    # classes often come in turn
    ids = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    with reading("data"):
        x, cond = target.batch(ids, seed)
    cond = {} if unconditional else cond
    path = path or FlowPath(choose("process", PROCESSES, model.run.config.process))
    kind = divergence or Hutchinson()
    found = world_log_likelihood(
        model.denoiser,
        model.data,
        x,
        cond,
        bin_width=model.modality.bin_width,
        path=path,
        divergence=kind,
        seed=seed,
        ids=ids,
        batch=batch,
        progress=progress,
        say=say,
    )
    step = model.run.checkpoint().step
    return SplitLikelihood(split, path, kind, seed, model.weights, step, found, ids, cond)
