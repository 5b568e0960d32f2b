"""From the command line's words to the complete configuration of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.run.config import Config
    from ptdiff.run.folder import Run


def resolve(
    modality: str | None,
    data: str | None,
    files: list[str],
    options: list[str],
    settings: list[str],
    named: dict[str, Any],
    source: Run | None = None,
) -> tuple[Config, Modality]:
    """The complete configuration and its modality; see ptdiff.run.config for the precedence.

    files: paths of YAML files, or names of recipes.  source: a run whose weights the new one starts from, and whose
    configuration replaces the modality's recipe (ptdiff.run.start).
    """
    from ptdiff.modality import registry
    from ptdiff.run.config import defaults, merged, validate
    from ptdiff.run.config import settings as parse
    from ptdiff.run.start import inherited

    over: dict[str, Any] = {}
    for file in files:
        over = merged(over, _values(file, modality))
    over = merged(over, parse(settings, "section.key=value"))
    over = merged(over, {"options": parse(options)})
    if data is not None:
        over["options"]["data"] = data
    if modality is not None:
        over["modality"] = modality
    # last, so that the axes of a sweep rule
    over = merged(over, named)
    if source is not None and over.setdefault("modality", source.config.modality) != source.config.modality:
        raise ValueError(f"{source.path.name} is a model of {source.config.modality}, not of {over['modality']}")
    if "modality" not in over:
        raise ValueError("say what kind of data: -m pointcloud, points2d, images … ('ptdiff modalities' lists them)")
    place = over["options"].get("data")
    if isinstance(place, str) and Path(place).expanduser().exists():
        # a run is resumed from wherever one happens to stand
        over["options"]["data"] = str(Path(place).expanduser().resolve())
    base = {} if source is None else inherited(source, over["options"])
    kind = registry.load(over["modality"], merged(base.get("options", {}), over["options"]))
    over["options"] = dataclasses.asdict(kind)
    base = base or merged(defaults(over["modality"]), kind.recipe())
    config = validate(merged(base, over))
    _choices(config)
    return config, kind


def _values(file: str, modality: str | None) -> dict[str, Any]:
    """What a -c argument sets: a name without a suffix that is no file is that of a recipe."""
    from ptdiff.run.config import read
    from ptdiff.run.recipes import recipe

    path = Path(file).expanduser()
    by_name = not path.is_file() and path.suffix not in (".yaml", ".yml") and path.name == file
    return recipe(file, modality).values() if by_name else read(path)


def _choices(config: Config) -> None:
    """Every name and option of the configuration is right before anything is written."""
    import torch

    from ptdiff.choices import choose, unknown
    from ptdiff.denoiser.network import PREDICTIONS, check_prediction
    from ptdiff.density import DENSITIES
    from ptdiff.objective.consistency import OBJECTIVES
    from ptdiff.objective.corruption import NOISES
    from ptdiff.objective.coupling import COUPLINGS
    from ptdiff.objective.loss import LOSSES
    from ptdiff.objective.weighting import WEIGHTINGS
    from ptdiff.process import PROCESSES
    from ptdiff.sampling.walk import Plan
    from ptdiff.training.ema import averages_of
    from ptdiff.training.optimizer import OPTIMIZERS
    from ptdiff.training.schedule import SCHEDULES

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
