"""Stills that move: straight on, back at the edges, everywhere with equal chance, and whole in every frame."""

import numpy as np
import pytest

from ptdiff_datasets.images.moving import corners, films
from ptdiff_datasets.points.toys import uniform


def walked(start: float, step: float, frames: int, reach: float) -> list[float]:
    """Places of a ball between two walls, frame by frame."""
    places, place = [], start
    for _ in range(frames):
        places.append(place)
        place += step
        while not 0 <= place <= reach:
            place, step = (-place if place < 0 else 2 * reach - place), -step
    return places


@pytest.mark.parametrize("velocity", [0.0, 0.7, 4.0, 23.0])
def test_corners_are_those_of_a_ball_between_walls(velocity: float) -> None:
    u, room = uniform(200, seed=3)[:, :3], (9, 5)
    found = corners(u, 12, velocity, room)
    for numbers, places in zip(u, found, strict=True):
        angle = 2 * np.pi * numbers[2]
        for axis, along in enumerate((np.sin(angle), np.cos(angle))):
            reach = room[axis] + 1
            exact = walked(numbers[axis] * reach, velocity * along, 12, reach)
            # the pixel below, but for places that rounding puts beside its edge
            assert all(p <= e + 1e-9 and e - 1e-9 <= p + 1 for p, e in zip(places[:, axis], exact, strict=True))


def test_a_still_is_anywhere_with_equal_chance_in_every_frame() -> None:
    found = corners(uniform(30_000, seed=1)[:, :3], 6, 3.3, (7, 4))
    for frame in range(6):
        counts = np.histogram2d(*found[:, frame].T, bins=[np.arange(9), np.arange(6)])[0]
        expected = len(found) / counts.size
        # chi-squared of 39 degrees of freedom: mean 39, deviation 8.8
        assert ((counts - expected) ** 2 / expected).sum() < 85


def test_a_still_moves_by_the_velocity_in_any_direction() -> None:
    middle = uniform(4000, seed=2)[:, :3] * [0.5, 0.5, 1] + [0.25, 0.25, 0]
    steps = np.diff(corners(middle, 2, 40.0, (200, 200)), axis=1)[:, 0]
    length = np.hypot(*steps.T)
    assert abs(length.mean() - 40) < 0.1
    assert np.abs(length - 40).max() < 1.5  # each end on a pixel
    share = np.histogram(np.arctan2(*steps.T), bins=8, range=(-np.pi, np.pi))[0] / len(steps)
    assert np.allclose(share, 1 / 8, atol=0.03)


def test_every_frame_holds_the_whole_still_on_black() -> None:
    stills = np.random.default_rng(0).integers(1, 256, (5, 3, 4, 6), np.uint8)
    at = corners(uniform(5, seed=4)[:, :3], 7, 2.5, (12 - 4, 12 - 6))
    found = films(stills, at, 12)
    assert found.shape == (5, 3, 7, 12, 12)
    assert found.dtype == np.uint8
    for film, still, places in zip(found, stills, at, strict=True):
        for frame, (row, column) in enumerate(places):
            assert np.array_equal(film[:, frame, row : row + 4, column : column + 6], still)
            assert film[:, frame].astype(int).sum() == still.astype(int).sum()


def test_without_room_along_one_axis_it_moves_along_the_other() -> None:
    found = corners(uniform(50, seed=5)[:, :3], 9, 3.0, (0, 8))
    assert not found[..., 0].any()
    assert found[..., 1].min() == 0
    assert found[..., 1].max() == 8
