"""Figures, settings and pictures reach every tracker; read back from the real ones where they are installed.

Weights & Biases, Trackio and Aim are not needed for the tests: modules with the part of their interfaces that is used
stand in.  Trackio itself is tested too where it is installed.
"""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
import types
from contextlib import closing
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trial import Recorder, Start, assert_bit_equal

from ptdiff.errors import UnknownName
from ptdiff.modality import Unsupported
from ptdiff.training.backends import MetricsTable
from ptdiff.training.trackers import Trackers, check_loggers, make_loggers

FIGURES = {"loss", "learning_rate", "ema_decay", "gradient_norm", "validation_loss", "loss_band_0", "loss_band_3"}


def test_the_table_holds_what_metrics_jsonl_holds(start: Start) -> None:
    trial = start(steps=6)
    trial.fit()
    with (trial.run.path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (trial.run.path / "metrics.jsonl").read_text().splitlines()]
    assert [int(row["step"]) for row in rows] == [line["step"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert float(row["loss"]) == line["loss"]
        assert [row[f"loss_band_{i}"] for i in range(4)] == ["" if v is None else str(v) for v in line["loss_by_band"]]


def test_a_table_widens_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    table = MetricsTable(tmp_path / "t.csv")
    table.log_metrics({"loss": 1.0}, 1)
    table.log_metrics({"loss": 0.5, "validation_loss": 2.0}, 2)
    MetricsTable(tmp_path / "t.csv").log_metrics({"regret": 3.0, "loss": 0.25}, 3)
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["loss"] for row in rows] == ["1.0", "0.5", "0.25"]
    assert [row["validation_loss"] for row in rows] == ["", "2.0", ""]
    assert [row["regret"] for row in rows] == ["", "", "3.0"]


def test_the_monitors_are_those_of_the_last_step(start: Start) -> None:
    trial = start(steps=30, inner_steps=1, ema=0.75, validations=0)
    trial.fit()
    line = json.loads((trial.run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["ema_decay"] == 0.75
    assert 0 < line["gradient_norm"] < np.inf
    early = start("early", steps=4, inner_steps=1, ema=0.75, validations=0)
    early.fit()
    # the fourth update of a warmed-up average: (1 + 3) / (10 + 3)
    line = json.loads((early.run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["ema_decay"] == pytest.approx(4 / 13)


def test_tensorboard_has_the_figures_the_settings_and_the_pictures(start: Start) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    trial = start("run", {"held": 8}, steps=12, validations=3)
    trial.fit(loggers=make_loggers(["tensorboard"], trial.run.path))
    events = accumulator.EventAccumulator(str(trial.run.path / "logs" / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= FIGURES | {"hp_metric"}
    validated = [event.value for event in events.Scalars("validation_loss")]
    assert len(validated) == 3
    assert [event.value for event in events.Scalars("hp_metric")][-1] == validated[-1]
    assert set(events.Tags()["images"]) == {"samples", "curves"}
    (sample,) = events.Images("samples")
    assert sample.step == 12
    assert sample.encoded_image_string.startswith(b"\x89PNG")
    assert sample.width == sample.height == 8
    settings = (trial.run.path / "logs" / "tensorboard" / "hparams.yaml").read_text()
    assert "training.lr: 0.01" in settings
    assert "process.name: flow" in settings


def test_mlflow_has_the_figures_the_settings_and_the_pictures_of_one_run_that_was_resumed(start: Start) -> None:
    mlflow = pytest.importorskip(
        "mlflow.tracking", reason="mlflow is not installed, or not usable with what is", exc_type=ImportError
    )
    trial = start("run", {"held": 8}, steps=12, validations=3)
    for _ in range(2):
        trackers = Trackers(make_loggers(["mlflow"], trial.run.path), pytest.fail)
        trackers.settings({"training": {"lr": 0.01, "betas": [0.9, 0.99]}})
        trackers.log({"loss": 1.5, "validation_loss": 0.5}, 12)
        trackers.picture("samples", np.full((8, 9, 3), 40, np.uint8), 12)
        trackers.close("success")
    client = mlflow.MlflowClient(f"sqlite:///{(trial.run.path / 'logs' / 'mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("ptdiff")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"training.lr": "0.01", "training.betas": "[0.9, 0.99]"}
    assert run.data.metrics["validation_loss"] == 0.5
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 2
    assert [file.path for file in client.list_artifacts(run.info.run_id, "samples")] == ["samples/step-0000012.png"]


class StandIn(types.ModuleType):
    """Keeps every call that is made to it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[Any, ...]] = []


@pytest.fixture
def aim(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A module with the part of Aim's interface that is used: Run(run_hash, repo, experiment), track, close, Image."""
    module = StandIn("aim")

    class Run:
        def __init__(self, run_hash: str | None = None, repo: str | None = None, experiment: str | None = None) -> None:
            self.hash = run_hash or "c0ffee"
            module.calls.append(("run", run_hash, repo, experiment))

        def __setitem__(self, key: str, value: Any) -> None:
            module.calls.append(("set", key, value))

        def track(self, value: Any, *, name: str, step: int) -> None:
            module.calls.append(("track", name, step, value))

        def close(self) -> None:
            module.calls.append(("close",))

    module.Run, module.Image = Run, lambda picture: ("image", picture.size)  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, "aim", module)
    return module


def test_aim_has_the_figures_the_settings_and_the_pictures(start: Start, aim: StandIn) -> None:
    trial, recorder = start("run", {"held": 8}, steps=12, validations=3), Recorder()
    trial.fit(recorder, loggers=make_loggers(["aim"], trial.run.path))
    assert not [line for line in recorder.lines if "switched off" in line]
    tracked = {(name, step): value for kind, name, step, value in (c for c in aim.calls if c[0] == "track")}
    assert {name for name, _ in tracked} >= FIGURES | {"samples", "curves"}
    assert tracked["samples", 12][0] == "image"
    (settings,) = [c[2] for c in aim.calls if c[0] == "set"]
    assert settings["training.lr"] == 0.01
    assert settings["training.betas"] == "[0.9, 0.99]" or settings["training.betas"] == "(0.9, 0.99)"
    assert aim.calls[-1] == ("close",)
    make_loggers(["aim"], trial.run.path)
    # the second time the run of the first is taken up
    assert [c[1] for c in aim.calls if c[0] == "run"] == [None, "c0ffee"]


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A module with the part of Weights & Biases' interface that Lightning's logger uses."""
    module = StandIn("wandb")

    class Run:
        def __init__(self, **given: Any) -> None:
            module.calls.append(("init", given))
            # as in the library: there is one run at a time, until it is finished
            module.run, self.id = self, given["id"]  # type: ignore[attr-defined]
            self.config = types.SimpleNamespace(
                update=lambda values, allow_val_change=False: module.calls.append(("config", values))
            )

        def log(self, values: dict[str, Any]) -> None:
            module.calls.append(("log", values))

        def finish(self, exit_code: int) -> None:
            module.calls.append(("finish", self.id, exit_code))
            module.run = None  # type: ignore[attr-defined]

        def define_metric(self, *names: str, **more: Any) -> None: ...

    library = types.ModuleType("wandb.sdk.lib")
    library.RunDisabled = type("RunDisabled", (), {})  # type: ignore[attr-defined]
    runs = types.ModuleType("wandb.wandb_run")
    runs.Run = Run  # type: ignore[attr-defined]
    module.run, module.init = None, Run  # type: ignore[attr-defined]
    module.Image = lambda picture: ("image", picture.shape)  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec(module.__name__, None)
    for name, part in {"wandb": module, "wandb.sdk.lib": library, "wandb.wandb_run": runs}.items():
        monkeypatch.setitem(sys.modules, name, part)
    monkeypatch.setattr("pytorch_lightning.loggers.wandb._WANDB_AVAILABLE", True)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    # Lightning sets it where a run is offline
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.delenv("WANDB_MODE")
    return module


def test_wandb_is_offline_and_has_the_figures_the_settings_and_the_pictures(start: Start, wandb: StandIn) -> None:
    trial, recorder = start("run", {"held": 8}, steps=12, validations=3), Recorder()
    trial.fit(recorder, loggers=make_loggers(["wandb"], trial.run.path))
    assert not [line for line in recorder.lines if "switched off" in line]
    (given,) = [c[1] for c in wandb.calls if c[0] == "init"]
    assert (given["project"], given["name"]) == ("ptdiff", "run")
    assert given["dir"] == str(trial.run.path / "logs")
    assert given["id"] == (trial.run.path / "logs" / "wandb-run").read_text()
    logged = [c[1] for c in wandb.calls if c[0] == "log"]
    assert {name for values in logged for name in values} >= FIGURES | {"samples", "curves"}
    (settings,) = [c[1] for c in wandb.calls if c[0] == "config"]
    assert settings["training.lr"] == 0.01
    assert wandb.calls[-1] == ("finish", given["id"], 0)
    assert given["group"] is None


@pytest.fixture
def trackio(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A module with the part of Trackio's interface that is used: init, finish, Image, and a run with log, config."""
    module = StandIn("trackio")

    class Run:
        def __init__(self, project: str, *, name: str, group: str | None, resume: str, **more: Any) -> None:
            print("* Trackio project initialized")
            assert set(more) <= {"embed", "auto_log_gpu", "auto_log_cpu"} and not any(more.values())
            module.calls.append(("init", project, name, group, resume))
            self.config: dict[str, Any] = {}

        def log(self, metrics: dict[str, Any], step: int) -> None:
            module.calls.append(("log", metrics, step, dict(self.config)))

    def finish() -> None:
        print("* Run finished")
        module.calls.append(("finish",))

    module.finish = finish  # type: ignore[attr-defined]
    module.init, module.Image = Run, lambda picture: ("image", picture.shape)  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, "trackio", module)
    return module


def test_trackio_has_the_figures_the_settings_and_the_pictures(
    start: Start, trackio: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    trial, recorder = start("run", {"held": 8}, steps=12, validations=3), Recorder()
    trial.fit(recorder, loggers=make_loggers(["trackio"], trial.run.path))
    assert not [line for line in recorder.lines if "switched off" in line]
    logged = [c for c in trackio.calls if c[0] == "log"]
    assert {name for call in logged for name in call[1]} >= FIGURES | {"samples", "curves"}
    # stored with the first figures
    assert logged[0][3]["training.lr"] == 0.01
    assert [c[1]["samples"][0] for c in logged if "samples" in c[1] and c[2] == 12] == ["image"]
    assert trackio.calls[-1] == ("finish",)
    identity = (trial.run.path / "logs" / "trackio-run").read_text()
    make_loggers(["trackio"], trial.run.path)
    # the second time the run of the first is taken up
    assert [c for c in trackio.calls if c[0] == "init"] == [("init", "ptdiff", f"run-{identity}", None, "allow")] * 2
    assert capsys.readouterr().out == ""


def test_every_trial_of_a_set_is_a_run_of_its_own_in_trackio(tmp_path: Path, trackio: StandIn) -> None:
    trials = a_set(tmp_path)
    log_trials("trackio", trials)
    assert [c[0] for c in trackio.calls] == ["init", "log", "finish"] * 2
    names = [f"rates-{trial.name}-{(trial / 'logs' / 'trackio-run').read_text()}" for trial in trials]
    assert [c[2:4] for c in trackio.calls if c[0] == "init"] == [(name, "rates") for name in names]


def test_the_identity_of_a_run_in_trackio_is_no_path(tmp_path: Path, trackio: StandIn) -> None:
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "logs" / "trackio-run").write_text("../../stolen")
    with pytest.raises(OSError, match="must hold 8 hexadecimal digits"):
        make_loggers(["trackio"], tmp_path / "run")
    assert trackio.calls == []


REAL = """
import sys
from pathlib import Path
import numpy as np
from ptdiff.training.trackers import Trackers, make_loggers

run = Path(sys.argv[1])
for step in (1, 2):
    trackers = Trackers(make_loggers(["trackio"], run), sys.exit)
    trackers.settings({"training": {"lr": 0.01, "betas": [0.9, 0.99]}})
    trackers.log({"loss": 1.5 / step}, step)
    trackers.picture("samples", np.full((8, 9, 3), 40, np.uint8), step)
    trackers.close("success")
"""


def test_trackio_itself_has_one_run_that_was_resumed(tmp_path: Path) -> None:
    if find_spec("trackio") is None:
        pytest.skip("trackio is not installed: it needs Pillow 12 or older, and constraints.txt pins 13")
    # in a process of its own, because the place of the store is read at import
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "store")}
    command = [sys.executable, "-c", REAL, str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    with closing(sqlite3.connect(tmp_path / "store" / "ptdiff.db")) as store:
        rows = store.execute("select distinct run_name, step from metrics order by step").fetchall()
        (config,) = store.execute("select config from configs").fetchone()
    identity = (tmp_path / "run" / "logs" / "trackio-run").read_text()
    assert rows == [(f"run-{identity}", 1), (f"run-{identity}", 2)]
    assert json.loads(config)["training.lr"] == 0.01
    assert len(list((tmp_path / "store" / "media").rglob("*.png"))) == 2


def a_set(folder: Path) -> list[Path]:
    """Two trials of a set of runs that is called rates."""
    trials = [folder / "rates" / f"trial-00{i}" for i in range(2)]
    for trial in trials:
        trial.mkdir(parents=True)
    (folder / "rates" / "sweep.yaml").write_text("seed: [0, 1]")
    return trials


def log_trials(name: str, trials: list[Path]) -> None:
    for i, trial in enumerate(trials):
        trackers = Trackers(make_loggers([name], trial), pytest.fail)
        trackers.settings({"seed": i})
        trackers.log({"loss": 1.5 + i}, 12)
        trackers.close("success" if i == 0 else "failed")


def test_every_trial_of_a_set_is_a_run_of_its_own_in_wandb(tmp_path: Path, wandb: StandIn) -> None:
    log_trials("wandb", a_set(tmp_path))
    kinds = [c[0] for c in wandb.calls]
    assert kinds == ["init", "config", "log", "finish"] * 2
    first, second = [c[1] for c in wandb.calls if c[0] == "init"]
    assert [first["name"], second["name"]] == ["rates/trial-000", "rates/trial-001"]
    assert first["group"] == second["group"] == "rates"
    assert first["id"] != second["id"]
    assert [c[1]["loss"] for c in wandb.calls if c[0] == "log"] == [1.5, 2.5]
    assert [c[1:] for c in wandb.calls if c[0] == "finish"] == [(first["id"], 0), (second["id"], 1)]


def test_every_trial_of_a_set_is_a_run_of_its_own_in_aim(tmp_path: Path, aim: StandIn) -> None:
    log_trials("aim", a_set(tmp_path))
    assert [c[0] for c in aim.calls] == ["run", "set", "set", "track", "close"] * 2
    assert [c[2] for c in aim.calls if c[:2] == ("set", "group")] == ["rates"] * 2


def test_every_trial_of_a_set_is_a_run_of_its_own_on_a_server_of_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip(
        "mlflow.tracking", reason="mlflow is not installed, or not usable with what is", exc_type=ImportError
    )
    server = f"sqlite:///{tmp_path / 'server.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    log_trials("mlflow", a_set(tmp_path))
    client = mlflow.MlflowClient(server)
    runs = client.search_runs([client.get_experiment_by_name("ptdiff").experiment_id])
    found = {run.info.run_name: (run.data.metrics["loss"], run.data.tags["group"], run.info.status) for run in runs}
    assert found == {"rates/trial-000": (1.5, "rates", "FINISHED"), "rates/trial-001": (2.5, "rates", "FAILED")}


def test_every_trial_of_a_set_has_its_own_folder_in_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    trials = a_set(tmp_path)
    log_trials("tensorboard", trials)
    for i, trial in enumerate(trials):
        events = accumulator.EventAccumulator(str(trial / "logs" / "tensorboard"))
        events.Reload()
        assert [event.value for event in events.Scalars("loss")] == [1.5 + i]


def test_pictures_for_a_tracker_cost_no_bit(start: Start, aim: StandIn) -> None:
    plain, tracked = start("plain", steps=8), start("tracked", steps=8)
    plain.fit()
    tracked.fit(loggers=make_loggers(["aim"], tracked.run.path))
    assert_bit_equal(plain.tensors(), tracked.tensors())
    assert not list((plain.run.path / "samples").iterdir())
    assert [p.name for p in (tracked.run.path / "samples").iterdir()] == ["step-0000008.png"]


def test_what_is_missing_or_misspelled_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptdiff.training.trackers.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"--logger aim needs a package: pip install 'ptdiff\[aim\]'"):
        make_loggers(["aim"], tmp_path / "run")
    with pytest.raises(UnknownName, match="did you mean 'tensorboard'"):
        check_loggers(["tensorbord"])
    assert list(tmp_path.iterdir()) == []


def test_a_logger_of_lightning_without_pictures_will_do() -> None:
    seen: list[Any] = []

    class Plain:
        def log_metrics(self, metrics: Any, step: int) -> None:
            seen.append(metrics)

        def save(self) -> None: ...

    trackers = Trackers([Plain()], pytest.fail)
    trackers.picture("samples", np.zeros((4, 4, 3), np.uint8), 1)
    trackers.log({"loss": 1.0}, 1)
    assert seen == [{"loss": 1.0}]
    assert not trackers.take_pictures
