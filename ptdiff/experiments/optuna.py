"""Search with Optuna, which learns from earlier trials; the study is stored in the folder of the sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ptdiff.errors import Unsupported
from ptdiff.experiments.axes import Axis, Settings
from ptdiff.run.links import alone


@dataclass(frozen=True)
class Optuna:
    """Search with Optuna, which proposes trials based on earlier ones (Akiba et al. 2019); needs the package optuna.

    ``sampler``: Optuna's TPESampler, GPSampler or RandomSampler.
    """

    sampler: Literal["tpe", "gp", "random"] = "tpe"
    seed: int = 0

    def open(self, folder: Path, axes: Mapping[str, Axis], minimize: bool) -> _Study:
        """Open or create the study in ``folder``; raises Unsupported if optuna is not installed."""
        try:
            import optuna
        except ImportError as error:
            raise Unsupported("search: optuna needs the package optuna: pip install 'ptdiff[sweep]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kinds = {"tpe": "TPESampler", "gp": "GPSampler", "random": "RandomSampler"}
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder.resolve() / "optuna.db"
        # changed in place
        alone(kept)
        try:
            study = optuna.create_study(
                storage=f"sqlite:///{kept}",
                study_name="sweep",
                load_if_exists=True,
                direction="minimize" if minimize else "maximize",
            )
        except Exception as error:
            # SQLAlchemy and Optuna raise dozens of kinds
            raise ValueError(f"{kept} is not a study of this sweep: {str(error).splitlines()[0]}") from error
        # a search that is resumed must not repeat the random numbers of its first trials
        study.sampler = getattr(optuna.samplers, kinds[self.sampler])(seed=self.seed + len(study.trials))
        return _Study(study, axes)


@dataclass(frozen=True)
class _Study:
    study: Any
    axes: Mapping[str, Axis]

    def ask(self, trial: int) -> Settings:
        while len(self.study.trials) <= trial:
            self.study.ask(self._distributions())
        params = self.study.trials[trial].params
        if set(params) != set(self.axes):
            raise ValueError("optuna.db has trials of another sweep: choose another --out")
        # Optuna has no lists and mappings as values: they are stored as JSON text
        return {k: _value(axis, params[k]) if isinstance(axis, tuple) else params[k] for k, axis in self.axes.items()}

    def tell(self, trial: int, value: float | None) -> None:
        if self.study.trials[trial].state.is_finished():
            return
        from optuna.trial import TrialState

        if value is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, value)

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, Any] = {}
        for key, axis in self.axes.items():
            if isinstance(axis, tuple):
                found[key] = CategoricalDistribution([_name(value) for value in axis])
            elif axis.integer:
                found[key] = IntDistribution(round(axis.low), round(axis.high), log=axis.log)
            else:
                found[key] = FloatDistribution(axis.low, axis.high, log=axis.log)
        return found


def _name(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else json.dumps(value)


def _value(axis: tuple[Any, ...], name: Any) -> Any:
    return next(value for value in axis if _name(value) == name and type(_name(value)) is type(name))
