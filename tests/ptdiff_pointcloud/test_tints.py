"""Colors of points: by position, normal, label, or their own."""

from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.shapes import make_shape
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.render.tints import PALETTE, tints
from ptdiff_pointcloud.render.visualizer import Spheres


def test_positions_become_red_green_and_blue() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    colors = tints(corners, "position", ("xyz",))
    assert [int(color.argmax()) for color in colors[1:]] == [0, 1, 2]


def test_normals_are_the_channel_or_point_out_of_the_shape() -> None:
    ball = np.random.default_rng(0).normal(size=(800, 3)).astype(np.float32)
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    given = np.concatenate([ball, -ball], axis=1)
    assert tints(given, "normal", ("xyz", "normals")) == pytest.approx((1 - ball) / 2, abs=1e-6)
    # estimated: out of the ball, which is where its points lie
    found = 2 * tints(ball, "normal", ("xyz",)) - 1
    assert float((found * ball).sum(1).mean()) > 0.97


def test_a_label_is_one_color_and_none_is_gray() -> None:
    cloud = make_shape("chair", 0).points(20)
    for label, color in ((3, PALETTE[3] / 255), (13, PALETTE[3] / 255), (-1, np.full(3, 0.6))):
        assert np.array_equal(tints(cloud, "label", ("xyz",), label), np.tile(color, (20, 1)))


def test_own_colors_are_shown_by_default_where_there_are_some() -> None:
    cloud = make_shape("chair", 0).points(300)
    red = np.concatenate([cloud, np.tile(np.float32([1, -1, -1]), (300, 1))], axis=1)
    kind = PointCloud(data="folder", channels=("xyz", "colors"))
    draw = kind.visualizer()
    assert isinstance(draw, Spheres)
    picture = draw.sheet(red[None], []).astype(int)
    shown = picture[(np.ptp(picture, axis=2) > 60)]
    assert len(shown) > 500 and (shown[:, 0] > shown[:, 1:].max(axis=1) + 30).all()
    assert np.abs(draw.tinted("position", [-1]).sheet(red[None], []).astype(int) - picture).mean() > 1
    assert draw.tints == ("position", "normal", "label", "rgb")
    assert Spheres().tints == ("position", "normal", "label")
    with pytest.raises(ValueError, match="no colors of their own"):
        tints(cloud, "rgb", ("xyz",))


def test_a_file_is_rendered_in_its_own_colors(tmp_path: Path) -> None:
    from ptdiff.sampling.samples import Samples
    from ptdiff_datasets.formats.catalog import WRITERS

    points = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    red = np.full((300, 3), (200, 10, 10), np.uint8)
    for suffix in (".ply", ".pcd", ".xyz"):
        WRITERS[suffix](tmp_path / f"red{suffix}", points, None, red)
        found = Samples.read(tmp_path / f"red{suffix}")
        assert found.numpy().shape == (1, 300, 6)
        assert "rgb" in found.modality.visualizer().tints
        picture = np.asarray(found.modality.visualizer().sheet(found.numpy(), [])).astype(int)[..., :3]
        vivid = picture[np.ptp(picture, axis=-1) > 60]
        assert len(vivid) and (vivid[:, 0] > vivid[:, 1] + 30).all() and (vivid[:, 0] > vivid[:, 2] + 30).all()
    WRITERS[".ply"](tmp_path / "plain.ply", points, None, None)
    assert "rgb" not in Samples.read(tmp_path / "plain.ply").modality.visualizer().tints
