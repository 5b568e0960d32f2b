"""Folders of clouds far from zero: what is subtracted before training, and for which runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ptdiff.evaluation import _Moved
from ptdiff.modality import Data
from ptdiff.modality.offsets import find_origin, with_origin, without_origin
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.data.channels import turned

UTM = np.array([500_000.0, 4_649_776.0, 120.0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for i in range(3):
        np.savetxt(tmp_path / f"{i}.xyz", random.uniform(-6, 6, (40, 3)).round(3) + UTM, fmt="%.3f")
    return tmp_path


@pytest.mark.parametrize("up", ["x", "y", "z"])
@pytest.mark.parametrize("normalize", ["global", "none"])
def test_samples_and_origin_add_up_to_the_points_of_the_files(folder: Path, up: str, normalize: str) -> None:
    data = PointCloud(data=str(folder), points=40, dense=160, normalize=normalize, up=up).dataset()
    assert data.train is not None
    x = with_origin(data.train.batch(torch.arange(len(data.train)), 0)[0].numpy(), data.origin).reshape(-1, 3)
    files = turned(np.concatenate([np.loadtxt(path) for path in folder.glob("*.xyz")]), up)
    gaps = np.abs(x[:, None] - files[None]).max(axis=-1).min(axis=1)
    assert gaps.max() < 1e-5


def test_channels_besides_the_position_have_no_origin(folder: Path) -> None:
    for path in folder.glob("*.xyz"):
        rows = np.loadtxt(path)
        path.with_suffix(".csv").write_text(
            "x,y,z,nx,ny,nz\n"
            + "".join(f"{x},{y},{z},{i % 2},{1 - i % 2},0\n" for i, (x, y, z) in enumerate(rows.tolist()))
        )
        path.unlink()
    kind = PointCloud(data=str(folder), points=40, dense=160, normalize="global", channels=("xyz", "normals"))
    assert np.array(kind.dataset().origin)[3:].tolist() == [0, 0, 0]


def test_runs_of_earlier_versions_keep_the_place_in_their_mean(folder: Path) -> None:
    kind = PointCloud(data=str(folder), points=40, dense=160, normalize="global")
    facts = kind.dataset().facts()
    assert facts["format"] == 3 and kind.as_of(Data.from_facts(facts)) == kind
    before = kind.as_of(replace(Data.from_facts(facts), origin=()))
    assert before.offset == "none" and before.dataset().origin == ()


def test_a_reference_is_brought_to_the_origin_of_the_run(folder: Path) -> None:
    data = PointCloud(data=str(folder), points=40, dense=160, normalize="global").dataset()
    assert data.train is not None
    ours = (data.origin[0] + 3, data.origin[1] - 7, data.origin[2] + 1)
    ids = torch.arange(2)
    moved = _Moved(data.train, data.origin, ours).batch(ids, 0)[0].double() + torch.tensor(ours)
    there = data.train.batch(ids, 0)[0].double() + torch.tensor(data.origin)
    torch.testing.assert_close(moved, there, atol=1e-5, rtol=0)


def test_an_origin_is_found_only_where_float32_loses_digits() -> None:
    x = np.random.default_rng(0).uniform(-6, 6, (100, 3))
    assert find_origin(x) == find_origin((x + UTM).astype(np.float32)) == ()
    origin = find_origin(x + UTM)
    assert np.abs(np.array(origin) - UTM).max() < 2
    np.testing.assert_allclose(with_origin(without_origin(x + UTM, origin), origin), x + UTM, atol=1e-6, rtol=0)
