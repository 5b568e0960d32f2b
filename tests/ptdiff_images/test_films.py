"""Films: what moves, what the network of images makes of them, how they are drawn, written and measured."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from PIL import ImageSequence

from ptdiff.errors import UnknownName
from ptdiff.modality import Comparison
from ptdiff.modality.data import Data
from ptdiff.testing import CHECKS, Subject
from ptdiff_images import Images
from ptdiff_images.data.augment import Augmentation, augmented
from ptdiff_images.data.films import frame_each, frames_of
from ptdiff_images.metrics.classifier import Recipe
from ptdiff_images.metrics.protocols import measure
from ptdiff_images.picture import to_bytes

IDS = torch.arange(0, 300, 7)


@pytest.fixture(scope="module")
def data() -> Data:
    return Images(frames=4).dataset()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_films_conform(check) -> None:  # type: ignore[no-untyped-def]
    check(Subject(Images(frames=3, size="tiny", width=8)))


def test_a_film_shows_its_still_in_every_frame(data: Data) -> None:
    stills = Images().dataset()
    assert data.shape == (1, 4, 16, 16)
    assert data.train is not None and stills.train is not None
    (x, cond), (still, plain) = (found.batch(IDS, 5) for found in (data.train, stills.train))
    assert torch.equal(cond["label"], plain["label"])
    for film, image in zip(x, still, strict=True):
        for frame in film[0]:
            # all 8 x 8 squares of the frame, of which one is the still
            squares = frame.unfold(0, 8, 1).unfold(1, 8, 1)
            assert bool((squares == image[0]).all(dim=(2, 3)).any())
            assert float(frame.sum()) == pytest.approx(float(image.sum()))


def test_every_seed_has_other_ways_and_no_film_depends_on_its_batch(data: Data) -> None:
    assert data.train is not None
    x = data.train.batch(IDS, 5)[0]
    assert torch.equal(data.train.batch(IDS[[3]], 5)[0], x[[3]])
    other = data.train.batch(IDS, 6)[0]
    assert not (other == x).flatten(1).all(dim=1).any()


def test_the_side_of_the_ground_can_be_set_and_must_leave_room() -> None:
    assert Images(frames=2, pixels=11).dataset().shape == (1, 2, 11, 11)
    with pytest.raises(ValueError, match="8 x 8 pixels need a background larger than 8 x 8"):
        Images(frames=2, pixels=8).dataset()


def test_films_that_were_written_are_read_as_data(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    kind, folder = Images(frames=4), tmp_path / "films"
    assert data.train is not None
    x, cond = data.train.batch(IDS, 0)
    for i, (film, label) in enumerate(zip(x, cond["label"], strict=True)):
        (folder / str(int(label))).mkdir(parents=True, exist_ok=True)
        kind.formats()["gif"](folder / str(int(label)) / f"{i:03d}.gif", film.numpy())
    read = Images(data=str(folder), frames=4, pixels=16, gray=True).dataset()
    assert read.shape == data.shape
    assert read.classes == tuple(sorted({str(int(label)) for label in cond["label"]}))
    assert read.train is not None and read.val is not None
    found = torch.cat([samples.batch(torch.arange(len(samples)), 0)[0] for samples in (read.train, read.val)])
    assert "videos of 4 frames of 16 x 16 pixels" in read.summary["text"]
    # bytes of gray, in another order
    assert torch.equal(*((z * 255).round().sum(dim=(1, 2, 3, 4)).sort().values for z in (found, x)))
    shorter = Images(data=str(folder), frames=3, pixels=16, gray=True).dataset()
    assert shorter.shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"velocity has no effect on .*, which holds videos"):
        Images(data=str(folder), frames=4, velocity=1.0).dataset()


def test_who_asks_for_moving_mnist_is_told_how() -> None:
    with pytest.raises(UnknownName, match="unknown image set 'moving-mnist': mnist moves if frames is set"):
        Images(data="moving-mnist").dataset()


def test_films_without_labels_have_none() -> None:
    data = Images(frames=2, labels=False).dataset()
    assert data.classes == ()
    assert data.train is not None
    assert data.train.batch(IDS, 0)[1] == {}


def test_films_stay_on_the_steps_of_their_stills(data: Data) -> None:
    assert data.train is not None
    steps = data.train.batch(IDS, 0)[0] / Images(frames=4).bin_width
    assert torch.allclose(steps, steps.round(), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 1}, "frames of a video must be from 2"),
        ({"frames": 4, "velocity": -1.0}, "velocity must be from 0"),
        ({"frames": 4, "velocity": float("nan")}, "velocity must be from 0"),
        ({"velocity": 1.0}, "no effect on still images: set frames too"),
        ({"frames": 4, "network": "dit"}, "dit generates single images; videos need unet"),
    ],
)
def test_options_that_make_no_film_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Images(**options)  # type: ignore[arg-type]


def test_all_frames_of_a_film_are_augmented_alike(data: Data) -> None:
    how = Augmentation(flip=True, rotate=20, labeled=0.3)
    assert data.train is not None
    changed, plain = augmented(data, how).train, data.train
    assert changed is not None
    (x, cond), film = changed.batch(IDS, 5), plain.batch(IDS, 5)[0]
    assert x.shape == film.shape
    for frame in range(4):
        alone, labels = how(film[:, :, frame].clone(), IDS, 5)
        assert torch.equal(x[:, :, frame], alone)
        assert torch.equal(cond["augment"], labels)


def test_one_frame_of_each_film_is_a_set_of_images(data: Data) -> None:
    images = frames_of(data)
    assert images.shape == (1, 16, 16)
    assert images.train is not None and data.train is not None
    x, cond = images.train.batch(IDS, 5)
    films, plain = data.train.batch(IDS, 5)
    assert torch.equal(cond["label"], plain["label"])
    assert torch.equal(x, torch.stack([film[:, int(i) % 4] for film, i in zip(films, IDS, strict=True)]))
    assert torch.equal(frame_each(films), torch.stack([film[:, i % 4] for i, film in enumerate(films)]))
    assert frames_of(images) is images


def some(count: int, frames: int, colors: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((count, colors, frames, 8, 8)).astype(np.float32)


def test_a_film_is_a_strip_of_its_frames() -> None:
    sheet = Images(frames=4).visualizer().sheet(some(1, 4), [])
    strip = sheet[12:-12, 12:-12]
    assert strip.shape == (128, 4 * 128 + 3 * 2, 3)
    for frame in range(4):
        left = frame * 130
        assert np.array_equal(strip[::16, left : left + 128 : 16], to_bytes(some(1, 4)[0, :, frame]))


def test_long_films_and_many_of_them_stay_moderate() -> None:
    draw = Images(frames=100).visualizer()
    long = draw.sheet(some(1, 100), ["a"])
    assert long.shape[1] < 1100
    first, last = (long[12:140, place][:, :128] for place in (slice(12, 140), slice(12 + 7 * 130, 12 + 7 * 130 + 128)))
    assert np.array_equal(first[::16, ::16], to_bytes(some(1, 100)[0, :, 0]))
    assert np.array_equal(last[::16, ::16], to_bytes(some(1, 100)[0, :, 91]))
    assert max(draw.sheet(some(300, 4), []).shape) < 2600
    for count in (1, 2, 16, 60):
        for side in (128, 480):
            assert max(draw.tile(some(count, 5), [], side).shape[:2]) <= side


def test_played_films_show_all_frames_in_turn() -> None:
    films = some(3, 20)
    played = Images(frames=20).visualizer().play(films, ["a", "b", "c"])
    still = Images().visualizer()
    assert len(played) == 20
    for frame, picture in enumerate(played):
        assert np.array_equal(picture, still.sheet(films[:, :, frame], ["a", "b", "c"]))


def test_files_hold_all_frames_in_their_own_size(tmp_path: Path) -> None:
    film = (np.round(some(1, 5)[0] * 16) / 16).astype(np.float32)
    formats = Images(frames=5).formats()
    formats["gif"](tmp_path / "a.gif", film)
    formats["png"](tmp_path / "a.png", film)
    strip = np.asarray(PillowImage.open(tmp_path / "a.png"))
    with PillowImage.open(tmp_path / "a.gif") as file:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]
    assert len(frames) == 5
    for i, frame in enumerate(frames):
        assert np.array_equal(frame, to_bytes(film[:, i]))
        assert np.array_equal(strip[:, 10 * i : 10 * i + 8], frame)


def test_what_is_no_film_is_not_drawn_as_one(tmp_path: Path) -> None:
    draw = Images(frames=4).visualizer()
    for wrong in (np.zeros((2, 1, 8, 8), np.float32), np.zeros((2, 2, 4, 8, 8), np.float32)):
        for method in (lambda x: draw.sheet(x, []), lambda x: draw.tile(x, [], 99), lambda x: draw.play(x, [])):
            with pytest.raises(ValueError, match="must have shape"):
                method(wrong)
    with pytest.raises(ValueError, match="a video must have shape"):
        Images(frames=4).formats()["gif"](tmp_path / "a.gif", np.zeros((1, 8, 8), np.float32))


def test_films_with_their_frames_shuffled_are_told_best_by_the_changes(data: Data) -> None:
    assert data.train is not None
    reference, training, films = (data.train.batch(torch.arange(i, 1500, 3)[:150], 0)[0] for i in range(3))
    shuffled = films[:, :, torch.tensor([2, 0, 3, 1])]
    good = measure("pixels", data, Comparison(films, reference, training)).scores
    bad = measure("pixels", data, Comparison(shuffled, reference, training)).scores
    names = ("sliced_wasserstein", "energy", "mmd_squared")
    assert list(good) == [f"{of}{name}" for of in ("", "changes_") for name in names]
    for name in names:
        whole, changes = (bad[of + name].value - good[of + name].floor for of in ("", "changes_"))
        assert changes > 2 * whole > 0
        assert bad[f"changes_{name}"].low > good[f"changes_{name}"].high


def test_features_are_those_of_single_frames(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path))
    monkeypatch.setattr("ptdiff_images.metrics.classifier.Recipe", lambda: Recipe(seen=10_000))
    assert data.train is not None and data.val is not None
    reference, cond = data.val.batch(torch.arange(200), 0)
    training, films = (data.train.batch(torch.arange(i, 1500, 7)[:200], 0)[0] for i in range(2))
    found = measure("lenet", data, Comparison(reference, films, training, labels=cond["label"]))
    score = found.scores["read_as_asked"]
    assert score.value == pytest.approx(score.floor, abs=0.1)
    assert score.value > 0.5
    # single frames have no order
    backwards = measure("lenet", data, Comparison(films.flip(2), reference, training)).scores["fid_lenet"]
    assert backwards.low < backwards.floor < backwards.high
    noise = measure("lenet", data, Comparison(torch.rand_like(films), reference, training)).scores["fid_lenet"]
    assert noise.low > 3 * backwards.high


def test_films_are_compared_by_pixels_unless_somebody_says_otherwise() -> None:
    film, image = Images(frames=4), Images()
    assert (next(iter(film.protocols())), next(iter(image.protocols()))) == ("pixels", "lenet")
    assert set(film.protocols()) == set(image.protocols())
    assert "one frame of each video" in film.protocols()["lenet"].summary
