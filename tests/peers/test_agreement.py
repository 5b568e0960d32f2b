"""Other libraries' samplers walk the same way; skipped, with the reason, where a library is not installed."""

import pytest
import torch

from ptdiff.certify.agreement import TOLERANCE, Pair, gap, levels
from ptdiff.certify.counterparts import PACKAGES, PAIRS, installed
from ptdiff.certify.peers.loading import part
from ptdiff.choices import choose
from ptdiff.solvers import SOLVERS


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.peer} {pair.theirs} {pair.ours['name']}")
def test_the_states_agree(pair: Pair) -> None:
    if not installed([pair]):
        pytest.skip(f"{pair.peer} is not installed: benchmarks/peers/setup.sh makes an environment with it")
    assert gap(pair) <= TOLERANCE


def test_there_are_at_least_twenty_pairs_and_all_libraries() -> None:
    assert len(PAIRS) >= 20
    assert {pair.peer for pair in PAIRS} == set(PACKAGES)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.peer} {pair.theirs} {pair.ours['name']}")
def test_every_pair_names_a_choice_that_compiles_for_its_levels(pair: Pair) -> None:
    visited = levels(pair.space, pair.clean)
    table = choose("solver", SOLVERS, pair.ours).table(visited)
    assert table.levels[-1] == (float(visited.alpha[-1]), float(visited.sigma[-1]))


def test_a_pair_that_disagrees_is_seen() -> None:
    heun = choose("solver", SOLVERS, {"name": "heun", "chart": "noise"})

    def theirs(denoiser, x, visited, noise):  # type: ignore[no-untyped-def]
        from ptdiff.solvers import solve

        return [solve(denoiser, x, heun.table(visited))]

    assert gap(Pair("ours", "heun", theirs, {"name": "heun", "chart": "noise"})) == 0
    assert gap(Pair("ours", "heun", theirs, {"name": "heun", "chart": "flow"})) > 1e-3
    broken = Pair("ours", "nan", lambda *_: [torch.full((16, 2), torch.nan)], {"name": "ddim"})
    assert not gap(broken) <= TOLERANCE


def test_parts_of_packages_load_without_their_init_and_without_what_they_do_not_use(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    package = tmp_path / "heavy_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('this drags in the world')")
    (package / "sampling.py").write_text("from not_installed_library import anything\nfrom . import helper\n")
    (package / "helper.py").write_text("import not_installed_library.deep\nvalue = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = part("heavy_package", "sampling", ("not_installed_library", "not_installed_library.deep"))
    assert found.helper.value == 3
    import sys

    assert "not_installed_library" not in sys.modules


def test_a_package_that_is_missing_says_so() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package is not installed"):
        part("no_such_package", "sampling")
