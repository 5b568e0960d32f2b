"""The example of molecules: chemistry by hand, a tiny dictionary through the real reader, the network, the files."""

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ptdiff
from ptdiff.modality import Comparison
from ptdiff.testing import CHECKS, Subject

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "ptdiff-molecules"))

from ptdiff_molecules import Molecules
from ptdiff_molecules import dictionary as source
from ptdiff_molecules.chemistry import ELEMENTS, bond_orders, bonds, identity, molecule
from ptdiff_molecules.dictionary import Component, Selection, components
from ptdiff_molecules.files import molfile, of, read_xyz, write_sdf, write_xyz
from ptdiff_molecules.network import DistanceTransformer
from ptdiff_molecules.scores import fingerprints, scores, wilson
from ptdiff_molecules.sets import data_of, is_held_out, molecules_of, sample_of, settled

CHAINS = ("CCC", "CCO", "CCN", "COC", "CCCC", "CCCO", "CCCN", "CCOC", "OCCO", "NCCN", "NCCO", "CNC", "CSC", "CCS",
          "CCCl", "CCF", "OCO", "CCCCC", "CCCCO", "CCOCC", "CCNCC", "OCCCO", "NCCCN", "CCSC", "FCCF", "FCCO",
          "ClCCCl", "CCCCN", "CCCCS", "CCCF")  # fmt: skip
"""Saturated chains: heavy atoms one after the other, without double bonds."""


def numbers(*names: str) -> Any:
    return np.array([ELEMENTS.index(name) for name in names])


def chain(text: str) -> tuple[list[str], list[list[float]], list[tuple[int, int]]]:
    """Names, positions in Å and bonds of a saturated chain, zigzag, with hydrogens far enough from each other."""
    names = ["Cl" if c == "L" else c for c in text.replace("Cl", "L")]
    valence = {"C": 4, "N": 3, "O": 2, "S": 2, "F": 1, "Cl": 1}
    at: list[list[float]] = []
    for i, name in enumerate(names):
        step = 1.5 if i == 0 else 1.8 if {name, names[i - 1]} & {"S", "Cl"} else 1.5
        previous = at[-1][0] if at else -step * 0.83
        at.append([previous + step * 0.83, (i % 2) * 0.83, 0.0])
    pairs = list(pairwise(range(len(names))))
    total = Counter(i for pair in pairs for i in pair)
    for i, name in enumerate(list(names)):
        length = 1.34 if name == "S" else 1.05
        side = 1 if i % 2 else -1
        ends = {0: (-0.75, 0.0), len(text.replace("Cl", "L")) - 1: (0.75, 0.0)}.get(i)
        away = [(0, side * 0.55, 0.83), (0, side * 0.55, -0.83)]
        if ends is not None:
            away = [(0, side * 0.75, 0.66), (0, side * 0.75, -0.66), (ends[0] * 1.33, -side * 0.1, 0.0)]
        for vector in away[: valence[name] - total[i]]:
            norm = sum(v * v for v in vector) ** 0.5
            pairs.append((i, len(names)))
            names.append("H")
            at.append([a + length * v / norm for a, v in zip(at[i], vector, strict=True)])
    return names, at, pairs


def ring(name: str = "C", count: int = 6) -> tuple[Any, Any]:
    """Benzene, or the ring with other atoms and no hydrogen at them."""
    turn = np.arange(6) * np.pi / 3
    flat = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    hydrogens = 6 if name == "C" else 6 - count
    names = [name] * count + ["C"] * (6 - count) if name != "C" else ["C"] * 6
    kept = flat[6 - hydrogens :] if hydrogens < 6 else flat
    return numbers(*names, *["H"] * hydrogens), np.concatenate([1.39 * flat, 2.48 * kept])


def block(components: list[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """The three categories of a dictionary."""
    kinds: dict[str, list[str]] = {"id": [], "pdbx_release_status": [], "pdbx_ambiguous_flag": []}
    columns = ["comp_id", "atom_id", "type_symbol", "charge"]
    axes = [
        f"{name}{axis}{end}" for name, end in (("pdbx_model_Cartn_", "_ideal"), ("model_Cartn_", "")) for axis in "xyz"
    ]
    atoms: dict[str, list[str]] = {name: [] for name in [*columns, *axes]}
    pairs: dict[str, list[str]] = {"comp_id": [], "atom_id_1": [], "atom_id_2": []}
    for one in components:
        names, at, bonded = one["chain"] if isinstance(one["chain"], tuple) else chain(one["chain"])
        kinds["id"].append(one["id"])
        kinds["pdbx_release_status"].append(one.get("status", "REL"))
        kinds["pdbx_ambiguous_flag"].append(one.get("ambiguous", "N"))
        for i, (name, place) in enumerate(zip(names, at, strict=True)):
            row = [one["id"], f"{name}{i}", name.upper(), one.get("charge", "0") if i == 0 else "0"]
            for column, value in zip(columns, row, strict=True):
                atoms[column].append(value)
            for column, value in zip(axes, [*place, *place], strict=True):
                missing = one.get("missing", ())
                gone = ("ideal" if column.endswith("_ideal") else "model") in missing and i == 1
                atoms[column].append("?" if gone else f"{value:.4f}")
        for i, j in bonded[one.get("unbonded", 0) :]:
            for column, value in zip(pairs, [one["id"], f"{names[i]}{i}", f"{names[j]}{j}"], strict=True):
                pairs[column].append(value)
    return {"chem_comp": kinds, "chem_comp_atom": atoms, "chem_comp_bond": pairs}


def write_dictionary(path: Path, components: list[dict[str, Any]]) -> Path:
    """A dictionary in BinaryCIF format, as biotite writes it."""
    pdbx = pytest.importorskip("biotite.structure.io.pdbx", reason="biotite, which contains the dictionary, is missing")
    categories = {}
    for name, columns in block(components).items():
        made = {}
        for column, values in columns.items():
            unknown = np.array([value == "?" for value in values])
            data = pdbx.BinaryCIFData(np.array(["0" if value == "?" else value for value in values]))
            if "Cartn" in column:
                data = pdbx.BinaryCIFData(np.array([0.0 if value == "?" else float(value) for value in values]))
            mask = pdbx.BinaryCIFData(np.where(unknown, 2, 0).astype(np.uint8)) if unknown.any() else None
            made[column] = pdbx.BinaryCIFColumn(data, mask)
        categories[name] = pdbx.BinaryCIFCategory(made)
    pdbx.BinaryCIFFile({"components": pdbx.BinaryCIFBlock(categories)}).write(path)
    return path


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> Selection:
    """The chains in place of a dictionary, for what needs no file."""
    kept = []
    for text in CHAINS:
        names, at, _ = chain(text)
        kinds, places = numbers(*names), np.array(at)
        kept.append(Component(text, kinds, places, identity(kinds, bonds(kinds, places)[0])))
    found = Selection(tuple(kept), {})
    monkeypatch.setattr("ptdiff_molecules.sets.components", lambda path, heavy: found)
    return found


# chemistry


@pytest.mark.parametrize("text", CHAINS)
def test_a_chain_is_valid_and_loses_that_with_one_hydrogen(text: str) -> None:
    names, at, pairs = chain(text)
    found = molecule(numbers(*names), np.array(at))
    assert {tuple(sorted(pair)) for pair in np.argwhere(np.triu(found.orders)).tolist()} == set(map(tuple, pairs))
    assert found.valid and found.orders.max() == 1
    less = molecule(numbers(*names[:-1]), np.array(at[:-1]))
    assert not less.valid and less.connected and (~less.stable).sum() == 1


def test_a_ring_has_three_double_bonds_and_nitrogen_is_at_home_in_it() -> None:
    benzene = molecule(*ring())
    assert benzene.valid and benzene.formula == "C6H6"
    assert (np.triu(benzene.orders) == 2).sum() == 3
    pyridine = molecule(*ring("N", 1))
    assert pyridine.valid and pyridine.formula == "C5H5N"
    # five hydrogens leave one carbon without a partner
    elements, positions = ring()
    phenyl = molecule(elements[:-1], positions[:-1])
    assert not phenyl.valid and phenyl.stable.sum() == 10


def test_sulfur_has_the_valence_that_satisfies_most_atoms() -> None:
    # dimethyl sulfone: S with two carbons and two oxygens
    bonded = np.zeros((11, 11), dtype=bool)
    for i, j in [(0, 1), (0, 2), (0, 3), (0, 4), *((1, k) for k in (5, 6, 7)), *((2, k) for k in (8, 9, 10))]:
        bonded[i, j] = bonded[j, i] = True
    orders, stable = bond_orders(numbers("S", "C", "C", "O", "O", *"HHHHHH"), bonded)
    assert stable.all() and orders[0, 3] == orders[0, 4] == 2
    orders, stable = bond_orders(numbers("S", "H", "H"), np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool))
    assert stable.all()


def test_pieces_and_overlapping_atoms_are_not_valid() -> None:
    names, at, _ = chain("CCO")
    two = np.concatenate([np.array(at), np.array(at) + 20])
    apart = molecule(numbers(*names, *names), two)
    assert apart.stable.all() and not apart.connected and not apart.valid
    near = np.array(at)
    near[1] = near[0] + 0.3
    assert molecule(numbers(*names), near).clash


def test_the_identity_is_that_of_the_constitution_in_any_order_and_pose() -> None:
    generator = np.random.default_rng(0)
    seen: dict[str, str] = {}
    for text in CHAINS:
        names, at, _ = chain(text)
        first = molecule(numbers(*names), np.array(at))
        order = generator.permutation(len(names))
        turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        again = molecule(numbers(*names)[order], np.array(at)[order] @ turn + 5)
        assert first.identity == again.identity
        assert seen.setdefault(first.identity, text) == text
    assert len(seen) == len(CHAINS)


# the dictionary


def test_a_dictionary_is_read_and_every_reason_to_drop_a_molecule_is_counted(tmp_path: Path) -> None:
    plain = [{"id": f"C{i}", "chain": text} for i, text in enumerate(CHAINS)]
    names, at, pairs = chain("CCC")
    boron = (["B", *names[1:]], at, pairs)
    bare = (names[:3], at[:3], pairs[:2])
    radical = (names[:-1], at[:-1], pairs[:-1])
    spoiled: list[dict[str, Any]] = [
        {"id": "X0", "chain": "CO"},
        {"id": "X1", "chain": "CCCCCCC"},
        {"id": "X2", "chain": "CCC", "status": "OBS"},
        {"id": "X3", "chain": "CCC", "ambiguous": "Y"},
        {"id": "X4", "chain": boron},
        {"id": "X5", "chain": "CCC", "charge": "1"},
        {"id": "X6", "chain": "CCC", "missing": ("ideal", "model")},
        {"id": "X7", "chain": bare},
        {"id": "X8", "chain": "CCC", "unbonded": 1},
        {"id": "X9", "chain": radical},
        {"id": "XA", "chain": "CCC"},
    ]
    path = write_dictionary(tmp_path / "tiny.bcif", [*plain, *spoiled])
    found = components(path, 6)
    assert [one.name for one in found.kept] == [one["id"] for one in plain]
    assert list(found.dropped.items()) == list(zip(source.REASONS, (2, 2, 1, 1, 1, 1, 1, 1, 1), strict=True))
    again = found.kept[4]
    names, at, _ = chain(CHAINS[4])
    assert [ELEMENTS[i] for i in again.elements] == names
    assert np.abs(again.positions - np.array(at)).max() < 1e-4


def test_coordinates_of_a_model_take_the_place_of_missing_ideal_ones(tmp_path: Path) -> None:
    path = write_dictionary(tmp_path / "one.bcif", [{"id": "A", "chain": "CCO", "missing": ("ideal",)}])
    assert [one.name for one in components(path, 6).kept] == ["A"]


def test_a_file_that_is_no_dictionary_is_named(tmp_path: Path) -> None:
    pytest.importorskip("biotite.structure.io.pdbx", reason="biotite, which contains the dictionary, is missing")
    with pytest.raises(OSError, match="nothing"):
        components(tmp_path / "nothing.bcif", 6)
    (tmp_path / "text.bcif").write_bytes(b"data_components")
    with pytest.raises(ValueError, match="no dictionary of components"):
        components(tmp_path / "text.bcif", 6)


def test_without_biotite_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "biotite.structure.info", None)
    with pytest.raises(ValueError, match="pip install biotite"):
        components(tmp_path / "unread.bcif", 7)


@pytest.mark.slow
def test_the_dictionary_of_biotite_has_thousands_of_molecules_that_the_rules_understand() -> None:
    pytest.importorskip("biotite", reason="biotite, which contains the dictionary, is missing")
    found = components(None, 12)
    assert len(found.kept) > 3500
    # of those that come as far, the rules for bonds and valences lose fewer than one in 200
    lost = sum(found.dropped.get(reason, 0) for reason in source.REASONS[6:8])
    assert lost < 0.005 * (len(found.kept) + found.dropped[source.REASONS[8]])


# samples


def test_no_constitution_is_in_both_splits_and_the_split_does_not_depend_on_the_rest(chains: Selection) -> None:
    data = data_of(None, 12)
    assert data.train is not None and data.val is not None
    ours, held = (
        {one.identity for one in molecules_of(part.batch(torch.arange(len(part)), 0)[0])}
        for part in (data.train, data.val)
    )
    assert ours | held == {one.identity for one in chains.kept} and not ours & held
    assert held == {one.identity for one in chains.kept if is_held_out(one)}


def test_positions_and_elements_have_a_scale_each(chains: Selection) -> None:
    data = data_of(None, 12)
    assert data.train is not None
    x, cond = data.train.batch(torch.arange(len(data.train)), 0)
    z = data.normalize(x)[cond["mask"]]
    assert float(z.square().mean()) == pytest.approx(1, abs=1e-4)
    assert torch.allclose(z.mean(dim=0), torch.zeros(10), atol=1e-5)
    assert data.scale == pytest.approx((1.5 * data.scale[-1],) * 3 + (data.scale[-1],) * 7)  # type: ignore[index]
    assert torch.allclose(data.world(data.normalize(x))[cond["mask"]], x[cond["mask"]], atol=1e-5)
    assert data.counted == "atoms"
    assert torch.equal(cond["atoms"], cond["mask"].sum(dim=1).float())


def test_settled_samples_are_centered_and_have_one_element_for_each_atom() -> None:
    x = torch.randn(5, 9, 10, generator=torch.Generator().manual_seed(0)) + 3
    done = settled(x)
    assert float(done[..., :3].mean(dim=1).abs().max()) < 1e-6
    assert torch.equal(done[..., 3:].sum(dim=-1), torch.ones(5, 9))
    assert torch.equal(done[..., 3:].argmax(dim=-1), x[..., 3:].argmax(dim=-1))
    assert torch.equal(settled(done), done) or torch.allclose(settled(done), done, atol=1e-6)


# the network


def lively(data: ptdiff.Data) -> DistanceTransformer:
    """A network in which every weight has a say."""
    torch.manual_seed(3)
    network = DistanceTransformer(data, layers=2, width=32)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.15)
    return network


def inputs(count: int = 20) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(12) < torch.randint(3, 13, (count, 1), generator=generator)
    x = torch.randn(count, 12, 10, generator=generator) * mask[..., None]
    return x, torch.rand(count, generator=generator) * 1.5, {"mask": mask}


def test_the_network_turns_moves_and_reorders_with_its_input(chains: Selection) -> None:
    network, (x, angle, cond) = lively(data_of(None, 12)), inputs()
    y = network(x, angle, cond).detach()
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))
    turned = network(torch.cat([x[..., :3] @ turn, x[..., 3:]], dim=-1), angle, cond).detach()
    assert torch.allclose(turned, torch.cat([y[..., :3] @ turn, y[..., 3:]], dim=-1), atol=1e-4)
    assert float((turned[..., :3] - y[..., :3]).abs().max()) > 0.1
    order = torch.stack([torch.cat([torch.randperm(int(n)), torch.arange(int(n), 12)]) for n in cond["mask"].sum(1)])
    wide = order[..., None].expand_as(x)
    assert torch.allclose(network(x.gather(1, wide), angle, cond), y.gather(1, wide), atol=1e-4)


def test_padding_and_other_molecules_change_nothing(chains: Selection) -> None:
    network, (x, angle, cond) = lively(data_of(None, 12)), inputs()
    y = network(x, angle, cond)
    for i, n in enumerate(cond["mask"].sum(dim=1).tolist()):
        alone = network(x[i : i + 1, :n], angle[i : i + 1], {})
        assert torch.allclose(alone[0], y[i, :n], atol=1e-4)
    noisy = torch.where(cond["mask"][..., None], x, 7.0)
    assert torch.allclose(network(noisy, angle, cond), y, atol=1e-4)


def test_the_estimate_of_x0_has_its_center_of_mass_at_zero(chains: Selection) -> None:
    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.process import Flow

    network, (x, _, cond) = lively(data_of(None, 12)), inputs()
    for t in (0.999, 0.5, 0.01):
        level = Flow().level(torch.tensor(t))
        x0 = NetworkDenoiser(network)(x, level, cond).detach()
        assert float(x0[..., :3].sum(dim=1).abs().max()) < 1e-4
        assert float(x0.abs().max()) > 0.01


# scores and files


def padded(sets: list[Tensor]) -> Tensor:
    most = max(map(len, sets))
    return torch.stack([torch.nn.functional.pad(x, (0, 0, 0, most - len(x)), value=float("nan")) for x in sets])


def samples(texts: tuple[str, ...]) -> Tensor:
    made = []
    for text in texts:
        names, at, _ = chain(text)
        made.append(sample_of(numbers(*names), np.array(at)))
    return padded(made)


def test_scores_count_what_they_say(chains: Selection) -> None:
    known = frozenset(one.identity for one in molecules_of(samples(CHAINS[:10])))
    made = samples(("CCC", "CCC", "CCO", "CCCCS", *CHAINS[:6]))
    made[-1, 0, :3] += 30
    found = scores(made, samples(CHAINS[10:20]), samples(CHAINS[:10]), known, 0)
    assert found["validity"].value == 0.9 and found["validity"].floor == 1
    # CCC three times, CCO twice
    assert found["uniqueness"].value == pytest.approx(6 / 9)
    assert found["novelty"].value == pytest.approx(1 / 9) and found["novelty"].floor == 1
    assert 0.9 < found["stability"].value < 1
    for name, score in found.items():
        assert score.low <= score.value <= score.high, name


def test_distributions_are_those_of_the_training_set(chains: Selection) -> None:
    same = scores(samples(CHAINS[:8]), samples(CHAINS[8:16]), samples(CHAINS[:8]), frozenset(), 0)
    assert same["heavy"].value == same["elements"].value == 0
    longer = scores(samples(("CCCCC",) * 4), samples(CHAINS[8:16]), samples(("CCC",) * 4), frozenset(), 0)
    assert longer["heavy"].value == 2
    other = scores(samples(("CNC",) * 4), samples(CHAINS[8:16]), samples(("COC",) * 4), frozenset(), 0)
    # C2 H7 N against C2 H6 O
    assert other["elements"].value == pytest.approx((abs(2 / 10 - 2 / 9) + abs(7 / 10 - 6 / 9) + 1 / 10 + 1 / 9) / 2)


def test_nothing_valid_has_scores_too(chains: Selection) -> None:
    apart = samples(CHAINS[:6])
    apart[..., :3] *= 9
    found = scores(apart, samples(CHAINS[:6]), samples(CHAINS[:6]), frozenset(), 0)
    assert found["validity"].value == found["uniqueness"].value == found["novelty"].value == 0
    assert (found["novelty"].low, found["novelty"].high) == (0, 1)


def test_the_interval_of_wilson_is_the_published_one() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for (count, of_all), ends in {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611),
                                  (1, 29): (0.0061, 0.1718)}.items():  # fmt: skip
        assert wilson(count, of_all) == pytest.approx(ends, abs=5e-5)


def test_the_nearest_molecule_is_found_in_any_pose_and_order(chains: Selection) -> None:
    some = samples(CHAINS)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    turned = torch.stack([torch.cat([x[..., :3] @ turn, x[..., 3:]], dim=-1) for x in some])
    turned[:, :3] = turned[:, [2, 0, 1]]
    distance, which = Molecules().nearest(turned, some)
    assert torch.equal(which, torch.arange(len(CHAINS))) and float(distance.max()) < 1e-3
    assert fingerprints(some).shape == some.shape[:2]


def test_files_have_the_atoms_and_bonds_of_the_molecule(tmp_path: Path) -> None:
    names, at, pairs = chain("CCOC")
    x = sample_of(numbers(*names), np.array(at)).numpy()
    write_xyz(tmp_path / "a.xyz", x)
    assert np.abs(read_xyz(tmp_path / "a.xyz") - x).max() < 1e-5
    write_sdf(tmp_path / "a.sdf", [x, x], [])
    first, second, rest = (tmp_path / "a.sdf").read_text(encoding="utf-8").split("$$$$\n")
    assert first == second and rest == ""
    lines = first.splitlines()
    assert lines[0] == "C3H8O" and lines[3] == f"{len(names):3d}{len(pairs):3d}  0  0  0  0  0  0  0  0999 V2000"
    rows = lines[4 + len(names) : 4 + len(names) + len(pairs)]
    assert {tuple(sorted((int(r[:3]) - 1, int(r[3:6]) - 1))) for r in rows} == set(pairs) and lines[-1] == "M  END"
    assert "not valid" in molfile(of(x[1:]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid literal"),
        ("0\n\n", "0 atoms"),
        ("1000000\n\n", "1000000 atoms"),
        ("1\n\nXx 0 0 0\n", "line 3"),
        ("2\n\nC 0 0 0\n", "line 4"),
        ("1\n\nC 0 0\n", "line 3"),
        ("1\n\nC 0 nan 0\n", "not finite"),
    ],
)
def test_a_damaged_xyz_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.xyz").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_xyz(tmp_path / "bad.xyz")


# the whole


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Molecules of a tiny dictionary, as the conformance kit and other processes read them."""
    path = tmp_path_factory.mktemp("dictionary") / "tiny.bcif"
    write_dictionary(path, [{"id": f"C{i}", "chain": text} for i, text in enumerate(CHAINS)])
    return Subject(Molecules(data=str(path), layers=1, width=16))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_molecules_conform(check: Any, subject: Subject) -> None:
    check(subject)


def test_a_model_is_trained_and_makes_as_many_atoms_as_asked_for(
    chains: Selection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain: dict[str, Any] = {"batch": 8, "precision": "32", "threads": 1, "shards": 1, "compile": False}
    model = ptdiff.train(Molecules(layers=1, width=16), steps=3, out=tmp_path / "run", training=plain)
    made = model.sample(4, conditions={"atoms": [9, 12, 11, 10]}, steps=3)
    assert [len(one) for one in made.sets] == [9, 12, 11, 10]
    assert {len(one) for one in model.sample(4, points="9..10", steps=3).sets} <= {9, 10}
    made.save(tmp_path / "some.sdf")
    assert (tmp_path / "some.sdf").read_text(encoding="utf-8").count("$$$$") == 4
    made.render(tmp_path / "some.png")
    assert (tmp_path / "some.png").stat().st_size > 5000
    held = samples(CHAINS[:6])
    found = Molecules().compare(Comparison(held, held, held))
    assert found.scores["validity"].value == 1
