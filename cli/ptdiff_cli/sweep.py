"""``ptdiff train --sweep``: train a set of runs that differ in a few settings, one after the other.

    FOLDER/
        sweep.yaml                the file that defines the set
        base.yaml                 the whole configuration, with the first value of each setting that varies
        trials.jsonl              one line for each finished trial: settings, and metric or error
        trial-000/ trial-001/ …   ordinary runs
        optuna.db                 the state of the search, if it is Optuna's

The same command continues a stopped set.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ptdiff.documents.jsons import json_lines
from ptdiff_cli.shared.terminal import Failure, say

if TYPE_CHECKING:
    from ptdiff.experiments.sweep import Sweep
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config

Resolve = Callable[[dict[str, Any]], "tuple[Config, Modality]"]


def run_sweep(
    file: Path,
    out: Path | None,
    resolve: Resolve,
    device: str,
    loggers: list[str],
    dry_run: bool = False,
) -> None:
    """Train all unfinished trials of a set; a failed trial does not end the set.

    ``file``: the YAML file of the sweep.  ``out``: folder of the set; default runs/<stem of file>.
    ``resolve``: builds the configuration and modality from overrides.  ``dry_run``: only report the number of trials.

    Raises ValueError for an invalid sweep or a folder of another set, and Failure if all trials failed.
    """
    from ptdiff.documents.atomic import write_atomic
    from ptdiff.experiments.sweep import nested, read
    from ptdiff.run.links import check_names
    from ptdiff.training.trackers import check_loggers
    from ptdiff_cli.shared.sweep_metric import check_metric

    plan = read(file)
    check_loggers(loggers)
    (base, kind), *_ = [resolve(nested(probe)) for probe in plan.probes()]
    folder = out or Path("runs") / file.stem
    check_names(folder)
    text = file.read_text(encoding="utf-8")
    _check_same(folder, text, base)
    reading = _Reading()
    if plan.metric not in (None, "loss"):
        check_metric(plan.metric, base, kind, reading.of(kind))
    if dry_run:
        say(f"{plan.trials} trials in {folder}: {', '.join(plan.axes)}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "base.yaml", base.to_yaml())
    write_atomic(folder / "sweep.yaml", text)
    search = plan.search.open(folder, plan.axes, plan.direction == "minimize")
    done = _recorded(folder)
    for number in range(plan.trials):
        settings = search.ask(number)
        if number not in done:
            say(f"trial {number + 1} of {plan.trials}: {_words(settings)}")
            path = folder / f"trial-{number:03d}"
            value, problem = _trial(path, partial(resolve, nested(settings)), reading, device, loggers, plan)
            done[number] = {"trial": number, "settings": settings, "value": value, "problem": problem}
            write_atomic(folder / "trials.jsonl", "".join(json.dumps(line) + "\n" for line in done.values()))
            if problem:
                say(f"trial {number + 1} failed: {problem}")
        search.tell(number, done[number]["value"])
    _conclude(folder, plan, done)


class _Reading:
    """The data of the last trial, which the next one reuses if its modality is the same."""

    def __init__(self) -> None:
        self.kind: Modality | None = None
        self.data: Data | None = None

    def of(self, kind: Modality) -> Data:
        """The data of ``kind``, read only if the last trial had another modality."""
        from ptdiff_cli.shared.session import read_data

        if self.data is None or kind != self.kind:
            self.kind, self.data = kind, read_data(kind)
        return self.data


def _trial(
    path: Path,
    resolve: Callable[[], tuple[Config, Modality]],
    reading: _Reading,
    device: str,
    loggers: list[str],
    plan: Sweep,
) -> tuple[float | None, str | None]:
    """Train one trial, from its last checkpoint if there is one; return (metric, None) or (None, error)."""
    from ptdiff.errors import UnknownName
    from ptdiff.run.folder import Run
    from ptdiff.training.autotuned import comes_of
    from ptdiff_cli.shared.session import begin, check_trainable, continue_run, make_hardware
    from ptdiff_cli.shared.sweep_metric import measure_trial

    config, kind = resolve()
    begun = (path / "config.yaml").exists()
    if begun and not comes_of(Run.open(path).config, config):
        raise ValueError(f"{path} has other settings than this sweep: choose another --out")
    try:
        hardware = make_hardware(device, 1, 1, "auto", config.training.batch)
        data = reading.of(kind)
        if begun:
            continue_run(Run.open(path), kind, data, hardware, loggers)
        else:
            check_trainable(config, kind, data, loggers)
            begin(path, config, kind, data, hardware, loggers)
        metric, value = measure_trial(path, plan.metric, device)
        say(f"{metric} {value:.4g}")
        return value, None
    except UnknownName:
        # an unknown metric, which no other trial has either
        raise
    except typer.Exit:
        say(f"continue with the same command: {path.parent} is kept")
        raise
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _check_same(folder: Path, text: str, base: Config) -> None:
    """Raise ValueError if the folder holds another set, or trials with other fixed settings."""
    from ptdiff.run.config import flattened, read

    axes, kept = folder / "sweep.yaml", folder / "base.yaml"
    if axes.exists() and axes.read_text(encoding="utf-8") != text:
        raise ValueError(f"{folder} holds another sweep ({axes}): choose another --out")
    if kept.exists():
        old, new = flattened(read(kept)), flattened(base.model_dump(mode="json"))
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if keys:
            told = ", ".join(f"{key} was {old.get(key)} and is {new.get(key)}" for key in keys[:3])
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise ValueError(f"{folder} has other settings: {told}{more}; choose another --out")


def _recorded(folder: Path) -> dict[int, dict[str, Any]]:
    # a truncated line, after a kill, belongs to a trial that is still to be finished
    return {record["trial"]: record for record in json_lines(folder / "trials.jsonl") if _is_record(record)}


def _is_record(record: dict[str, Any]) -> bool:
    value, problem = record.get("value"), record.get("problem")
    return (
        type(record.get("trial")) is int
        and isinstance(record.get("settings"), dict)
        and (value is None or type(value) in (int, float))
        and (problem is None or isinstance(problem, str))
        and not (value is None and problem is None)
    )


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in settings.items())


def _conclude(folder: Path, plan: Sweep, done: dict[int, dict[str, Any]]) -> None:
    from ptdiff_cli.runs import compare

    good = [line for line in done.values() if line["value"] is not None]
    if not good:
        raise Failure(f"all {len(done)} trials failed; see {folder / 'trials.jsonl'}", 1)
    compare([folder / f"trial-{line['trial']:03d}" for line in good])
    best = (min if plan.direction == "minimize" else max)(good, key=lambda line: line["value"])
    say(f"best: {folder / 'trial-'}{best['trial']:03d}, {best['value']:.4g}: {_words(best['settings'])}")
