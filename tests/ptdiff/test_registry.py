"""Finding modalities: nothing heavy is imported, a broken plugin harms no other, a mistake is answered in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ptdiff.errors import PluginError, UnknownName
from ptdiff.modality import Modality, registry
from ptdiff.modality.registry import GROUP

HEAVY = [
    "torch",
    "pytorch_lightning",
    "lightning_fabric",
    "torch_geometric",
    "open3d",
    "trimesh",
    "matplotlib",
    "sklearn",
]

GOOD = """
from dataclasses import dataclass
from ptdiff.modality import Modality

@dataclass(frozen=True)
class Good(Modality):
    width: int = 8
    def dataset(self): raise OSError
    def backbone(self, data): raise OSError
    def visualizer(self): raise OSError
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """install(distribution, code, **entry points): a distribution as pip leaves it, with one module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(distribution: str, code: str, **entries: str) -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return make


def run(code: str, *folders: Path) -> str:
    path = os.pathsep.join([*map(str, folders), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_listing_and_loading_import_nothing_heavy() -> None:
    code = f"""
import sys
from ptdiff.modality import registry
heavy = lambda: [name for name in {HEAVY} if name in sys.modules]
listed = registry.modalities()
assert not heavy(), heavy()
assert not [name for name in sys.modules if name.startswith('ptdiff_')], 'listing imports no plugin'
for name in ('pointcloud', 'points2d', 'images'):
    assert registry.load(name) is not None
    print(name, heavy())
"""
    assert run(code).splitlines() == ["pointcloud []", "points2d []", "images []"]


def test_the_plugins_that_come_along_are_listed_with_their_origin() -> None:
    listed = {item.name: item for item in registry.modalities()}
    assert {"pointcloud", "points2d", "images"} <= set(listed)
    assert listed["points2d"].target == "ptdiff_points2d:Points2D"
    assert listed["points2d"].distribution == "ptdiff"


def test_a_distribution_brings_a_modality_by_its_entry_point(install: Install) -> None:
    install("good-plugin", GOOD, good="good_plugin:Good")
    assert [(m.name, m.distribution, m.version) for m in registry.modalities() if m.name == "good"] == [
        ("good", "good-plugin", "1.2")
    ]
    made = registry.load("good", {"width": "16"})
    assert isinstance(made, Modality)
    assert made.width == 16  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code", "target", "said"),
    [
        ("raise RuntimeError('out of order')", "broken:Broken", "cannot be imported: RuntimeError: out of order"),
        ("import no_such_module_at_all", "broken:Broken", "ModuleNotFoundError"),
        ("def f(:", "broken:Broken", "SyntaxError"),
        ("x = 1", "broken:Broken", "AttributeError"),
        ("", "absent_module:Broken", "ModuleNotFoundError"),
        ("Broken = 3", "broken:Broken", "is not a subclass of ptdiff.modality.Modality"),
        ("class Broken: pass", "broken:Broken", "is not a subclass of ptdiff.modality.Modality"),
        (
            "from ptdiff.modality import Modality\nclass Broken(Modality):\n    def dataset(self): ...",
            "broken:Broken",
            "does not define backbone, visualizer",
        ),
        ("raise SystemExit(3)", "broken:Broken", "cannot be imported: SystemExit"),
    ],
)
def test_a_broken_plugin_is_reported_and_the_others_still_load(
    install: Install, code: str, target: str, said: str
) -> None:
    install("broken", code, broken=target)
    install("good-plugin", GOOD, good="good_plugin:Good")
    assert {"broken", "good", "points2d"} <= {item.name for item in registry.modalities()}
    with pytest.raises(PluginError) as caught:
        registry.modality_class("broken")
    assert said in str(caught.value)
    assert f"modality 'broken' ({target})" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert registry.load("good") is not None
    assert registry.load("points2d") is not None


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_ctrl_c_while_a_plugin_is_imported_stays_an_interrupt(install: Install) -> None:
    interrupt = "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()"
    wait = "while True:\n    time.sleep(0.01)"
    install("slow", f"import os, signal, threading, time\n{interrupt}\n{wait}", slow="slow:Good")
    with pytest.raises(KeyboardInterrupt):
        registry.modality_class("slow")


def test_two_claims_to_one_name_are_refused_with_both_origins(install: Install) -> None:
    install("b-plugin", GOOD, shared="b_plugin:Good")
    install("a-plugin", GOOD, shared="a_plugin:Good")
    with pytest.raises(PluginError, match=r"'shared' is claimed by a-plugin 1.2 and by b-plugin 1.2: uninstall"):
        registry.modality_class("shared")
    assert "shared" not in {m.name for m in registry.modalities()}
    assert not {"a_plugin", "b_plugin"} & set(sys.modules)


def test_a_plugin_for_another_contract_is_named_with_the_version_it_needs(install: Install, tmp_path: Path) -> None:
    install("good-plugin", GOOD, good="good_plugin:Good")
    file = tmp_path / "good_plugin-1.2.dist-info" / "entry_points.txt"
    file.write_text(file.read_text().replace("v1", "v2"))
    assert "good" not in {item.name for item in registry.modalities()}
    with pytest.raises(PluginError, match=r"'good' of good-plugin 1.2 needs ptdiff with contract v2 of modalities"):
        registry.modality_class("good")


@pytest.mark.parametrize(
    ("wrong", "right"), [("pointclouds", "pointcloud"), ("point2d", "points2d"), ("image", "images")]
)
def test_a_wrong_name_is_answered_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{right}'"):
        registry.load(wrong)


def test_a_wrong_option_is_answered_with_the_nearest_and_a_wrong_value_in_one_line() -> None:
    with pytest.raises(UnknownName, match="unknown option of modality points2d 'widht': did you mean 'width'"):
        registry.load("points2d", {"widht": 3})
    with pytest.raises(ValueError, match="modality points2d: width: should be a valid integer"):
        registry.load("points2d", {"width": "wide"})
    with pytest.raises(ValueError, match="modality points2d: width must be at least 1, not 0"):
        registry.load("points2d", {"width": 0})


@dataclass(frozen=True)
class Here(Modality):
    size: int = 1

    def dataset(self) -> Any: ...

    def backbone(self, data: Any) -> Any: ...

    def visualizer(self) -> Any: ...


def test_a_class_is_found_by_module_and_name() -> None:
    assert registry.load(f"{__name__}:Here", {"size": 4}) == Here(4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:Here", "ModuleNotFoundError"),
        ("json:Here", "AttributeError"),
        ("json:JSONDecoder", "is not a subclass"),
        ("ptdiff.modality:Modality", "does not define backbone, dataset, visualizer"),
        (":Here", "is not of the form module:Class"),
        ("json:", "is not of the form module:Class"),
        ("json:a b", "is not of the form module:Class"),
        ("a:b:c", "is not of the form module:Class"),
        ("../x:Here", "is not of the form module:Class"),
    ],
)
def test_a_class_that_is_none_is_refused_in_one_line(name: str, said: str) -> None:
    with pytest.raises((PluginError, ValueError)) as caught:
        registry.trust(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_from_a_file_imports_nothing_until_the_user_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_payload.py").write_text(
        f"import {__name__}\nfrom pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        f"Model = {__name__}.Here\n"
    )
    with pytest.raises(ValueError, match="--trust a_payload:Model if you trust that code"):
        registry.load("a_payload:Model")
    assert not (tmp_path / "ran").exists() and "a_payload" not in sys.modules
    registry.trust("a_payload:Model")
    assert (tmp_path / "ran").exists()
    assert registry.load("a_payload:Model") == Here()
    del sys.modules["a_payload"]


def test_a_module_that_loads_its_parts_on_demand_is_not_asked_for_them() -> None:
    # ptdiff.train is imported by ptdiff.__getattr__
    with pytest.raises(ValueError, match="a file never decides what is imported"):
        registry.load("ptdiff:no_such_part")


def test_a_missing_plugin_is_named_with_what_to_install() -> None:
    recorded = {"distribution": "ptdiff-molecules", "version": "0.1"}
    said = registry.missing("molecules", recorded)
    assert said == (
        "the modality 'molecules' of ptdiff-molecules 0.1, which is not installed: pip install ptdiff-molecules"
    )
    assert registry.missing("points2d", recorded) is None
    assert registry.missing("module:Class", recorded) is None


@pytest.mark.parametrize(
    "distribution",
    ["--index-url=http://x", "a b", "a; rm -rf ~", "$(id)", "git+https://x/y", "\x1b[2Ja", "../a", "", None, 3, ["a"]],
)
def test_what_a_file_says_to_install_is_a_plain_name_or_is_not_said(distribution: Any) -> None:
    assert registry.missing("molecules", {"distribution": distribution, "version": "0.1"}) is None
    assert registry.missing("molecules", distribution) is None
