"""Every door: what an installed distribution brings works by its name, and nothing is imported before it is used."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptdiff.choices import Catalog, choose, described
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.errors import DataError, PluginError, UnknownName
from ptdiff.evaluation import METRICS
from ptdiff.guidance import CFG, GUIDANCE
from ptdiff.machine.engines import ENGINES
from ptdiff.metrics import Score
from ptdiff.modality import Comparison, registry
from ptdiff.modality.backbones import with_backbone
from ptdiff.modality.data import Data
from ptdiff.objective.consistency import OBJECTIVES
from ptdiff.plugins.doors import DOORS
from ptdiff.process import PROCESSES, Flow
from ptdiff.run.config import Config, Sampling
from ptdiff.sampling.files import Stored, check_target, write
from ptdiff.sampling.options import changed, facts
from ptdiff.sampling.sampler import Plan, draw
from ptdiff.sampling.samples import Samples
from ptdiff.solvers import ADAPTIVE, SOLVERS
from ptdiff.training.trackers import Trackers, check_loggers, make_loggers
from ptdiff_cli.shared.doors import builtin, catalog

Install = Callable[..., Path]

CODE = {
    "solvers": """
from dataclasses import dataclass
from ptdiff.solvers.runge_kutta import Euler

@dataclass(frozen=True)
class Theirs:
    "Euler with twice the steps of nothing."
    times: int = 1

    @property
    def order(self): return 1

    def table(self, levels): return Euler().table(levels)
""",
    "processes": """
from dataclasses import dataclass
from ptdiff.process import Flow

@dataclass(frozen=True)
class Theirs(Flow):
    times: int = 1
""",
    "objectives": """
from dataclasses import dataclass
from ptdiff.objective.loss import Denoise

@dataclass(frozen=True)
class Theirs(Denoise):
    times: int = 1
""",
    "guidance": """
from dataclasses import dataclass
from ptdiff.guidance import CFG

@dataclass(frozen=True)
class Theirs(CFG):
    times: int = 1
""",
}
PAGE = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text(encoding="utf-8")


def example(heading: str) -> str:
    """The code of a section of docs/plugins.md."""
    section = PAGE[PAGE.index(f"\n## {heading}\n") + 1 :].partition("\n## ")[0]
    return section.partition("```python\n")[2].partition("```")[0]


def test_every_section_with_code_is_tried_by_a_test_of_this_file() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    with_code = {section.splitlines()[0] for section in sections if "```python" in section}
    assert all(section.count("```python") <= 1 for section in sections)
    here = Path(__file__).read_text(encoding="utf-8")
    tried = set(re.findall(r"example\(\"([^\"]+)\"\)", here))
    four = {"Solvers", "Processes", "Objectives", "Guidance"}  # in test_the_examples_of_the_page_can_be_chosen
    assert with_code == tried | four


CATALOGS: dict[str, Catalog[Any]] = {
    "solvers": SOLVERS,
    "processes": PROCESSES,
    "objectives": OBJECTIVES,
    "guidance": GUIDANCE,
}


@pytest.mark.parametrize("door", CODE)
def test_a_name_is_found_in_its_catalog_and_imported_when_it_is_used(install: Install, door: str) -> None:
    catalog = CATALOGS[door]
    before = list(catalog)
    install("their-plugin", CODE[door], {f"ptdiff.{door}.v1": {"theirs": "their_plugin:Theirs"}})
    assert "theirs" in catalog and catalog.names() == [*before, "theirs"] and list(catalog) == before
    with pytest.raises(UnknownName, match="did you mean 'theirs'"):
        choose(catalog.kind, catalog, {"name": "theirz"})
    assert catalog.name_of(object) is None
    assert "their_plugin" not in sys.modules
    made = choose(catalog.kind, catalog, {"name": "theirs", "times": "2"})
    assert made.times == 2 and type(made) is catalog["theirs"] is sys.modules["their_plugin"].Theirs
    assert described(catalog, made)["name"] == "theirs" and catalog.name_of(type(made)) == "theirs"
    with pytest.raises(UnknownName, match=f"unknown option of {catalog.kind} theirs 'time': did you mean 'times'"):
        choose(catalog.kind, catalog, {"name": "theirs", "time": 2})


@pytest.mark.parametrize("door", CODE)
def test_a_builtin_is_never_replaced(install: Install, door: str) -> None:
    catalog = CATALOGS[door]
    names = list(catalog)
    install("aaa-first", CODE[door], {f"ptdiff.{door}.v1": {names[0]: "aaa_first:Theirs"}})
    said = rf"{catalog.kind} '{names[0]}' is claimed by ptdiff itself and by aaa-first 1.2: uninstall aaa-first 1.2, or"
    with pytest.raises(PluginError, match=said):
        catalog[names[0]]
    with pytest.raises(PluginError, match=said):
        choose(catalog.kind, catalog, {"name": names[0]})
    assert catalog[names[1]] is dict(catalog)[names[1]] and catalog.names() == names
    assert "aaa_first" not in sys.modules


def test_an_adaptive_solver_is_not_replaced_either(install: Install) -> None:
    install("aaa-first", CODE["solvers"], {"ptdiff.solvers.v1": {"dopri5": "aaa_first:Theirs"}})
    with pytest.raises(PluginError, match="is claimed by ptdiff itself and by aaa-first"):
        changed(Plan(Flow()), {"solver": "dopri5"})


@pytest.mark.parametrize("door", CODE)
def test_what_the_door_does_not_take_is_refused_in_one_line(install: Install, door: str) -> None:
    install("their-plugin", "class Theirs: pass\nx = 3\n", {f"ptdiff.{door}.v1": {"a": "their_plugin:Theirs"}})
    label = r"'a' \(their_plugin:Theirs\) of their-plugin 1.2"
    with pytest.raises(PluginError, match=f"{label} (is not a subclass of|does not define order, table)"):
        CATALOGS[door]["a"]


def test_a_solver_of_a_plugin_can_be_chosen_wherever_a_solver_can(install: Install) -> None:
    install("their-plugin", CODE["solvers"], {"ptdiff.solvers.v1": {"theirs": "their_plugin:Theirs"}})
    plan = changed(Plan(Flow(), steps=4), {"solver": "theirs"})
    assert facts(plan)["solver"] == {"name": "theirs", "times": 1}
    # options for the name that is chosen already
    again = changed(plan, {"solver": {"times": 3}})
    assert facts(again)["solver"] == {"name": "theirs", "times": 3}
    assert facts(changed(again, {"steps": 5}))["solver"] == {"name": "theirs", "times": 3}
    nested = Plan.chosen({"name": "flow"}, Sampling(solver={"name": "churn", "amount": 1, "base": "theirs"}))
    assert described(SOLVERS, nested.solver)["base"] == {"name": "theirs", "times": 1}

    def denoiser(x: torch.Tensor, level: Any, cond: Any) -> torch.Tensor:
        return x / (level.alpha**2 + level.sigma**2)

    data = Data(shape=(2,))
    euler = draw(denoiser, data, Plan(Flow(), SOLVERS["euler"](), 4), torch.arange(3), {}, (2,))
    assert torch.equal(draw(denoiser, data, plan, torch.arange(3), {}, (2,)), euler)


def test_a_process_and_a_guidance_of_a_plugin_make_a_plan(install: Install) -> None:
    install("their-process", CODE["processes"], {"ptdiff.processes.v1": {"theirs": "their_process:Theirs"}})
    install("their-guidance", CODE["guidance"], {"ptdiff.guidance.v1": {"theirs": "their_guidance:Theirs"}})
    plan = changed(Plan(Flow()), {"process": {"name": "theirs", "times": 4}, "guidance": {"name": "theirs"}})
    assert facts(plan)["process"] == {"name": "theirs", "times": 4}
    assert isinstance(plan.guidance, CFG) and facts(plan)["guidance"]["name"] == "theirs"
    assert "theirs" not in ADAPTIVE


def test_the_examples_of_the_page_can_be_chosen(install: Install) -> None:
    for door, cls in {
        "solvers": "MyDDIM",
        "processes": "Root",
        "objectives": "Late",
        "guidance": "Clipped",
    }.items():
        install(f"page-{door}", example(door.capitalize()), {f"ptdiff.{door}.v1": {"mine": f"page_{door}:{cls}"}})
    table = SOLVERS["mine"]().table(Plan(Flow(), steps=5).levels())
    ddim = SOLVERS["ddim"]().table(Plan(Flow(), steps=5).levels())
    assert [s.keep for s in table.stages] == pytest.approx([s.keep for s in ddim.stages])
    assert [s.mix for s in table.stages] == [pytest.approx(s.mix) for s in ddim.stages]
    assert PROCESSES["mine"]().ends == (0.0, pytest.approx(1.5508, abs=1e-4))
    late = OBJECTIVES["mine"]().objective(Config(modality="points2d"), None)
    x, eps, level = torch.randn(3, 2), torch.randn(3, 2), PROCESSES["flow"]().level(torch.full((3,), 0.5))
    network = NetworkDenoiser(Zero())
    assert torch.equal(late.at(0.6)(network, x, eps, level, {}), 2 * late.at(0.4)(network, x, eps, level, {}))
    one = torch.ones(1, 2)
    assert GUIDANCE["mine"](scale=3.0).combine(one, level, one, one - 4).tolist() == [[2.0, 2.0]]


def test_the_metric_of_the_page_is_a_score(install: Install) -> None:
    install("page-metrics", example("Metrics"), {"ptdiff.metrics.v1": {"mean-gap": "page_metrics:mean_gap"}})
    sets = Comparison(torch.ones(8, 2), torch.zeros(8, 2), torch.zeros(8, 2))
    found = METRICS["mean-gap"](sets)
    assert isinstance(found, Score) and found.floor == 0
    assert [found.value, found.low, found.high] == pytest.approx([2**0.5] * 3)
    assert METRICS["energy"](sets).floor == 0
    with pytest.raises(UnknownName, match="unknown metric 'mean-gop': did you mean 'mean-gap'"):
        METRICS["mean-gop"]


def test_the_tracker_of_the_page_writes_into_the_run(install: Install, tmp_path: Path) -> None:
    install("page-trackers", example("Trackers"), {"ptdiff.trackers.v1": {"lines": "page_trackers:Lines"}})
    run = tmp_path / "run"
    run.mkdir()
    (made,) = make_loggers(["lines"], run)
    trackers = Trackers([made], print)
    trackers.log({"loss": 0.5}, 3)
    trackers.close("success")
    assert (run / "logs" / "lines.txt").read_text() == "3 {'loss': 0.5}\n"


def test_a_tracker_that_cannot_be_imported_is_refused_before_the_run_begins(install: Install) -> None:
    install("bad-tracker", "raise SystemExit(3)", {"ptdiff.trackers.v1": {"bad": "bad_tracker:Lines"}})
    with pytest.raises(
        PluginError, match=r"logger 'bad' \(bad_tracker:Lines\) of bad-tracker 1.2 cannot be imported: Sys"
    ):
        check_loggers(["bad"])
    with pytest.raises(UnknownName, match="unknown logger 'tensorbord': did you mean 'tensorboard'"):
        check_loggers(["tensorbord"])


def test_the_engine_of_the_page_runs_everything(install: Install) -> None:
    install("page-engines", example("Engines"), {"ptdiff.engines.v1": {"threads": "page_engines:Threads"}})
    assert sorted(ENGINES["threads"](3).map(abs, [-3, 2, -1])) == [1, 2, 3]
    install("no-engine", "class Threads: pass", {"ptdiff.engines.v1": {"nothing": "no_engine:Threads"}})
    with pytest.raises(PluginError, match=r"engine 'nothing' .* does not define map"):
        ENGINES["nothing"]


def test_the_backbone_of_the_page_replaces_the_network_of_two_modalities(install: Install) -> None:
    install("page-backbones", example("Backbones"), {"ptdiff.backbones.v1": {"tiny": "page_backbones:Tiny"}})
    for name, shape in (("points2d", (2,)), ("pointcloud", (16, 3))):
        kind = with_backbone(registry.load(name), {"name": "tiny", "width": 8})
        x, data = torch.randn(4, *shape), Data(shape=shape)
        assert type(kind) is registry.modality_class(name) and kind == registry.load(name)
        assert kind.backbone(data)(x, torch.ones(4), {}).shape == x.shape
    with pytest.raises(ValueError, match=r"backbone tiny is for points, not for samples of shape \(1, 8, 8\)"):
        with_backbone(registry.load("images"), {"name": "tiny"}).backbone(Data(shape=(1, 8, 8)))
    with pytest.raises(UnknownName, match="unknown backbone 'tini': did you mean 'tiny'"):
        with_backbone(registry.load("images"), {"name": "tini"})


def test_the_reader_and_the_writer_of_the_page_are_used_by_suffix(install: Install, tmp_path: Path) -> None:
    groups = {"ptdiff.readers.v1": {"abc": "page_formats:read"}, "ptdiff.writers.v1": {"abc": "page_formats:write"}}
    install("page-formats", example("Readers and writers"), groups)
    kind = registry.load("pointcloud", {"points": 8})
    x = torch.rand(1, 8, 3).numpy()
    assert check_target(tmp_path / "x.abc", None, 1, kind) == "abc" and check_target(None, "abc", 5, kind) == "abc"
    assert "page_formats" in sys.modules
    write(tmp_path / "x.abc", Stored(x, np.full(1, -1)), kind)
    assert np.array_equal(Samples.read(tmp_path / "x.abc", "pointcloud").samples.numpy(), x)
    with pytest.raises(UnknownName, match="unknown format 'abd': did you mean 'abc'"):
        check_target(tmp_path / "x.abd", None, 1, kind)
    (tmp_path / "bad.abc").write_text("1 2 x")
    with pytest.raises(DataError, match=r"bad.abc: could not convert string to float: 'x'"):
        Samples.read(tmp_path / "bad.abc", "pointcloud")
    (tmp_path / "x.abc").rename(tmp_path / "x.abe")
    with pytest.raises(DataError, match=r"x\.abe: no point cloud format has the suffix \.abe"):
        Samples.read(tmp_path / "x.abe", "pointcloud")


def test_no_format_of_a_modality_is_replaced(install: Install, tmp_path: Path) -> None:
    groups = {"ptdiff.readers.v1": {"ply": "ply_formats:read"}, "ptdiff.writers.v1": {"ply": "ply_formats:write"}}
    install("ply-formats", example("Readers and writers"), groups)
    kind = registry.load("pointcloud", {"points": 8})
    with pytest.raises(PluginError, match=r"format 'ply' is claimed by ptdiff itself and by ply-formats 1.2"):
        check_target(tmp_path / "x.ply", None, 1, kind)
    (tmp_path / "x.ply").write_text("1 2 3")
    with pytest.raises(DataError):
        Samples.read(tmp_path / "x.ply", "pointcloud")
    assert "ply_formats" not in sys.modules


def test_without_plugins_no_backbone_can_be_named() -> None:
    with pytest.raises(UnknownName, match="unknown backbone 'tiny'; none is installed"):
        with_backbone(registry.load("images"), {"name": "tiny"})


@pytest.mark.parametrize("door", sorted(set(DOORS) - {"modalities"}))
def test_plugin_ls_knows_the_names_of_ptdiff_itself(door: str) -> None:
    assert set(catalog(door)) <= set(builtin()[door])


class Zero(torch.nn.Module):
    def forward(self, x: torch.Tensor, angle: torch.Tensor, cond: Any) -> torch.Tensor:
        return torch.zeros_like(x)
