"""The likelihood of the held-out or training data of a model."""

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
from ptdiff.likelihood.flow import FlowPath
from ptdiff.likelihood.world import WorldLogLikelihood, world_log_likelihood
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import padded
from ptdiff.modality.types import Progress
from ptdiff.model.loaded import Model
from ptdiff.process import PROCESSES
from ptdiff.sampling.files import write_npz


@dataclass(frozen=True, eq=False)
class SplitLikelihood:
    """Log-likelihoods of n samples of a split, and the settings of their computation.

    ``split``: "val" or "train".  ``path``, ``divergence``, ``seed``, ``weights``: see :func:`split_likelihood`.
    ``step``: training step of the weights.
    ``ids``: (n,), indices of the samples in the split.  ``cond``: the condition given to the network.
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
        """Means with their errors, and all settings, as plain values for JSON."""
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
        """Write the values of each sample to an .npz file and return its path."""
        path, errors = Path(path), self.likelihood.model_units
        arrays = {"nats": self.likelihood.nats, "standard_error": errors.standard_error}
        arrays |= {"step_error": errors.step_error, "start_gap": errors.start_gap, "id": self.ids, **self.cond}
        if self.likelihood.sizes is not None:
            arrays["sizes"] = self.likelihood.sizes
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
    """Compute the log-likelihood of ``n`` random samples of a split of the run's data; of all if it has fewer.

    ``split``: "val" or "train".  ``path``: default: under the process of the run.  ``unconditional``: ignore the
    classes.  ``seed``: of the choice of samples and of the probes.
    ``divergence``, ``batch``, ``progress``, ``say``: see :func:`ptdiff.likelihood.world.world_log_likelihood`.

    Raises ValueError for a consistency model, UnknownName for an unknown split, and DataError for data that cannot be
    read or has fewer than two samples.
    """
    if not model.means:
        raise ValueError("a network trained for consistency does not estimate E[x0 | x], so it has no likelihood")
    one_of("split", split, ("val", "train"))
    with reading("data"):
        data = model.data if model.data.train is not None else model.modality.dataset()
    target = {"val": data.val, "train": data.train}[split]
    if target is None or len(target) < 2:
        raise DataError(f"the data has no {split} split with at least two samples")
    count = min(n, len(target))
    if count < n and say is not None:
        say(f"using all {count} samples of the {split} split")
    # random, because many data sets cycle through their classes
    ids = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    with reading("data"):
        x, cond = target.batch(ids, seed)
    x = padded(x, cond.get("mask"))
    cond = {} if unconditional else {name: value for name, value in cond.items() if name != "mask"}
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
