"""From what was asked for to the complete configuration of a run, with every name in it checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ptdiff.choices import choose, unknown
from ptdiff.denoiser.network import PREDICTIONS, check_prediction
from ptdiff.density import DENSITIES
from ptdiff.documents.files import expanded
from ptdiff.modality import registry
from ptdiff.modality.backbones import with_backbone
from ptdiff.modality.contract import Modality
from ptdiff.objective.consistency import OBJECTIVES
from ptdiff.objective.corruption import NOISES
from ptdiff.objective.coupling import COUPLINGS
from ptdiff.objective.loss import LOSSES
from ptdiff.objective.weighting import WEIGHTINGS
from ptdiff.process import PROCESSES
from ptdiff.run.config import Config, defaults, merged, validate
from ptdiff.run.fine_tuning import inherited
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan
from ptdiff.training.ema import averages_of
from ptdiff.training.optimizer import OPTIMIZERS
from ptdiff.training.schedule import SCHEDULES


def resolve(
    values: Mapping[str, Any], source: Run | None = None, kind: Modality | None = None
) -> tuple[Config, Modality]:
    """The complete configuration and its modality; see ptdiff.run.config for the precedence.

    values: nested as in config.yaml; they override the modality's recipe and the defaults.
    source: a run whose weights the new one starts from, and whose modality and configuration replace the recipe
    (ptdiff.run.fine_tuning).
    kind: the modality as an object, if ``values`` only says what to call it.

    Raises ValueError, in one line, for a missing modality and for every wrong key, name or value.
    """
    options = values.get("options") or {}
    if not isinstance(options, Mapping):
        raise ValueError(f"configuration: options must map names to values, not {options!r}")
    over = {**values, "options": dict(options)}
    if source is not None and over.setdefault("modality", source.config.modality) != source.config.modality:
        raise ValueError(f"{source.path.name} is a model of {source.config.modality}, not of {over['modality']}")
    if "modality" not in over:
        raise ValueError(
            "no kind of data given: name a modality (-m pointcloud, points2d, images …; see 'ptdiff modalities')"
        )
    place = over["options"].get("data")
    if isinstance(place, str) and expanded(place).exists():
        # so that the run can be resumed from any working directory
        over["options"]["data"] = str(expanded(place).resolve())
    base = {} if source is None else inherited(source, over["options"])
    if kind is None:
        kind = registry.load(over["modality"], merged(base.get("options", {}), over["options"]))
        over["options"] = dataclasses.asdict(kind)
    base = base or merged(defaults(over["modality"]), kind.recipe())
    config = validate(merged(base, over))
    check(config)
    return config, with_backbone(kind, config.backbone)


def check(config: Config) -> None:
    """Refuse a configuration that names something unknown or gives it a wrong option; nothing is built or written."""
    process = choose("process", PROCESSES, config.process)
    choose("objective", OBJECTIVES, config.objective)
    choose("density", DENSITIES, config.density)
    choose("weighting", WEIGHTINGS, config.weighting)
    choose("loss", LOSSES, config.loss)
    choose("noise", NOISES, config.noise)
    choose("coupling", COUPLINGS, config.coupling)
    choose("schedule", SCHEDULES, config.training.schedule)
    choose("optimizer", OPTIMIZERS, config.training.optimizer)
    averages_of(config.training)
    Plan.chosen(config.process, config.sampling)
    if config.prediction not in PREDICTIONS:
        raise unknown("prediction", config.prediction, PREDICTIONS)
    check_prediction(config.prediction, process.level(torch.ones(1)))
