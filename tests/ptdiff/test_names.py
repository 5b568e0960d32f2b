"""Names that people type: hints, checked options, choices from a catalog."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptdiff.choices import Catalog, build, choose, unknown
from ptdiff.errors import UnknownName
from ptdiff.grid import grid
from ptdiff.process import PROCESSES, VE, Flow
from ptdiff.solvers import SOLVERS


@dataclass(frozen=True)
class Options:
    count: int = 3
    share: float = 0.5
    label: str = "x"
    sizes: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, not {self.count}")


def nearness(a: str, b: str) -> float:
    return SequenceMatcher(None, b, a).ratio()


@pytest.mark.parametrize("catalog", [PROCESSES, SOLVERS], ids=["processes", "solvers"])
def test_a_name_with_two_letters_swapped_or_one_missing_finds_its_way_back(catalog: dict[str, type]) -> None:
    for name in catalog:
        if len(name) < 4:
            continue
        for i in range(1, len(name) - 1):
            swapped, shorter = name[:i] + name[i + 1] + name[i] + name[i + 2 :], name[:i] + name[i + 1 :]
            for wrong in (swapped, shorter):
                # another name may be as near
                right = {one for one in catalog if nearness(wrong, one) >= nearness(wrong, name)}
                message = str(unknown("thing", wrong, catalog))
                assert any(f"did you mean {one!r}?" in message for one in right), message


def test_a_name_like_none_gets_the_list_and_no_guess() -> None:
    message = str(unknown("solver", "qqqqq", ["heun", "ddim"]))
    assert message == "unknown solver 'qqqqq'; choose from: heun, ddim"


def test_a_long_catalog_does_not_fill_the_screen() -> None:
    message = str(unknown("solver", "huen", [f"name-{i}" for i in range(50)] + ["heun"]))
    assert "did you mean 'heun'?" in message
    assert message.endswith("name-14, and 36 more)")
    assert len(message) < 300


def test_options_are_checked_against_their_types() -> None:
    assert build("it", Options, {}) == Options()
    assert build("it", Options, {"count": "7", "share": 1, "sizes": [3, 4]}) == Options(7, 1.0, "x", (3, 4))
    assert isinstance(build("it", Options, {"share": 1}).share, float)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": "many"}, "it: count: should be a valid integer"),
        ({"count": 1.5}, "it: count: should be a valid integer"),
        ({"count": 0}, "it: count must be at least 1, not 0"),
        ({"count": None}, "it: count: should be a valid integer"),
        ({"label": 3}, "it: label: should be a valid string"),
        ({"sizes": "x"}, "it: sizes: should be a valid tuple"),
        ({"count": "a", "share": "b"}, "; share: "),
    ],
)
def test_a_wrong_option_is_named_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=r"^it: ") as caught:
        build("it", Options, options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown option of it 'cuont': did you mean 'count'"):
        build("it", Options, {"cuont": 1})


@settings(deadline=None)
@given(st.integers(1, 10**9), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_right_values_arrive_unchanged(count: int, share: float, label: str) -> None:
    assert build("it", Options, {"count": count, "share": share, "label": label}) == Options(count, share, label)


def test_choices_pick_an_entry_with_its_options_and_leave_the_mapping_alone() -> None:
    choice = {"name": "ve", "sigma_max": 40}
    assert choose("process", PROCESSES, choice) == VE(sigma_max=40.0)
    assert choice == {"name": "ve", "sigma_max": 40}
    assert choose("process", PROCESSES, {"name": "flow"}) == Flow()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"name": "vee"}, "unknown process 'vee': did you mean 've'"),
        ({"name": "ve", "sigma_mix": 1}, "unknown option of process ve 'sigma_mix': did you mean 'sigma_m"),
        ({"name": "ve", "sigma_max": -1}, "process ve: sigma_max must be positive"),
    ],
)
def test_a_wrong_choice_says_what_is_wrong(choice: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="process") as caught:
        choose("process", PROCESSES, choice)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("catalog", "wrong", "message"),
    [
        (SOLVERS, "dpmpp2m", "unknown solver 'dpmpp2m': did you mean 'dpm++2m'?"),
        (PROCESSES, "vee", "unknown process 'vee': did you mean 've'?"),
    ],
    ids=["solvers", "processes"],
)
def test_a_wrong_key_of_a_catalog_is_an_unknown_name_and_a_key_error(
    catalog: Catalog[type], wrong: str, message: str
) -> None:
    for error in (UnknownName, KeyError, ValueError):
        with pytest.raises(error) as caught:
            catalog[wrong]
        assert str(caught.value).startswith(message)
    assert wrong not in catalog and catalog.get(wrong) is None


def test_all_catalogs_of_choices_name_their_kind() -> None:
    from ptdiff.density import DENSITIES
    from ptdiff.grid import SPACINGS
    from ptdiff.guidance import GUIDANCE
    from ptdiff.solvers import ADAPTIVE

    for catalog in (SOLVERS, ADAPTIVE, PROCESSES, SPACINGS, DENSITIES, GUIDANCE):
        with pytest.raises(UnknownName, match=f"unknown {catalog.kind} 'zzzzz'; "):
            catalog["zzzzz"]


def test_copies_and_unions_of_a_catalog_are_catalogs() -> None:
    plain = Catalog("color", {"red": 1, "green": 2})
    for made in (pickle.loads(pickle.dumps(plain)), copy.copy(plain), copy.deepcopy(plain), plain.copy()):  # noqa: S301
        assert made == plain and made.kind == "color" and type(made) is Catalog
    more = plain | {"blue": 3}
    assert more == {"red": 1, "green": 2, "blue": 3} and plain == {"red": 1, "green": 2}
    with pytest.raises(UnknownName, match="unknown color 'bleu': did you mean 'blue'"):
        more["bleu"]


def test_a_grid_takes_names_as_well_as_objects() -> None:
    assert grid("ve", 5, "karras").sigma.tolist() == grid(VE(), 5, "karras").sigma.tolist()
    with pytest.raises(UnknownName, match="unknown process 'fow': did you mean 'flow'"):
        grid("fow", 5)
    with pytest.raises(UnknownName, match="unknown spacing 'karas': did you mean 'karras'"):
        grid("ve", 5, "karas")


def test_nan_is_out_of_every_range() -> None:
    from ptdiff.modality import option

    @dataclass(frozen=True)
    class Ranged:
        low: float = option(0.5, "share", least=0)
        high: float = option(0.5, "share", most=1)

    for name, end in (("low", "at least 0"), ("high", "at most 1")):
        with pytest.raises(ValueError, match=f"{name} must be {end}, not nan"):
            build("thing", Ranged, {name: float("nan")})
