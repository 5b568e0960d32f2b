"""The plugin contract: defaults, refusal of classes that do not fit, and the page that lists all of it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ptdiff.modality
from ptdiff.errors import PluginError, UnknownName, Unsupported
from ptdiff.metrics import compare
from ptdiff.modality import Comparison, Data, Modality, Visualizer, registry
from ptdiff.modality.contract import RENAMED

PAGE = (Path(__file__).parents[2] / "docs" / "write-a-modality.md").read_text(encoding="utf-8")


def table(title: str) -> dict[str, list[str]]:
    """The rows of the table under a heading: the first cell without backticks, and the other cells."""
    section = PAGE.partition(f"### {title}\n")[2].partition("\n#")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    assert len(rows) > 2, f"the page has no table {title}"
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


def listed(cls: type) -> dict[str, bool]:
    """Every public attribute of a class as the page writes it, and whether it is required."""
    found = {}
    for name, value in vars(cls).items():
        function = getattr(value, "__func__", value)
        if name.startswith("_"):
            continue
        if inspect.isfunction(function):
            own = list(inspect.signature(function).parameters.values())[1:]
            name += str(inspect.Signature([p.replace(annotation=p.empty) for p in own]))
        found[name] = name.partition("(")[0] in getattr(cls, "__abstractmethods__", ())
    return found


@pytest.mark.parametrize("cls", [Modality, Visualizer])
def test_the_page_lists_every_method_and_attribute_and_says_which_are_required(cls: type) -> None:
    rows = table(f"Methods and attributes of `{cls.__name__}`")
    rows = {name: cells for name, cells in rows.items() if " of the " not in name}
    assert {name: cells[0] == "required" for name, cells in rows.items()} == listed(cls)
    assert all(cells[0] in ("required", "optional") and all(cells[2:]) for cells in rows.values())


def test_the_page_lists_what_to_import_and_what_was_renamed() -> None:
    section = PAGE.partition("### What to import\n")[2].partition("Scores are")[0]
    assert set(re.findall(r"`(\w+)`", section)) == {*ptdiff.modality.__all__, "Array", "Image"}
    fields = set(re.findall(r"`(\w+)`", PAGE.partition("A `Comparison` has")[2].partition("\n\n")[0]))
    assert fields == {field.name for field in dataclasses.fields(Comparison)}
    renamed = PAGE.partition("Changes for plugins written for 0.1.0")[2]
    assert all(re.search(rf"^\| `{name}\b", renamed, re.MULTILINE) for name in RENAMED)


@dataclass(frozen=True)
class Numbers(Modality):
    """Three numbers."""

    def dataset(self) -> Data:
        return Data((3,))

    def backbone(self, data: Data) -> Any: ...

    def visualizer(self) -> Any:
        return Bare()


class Bare(Visualizer):
    def sheet(self, samples: Any, titles: Any) -> Any:
        return np.zeros((1, 1, 3), np.uint8)


def test_a_modality_with_the_three_methods_alone_has_a_default_or_a_reason_for_everything_else() -> None:
    kind, draw, x = Numbers(), Bare(), np.zeros((2, 3), np.float32)
    assert kind.recipe() == kind.formats() == kind.tables() == kind.meshing() == kind.gallery() == {}
    assert kind.bin_width is None and kind.given(Data((3,)), torch.zeros(1), 2) is None
    assert kind.frame(Data((3,)), x[0]) == (0, 1)
    assert torch.equal(kind.postprocess(torch.ones(2, 3), Data((3,))), torch.ones(2, 3))
    assert not draw.plays and not draw.has_media and draw.tints == ()
    refused = {
        "only be read from .npz files": lambda: kind.read(Path("a.txt")),
        "cannot turn its samples": lambda: kind.mesh(x[0]),
        "Numbers reads its data directly": lambda: kind.check_data(Path("a")),
        "use --data": lambda: kind.import_data(Path("a"), Path("b"), points=1, replace=False),
        "no turntable": lambda: draw.turntable(x, []),
        "Bare cannot play samples": lambda: draw.play(x, []),
        "leave out the color": lambda: draw.tinted("label", [0, 0]),
        "has no HTML page": lambda: draw.page(x, []),
        "neither sound nor film": lambda: draw.media(x[0]),
        "cannot open a window": lambda: draw.show(x, []),
    }
    for said, call in refused.items():
        with pytest.raises(Unsupported, match=said):
            call()


def test_a_visualizer_that_defines_play_plays() -> None:
    class Moving(Bare):
        def play(self, samples: Any, titles: Any) -> Any:
            return []

    assert Moving().plays


def test_the_default_comparison_is_that_of_flattened_samples_and_refuses_another_protocol() -> None:
    x, y, z = torch.randn(3, 20, 2, 2, generator=torch.Generator().manual_seed(0)).unbind()
    found = Numbers().compare(Comparison(x, y, z, seed=3))
    assert found.scores == compare(x, y, z, 3)
    assert found.scores == Numbers().compare(Comparison(x, y, z, seed=3), "full-set").scores
    with pytest.raises(UnknownName, match="unknown protocol 'full-sets': did you mean 'full-set'"):
        Numbers().compare(Comparison(x, y, z), "full-sets")


OLD = """
from dataclasses import dataclass
from ptdiff.modality import Modality

@dataclass(frozen=True)
class Old(Modality):
    def dataset(self): raise OSError
    def backbone(self, data): raise OSError
    def visualizer(self): raise OSError
    {method}
"""


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("def measure(self, protocol, samples, *more): ...", "Old defines measure: since ptdiff 0.2.0 that is compare"),
        ("def metrics(self, samples, reference, training): ...", "Old defines metrics: since ptdiff 0.2.0 that is co"),
        ("def require(self, protocol): ...", "Old defines require: since ptdiff 0.2.0 that is EvaluationProtocol"),
        ("protocol = 'mine'", "Old defines protocol: since ptdiff 0.2.0 the default is the first entry of protocols()"),
        (
            "def postprocess(self, samples): return samples",
            "Old defines postprocess(samples), but it is called as postprocess(samples, data): too many",
        ),
        ("def compare(self, samples, reference, training): ...", "is called as compare(comparison, protocol=None): "),
        ("def nearest(self, samples, others, progress): ...", "missing a required argument: 'progress'"),
        ("def check_data(self, source): ...", "got an unexpected keyword argument 'progress'"),
        ("recipes = classmethod(lambda cls, name: {})", "Old defines recipes(name), but it is called as recipes()"),
        ("def bin_width(self): return 1", "Old defines bin_width() as a method, but it is a property"),
        ("recipe = property(lambda self: {})", "Old defines recipe as a property, but it is a method"),
        ("frame: int = 3", "Old has an option or attribute 'frame', but frame() is a method of ptdiff"),
    ],
)
def test_a_plugin_that_does_not_fit_is_refused_in_one_line_when_it_is_loaded(
    method: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"old_{abs(hash(method))}"
    (tmp_path / f"{name}.py").write_text(OLD.format(method=method))
    with pytest.raises(PluginError) as caught:
        registry.trust(f"{name}:Old")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"modality '{name}:Old': Old ")
    assert "docs/write-a-modality.md" in str(caught.value) and "\n" not in str(caught.value)


def test_a_mixin_and_a_visualizer_are_held_to_the_same() -> None:
    class Mixin:
        def metrics(self) -> None: ...

    with pytest.raises(PluginError, match="defines metrics"):
        type("Mixed", (Mixin, Numbers), {})
    with pytest.raises(PluginError, match=r"defines sheet\(samples\), but it is called as sheet\(samples, titles\)"):
        type("Sheet", (Visualizer,), {"sheet": lambda self, samples: samples})


def test_other_ways_to_write_a_method_that_fits_are_taken() -> None:
    class Other(Numbers):
        bin_width = 0.5  # type: ignore[assignment]
        formats = staticmethod(dict)
        tables = partialmethod(lambda self, found: found, {})

        def compare(self, *sets: Any, **options: Any) -> Any: ...

        def nearest(self, x: Any, y: Any, report: Any = None, block: int = 3) -> Any: ...

        @staticmethod
        def postprocess(samples: Any, data: Any) -> Any: ...

        def measured(self) -> None: ...

        @classmethod
        def recipes(cls) -> Mapping[str, Path]:
            return {}

    class Tints(Bare):
        @cached_property
        def tints(self) -> tuple[str, ...]:
            return ("label",)

    assert Other().bin_width == 0.5 and Other().tables() == {} and Tints().tints == ("label",)
