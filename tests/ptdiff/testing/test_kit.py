"""The kit itself: what it reports, in which order, and what it leaves alone."""

from __future__ import annotations

import json
import random
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

import numpy as np
import pytest
import torch
from good_modality import Good
from torch import nn

from ptdiff.errors import UnknownName
from ptdiff.modality import Data, TensorSplit
from ptdiff.testing import CHECKS, PARTS, Subject, check_modality, findings
from ptdiff.testing.catalog import proves, words
from ptdiff.testing.package_checks import PUBLIC

RUNS = ("training", "sampling")
QUICK = [part for part in PARTS if part not in (*RUNS, "package")]


@dataclass(frozen=True)
class Unreadable(Good):
    """Data on a disk that is gone."""

    def dataset(self) -> Data:
        raise OSError("no such disk")


@dataclass(frozen=True)
class Unbuilt(Good):
    """A network that cannot be built."""

    def backbone(self, data: Data) -> nn.Module:
        raise ZeroDivisionError("no width")


def test_there_are_many_checks_each_with_a_name_and_a_line_about_it() -> None:
    names = [check.__name__ for check in CHECKS]
    assert len(names) == len(set(names)) >= 90
    for check in CHECKS:
        text = (check.__doc__ or "").strip()
        assert re.match(r"Check \w", text), check.__name__
        assert text.endswith("."), check.__name__


def test_the_page_lists_every_check_and_every_public_module() -> None:
    page = (Path(__file__).parents[3] / "docs" / "write-a-modality.md").read_text(encoding="utf-8")
    listed = page[page.index("## 11. The conformance checks") :]
    rows = [line for line in listed.splitlines() if re.match(r"\| (?!check |---)", line)]
    assert rows == [f"| {words(check)} | {proves(check)} |" for check in CHECKS]
    imports = page[page.index("### What to import") : page.index("## 10.")]
    assert tuple(re.findall(r"^\| `(ptdiff[\w.]*)` \|", imports, re.M)) == PUBLIC


def test_data_that_cannot_be_read_is_one_failure_and_what_needs_it_is_skipped() -> None:
    found = list(findings(Subject(Unreadable()), QUICK))
    (failed,) = [finding for finding in found if finding.problem]
    assert failed.check == "the data is read"
    assert failed.problem is not None
    assert "OSError: no such disk" in failed.problem
    assert "test_kit.py" in failed.problem, "the place of the error"
    assert sum(finding.skipped == "needs: the data is read" for finding in found) > 40


def test_a_network_that_cannot_be_built_is_one_failure() -> None:
    found = list(findings(Subject(Unbuilt()), QUICK))
    assert [finding.check for finding in found if finding.problem] == ["the backbone is built"]


def test_equal_samples_by_chance_are_not_taken_for_a_shared_split() -> None:
    @dataclass(frozen=True)
    class Coins(Good):
        """Throws of a coin, of which many are equal."""

        shared: bool = False

        def dataset(self) -> Data:
            generator = torch.Generator().manual_seed(0)
            train, val = (torch.randint(2, (n, 5, 2), generator=generator).float() for n in (60, 40))
            return Data((5, 2), train=TensorSplit(train), val=TensorSplit(train[:40] if self.shared else val))

    for shared, problems in ((False, 0), (True, 1)):
        (finding,) = findings(Subject(Coins(shared=shared)), ["splits_do_not_share_samples"])
        assert (finding.problem is not None) == problems, finding


def test_findings_have_a_part_a_line_and_a_duration() -> None:
    found = list(findings(Subject(Good()), ["options"]))
    assert {finding.part for finding in found} == {"options"}
    assert all(finding.proves and finding.seconds >= 0 for finding in found)
    assert [finding.check.replace(" ", "_") for finding in found] == [c.__name__ for c in PARTS["options"]]


def test_a_single_check_can_be_named_and_an_unknown_one_is_answered() -> None:
    (finding,) = check_modality("points2d", {"count": 64}, ["classes have names"])
    assert finding.part == "data"
    with pytest.raises(UnknownName, match="did you mean 'classes_have_names'"):
        check_modality("points2d", only=["classes_have_nams"])


def test_progress_is_told_before_each_check() -> None:
    told: list[tuple[str, int]] = []
    found = list(check_modality("points2d", {"count": 64}, ["options"], lambda *now: told.append(now)))
    assert told == [(finding.check, len(found)) for finding in found]


def test_a_check_that_does_not_apply_is_skipped_with_the_reason() -> None:
    check = next(check for check in CHECKS if check.__name__ == "no_estimate_is_said_in_two_ways")
    with pytest.raises(SkipTest, match="no self-conditioning"):
        check(Subject(Good()))


def test_checks_leave_random_states_threads_and_modules_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate(), torch.get_num_threads()
    assert [f.problem for f in findings(Subject(Good()), [*QUICK, *RUNS]) if f.problem] == []
    after = torch.get_rng_state(), str(np.random.get_state()), random.getstate(), torch.get_num_threads()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


PLUGIN = '''
"""A plugin in one module."""
{top}
from dataclasses import dataclass
from ptdiff.modality import Data, Modality, TensorSplit, Visualizer, option


@dataclass(frozen=True)
class Plugin(Modality):
    """Numbers."""

    count: int = option(64, "numbers", least=8)

    def __post_init__(self):
        {built}

    def dataset(self):
        import torch
        {read}
        x = torch.randn(self.count, 3, generator=torch.Generator().manual_seed(0))
        {drawn}
        return Data((3,), train=TensorSplit(x)).measured()

    def backbone(self, data):
        from torch import nn
        return nn.Linear(3, 3)

    def visualizer(self):
        return Visualizer()
'''

FAULTS = {
    "torch at the top": ({"top": "import torch"}, "importing_is_light"),
    "matplotlib when it is built": ({"built": "import matplotlib"}, "importing_is_light"),
    "a slow import": (
        {"top": "import time\nend = time.process_time() + 1.2\nwhile time.process_time() < end: pass"},
        "importing_is_light",
    ),
    "a greeting": ({"top": "print('welcome')"}, "importing_has_no_effects"),
    "a log file": ({"top": "open('plugin.log', 'w').close()"}, "importing_has_no_effects"),
    "a request": (
        {"top": "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 0.1)\nexcept OSError: pass"},
        "importing_has_no_effects",
    ),
    "an option file": ({"built": "open('options.txt', 'w').close()"}, "importing_has_no_effects"),
    "a line about the data": ({"read": "print('reading')"}, "reading_data_prints_nothing"),
    "a file beside the command": (
        {"read": "open('cache.bin', 'wb').close()"},
        "reading_data_writes_to_the_cache_alone",
    ),
    "numbers by the hash of a name": ({"drawn": "x += hash('numbers') % 100"}, "another_process_finds_the_same"),
    "internals of ptdiff": ({"top": "from ptdiff.documents.jsons import parse_json"}, "imports_are_public"),
    "a private name": ({"top": "from ptdiff.choices import _leaves"}, "imports_are_public"),
    "the code of another plugin": ({"top": "from ptdiff_points2d import Points2D"}, "imports_are_public"),
}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules, which is not the one for temporary files, and the current one."""
    folder = tmp_path / "modules"
    for part in ("tmp", "here"):
        (folder / part).mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder / "here")
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    return folder


def written(folder: Path, name: str, **parts: str) -> str:
    slots = dict.fromkeys(("top", "built", "read", "drawn"), "") | {"built": "pass"} | parts
    (folder / f"{name}.py").write_text(PLUGIN.format(**slots))
    return f"{name}:Plugin"


def failed(target: str, only: list[str]) -> list[str]:
    return [f.check.replace(" ", "_") for f in check_modality(target, only=only) if f.problem]


# every case is a process that imports torch
@pytest.mark.parametrize("fault", [None, *(pytest.param(name, marks=pytest.mark.slow) for name in FAULTS)])
def test_side_effects_of_a_module_are_seen_by_the_check_for_them_alone(fault: str | None, elsewhere: Path) -> None:
    parts, name = FAULTS[fault] if fault else ({}, None)
    module = f"spoiled_module_{len(fault or '')}_{abs(hash(fault)) % 10**6}"
    try:
        found = failed(written(elsewhere, module, **parts), ["package"])
    finally:
        sys.modules.pop(module, None)
    assert found == ([name] if name else [])


def installed(folder: Path, name: str, requires: str = "Requires-Dist: ptdiff\n", entry: str = "numbers") -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    python = "Requires-Python: >=3.11\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{python}{requires}\n")
    (info / "entry_points.txt").write_text(f"[ptdiff.modalities.v1]\n{entry} = installed_plugin:Plugin\n")


METADATA = ["the_entry_point_leads_to_the_class", "the_name_is_its_own", "the_distribution_requires_ptdiff"]


@pytest.mark.parametrize(
    ("distributions", "expected"),
    [
        ({"plain": {}}, []),
        ({"plain": {"requires": ""}}, ["the_distribution_requires_ptdiff"]),
        ({"plain": {"entry": "Numbers"}}, ["the_name_is_its_own"]),
    ],
    ids=str,
)
def test_metadata_of_the_distribution_are_checked(
    distributions: dict[str, dict[str, str]], expected: list[str], elsewhere: Path
) -> None:
    written(elsewhere, "installed_plugin")
    for name, parts in distributions.items():
        installed(elsewhere, name, **parts)
    entry = next(iter(distributions.values())).get("entry", "numbers")
    found = list(check_modality(entry, only=METADATA))
    assert [f.skipped for f in found] == [None] * 3
    assert [f.check.replace(" ", "_") for f in found if f.problem] == expected


def test_the_report_of_another_process_is_plain_json(elsewhere: Path) -> None:
    from ptdiff.testing.package_checks import _report

    report = _report(written(elsewhere, "reported_module"), json.dumps({"count": 32}))
    assert set(report) == {"imported", "built", "hashes", "read"}
    assert set(report["hashes"]) == {"train", "weights"}
