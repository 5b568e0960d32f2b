"""Ways to measure images: what each says of good and bad samples, and where it cannot be taken."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ptdiff.modality import Comparison, Unsupported
from ptdiff.modality.data import Data
from ptdiff_images import Images
from ptdiff_images.metrics.classifier import Recipe, classifier
from ptdiff_images.metrics.feature_distances import compare_features
from ptdiff_images.metrics.protocols import PROTOCOLS, _unseen, measure

Sets = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def data() -> Data:
    return Images().dataset()


@pytest.fixture(scope="module")
def sets(data: Data) -> Sets:
    """Held-out images with their labels, others of the training split, and yet others."""
    assert data.train is not None
    assert data.val is not None
    x, cond = data.val.batch(torch.arange(200), 0)
    others = [data.train.batch(torch.arange(first, 1500, 7)[:200], 0)[0] for first in (0, 1)]
    return x, cond["label"], others[0], others[1]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A cache of its own, and a short recipe: one classifier for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTDIFF_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("ptdiff_images.metrics.classifier.Recipe", lambda: Recipe(seen=12_000))
        yield


def test_real_images_are_at_the_floor_and_noise_is_far_off(data: Data, sets: Sets) -> None:
    reference, _, training, others = sets
    good = measure("lenet", data, Comparison(others, reference, training)).scores
    bad = measure("lenet", data, Comparison(torch.rand_like(others), reference, training)).scores
    assert list(good) == ["fid_lenet", "kid_lenet", "precision_lenet", "recall_lenet"]
    for name in ("fid_lenet", "kid_lenet"):
        assert good[name].low <= good[name].floor <= good[name].high
        assert bad[name].low > 10 * good[name].high > 0
    for name in ("precision_lenet", "recall_lenet"):
        assert good[name].value > 0.8
        assert bad[name].value < good[name].value - 0.1


def test_the_floor_is_of_images_that_the_classifier_was_not_fitted_on(data: Data, sets: Sets) -> None:
    reference, labels, training, others = sets
    judge = classifier(data)
    assert data.train is not None
    x, cond = data.train.batch(judge.unseen, 0)
    found = measure("lenet", data, Comparison(others, reference, training, labels=labels))
    assert found.facts["floor"] == "of 200 training images that the classifier was not fitted on"
    # what training images are given plays no part
    noise = Comparison(others, reference, torch.rand_like(training), labels=labels)
    assert measure("lenet", data, noise).scores == found.scores
    # of 296 there are 200 with the labels of the reference, but for a few
    image = {one.numpy().tobytes(): int(label) for one, label in zip(x, cond["label"], strict=True)}
    real = _unseen(data.train, judge.unseen, reference, labels, 0)
    assert len({one.numpy().tobytes() for one in real}) == 200
    counts = torch.bincount(torch.tensor([image[one.numpy().tobytes()] for one in real]), minlength=10)
    assert int((counts - torch.bincount(labels, minlength=10)).abs().sum()) <= 10
    mine = compare_features(*(judge.features(s) for s in (others, reference, real)), "lenet", 0)
    assert {name: found.scores[name].floor for name in mine} == {name: score.floor for name, score in mine.items()}


def test_the_floor_holds_no_image_of_the_reference_and_is_filled_up_where_there_are_too_few(data: Data) -> None:
    judge = classifier(data)
    assert data.train is not None
    # a reference of the training split, a part of which the classifier has not seen
    reference = data.train.batch(judge.unseen[:250], 0)[0]
    real = _unseen(data.train, judge.unseen, reference, None, 0)
    assert len(real) == 46
    known = {one.numpy().tobytes() for one in reference}
    assert not [one for one in real if one.numpy().tobytes() in known]
    found = measure("lenet", data, Comparison(torch.rand_like(reference), reference, torch.rand_like(reference)))
    assert "of 46 training images" in found.facts["floor"] and "of 204 that it was" in found.facts["floor"]
    assert len(_unseen(data.train, judge.unseen[:250], reference, None, 0)) == 0


def test_images_are_read_as_asked_or_not(data: Data, sets: Sets) -> None:
    reference, labels, training, _ = sets
    right = measure("lenet", data, Comparison(reference, reference, training, labels=labels))
    score = right.scores["read_as_asked"]
    assert score.value > 0.9
    assert score.low <= score.value <= score.high
    assert 0.9 < score.floor < 1
    assert set(right.facts["read_as_asked_by_class"]) == set("0123456789")
    assert "held-out images" in right.facts["classifier"]
    wrong = measure("lenet", data, Comparison(reference, reference, training, labels=(labels + 1) % 10))
    assert wrong.scores["read_as_asked"].value < 0.05


def test_samples_that_were_asked_for_nothing_do_not_count(data: Data, sets: Sets) -> None:
    reference, labels, training, _ = sets
    half = torch.where(torch.arange(200) % 2 == 0, labels, (labels + 1) % 10)
    hidden = torch.where(torch.arange(200) % 2 == 0, labels, -1)
    scores = [measure("lenet", data, Comparison(reference, reference, training, x)).scores for x in (half, hidden)]
    assert scores[0]["read_as_asked"].value < 0.55
    assert scores[1]["read_as_asked"].value > 0.9
    none = measure("lenet", data, Comparison(reference, reference, training, labels=torch.full((200,), -1)))
    assert "read_as_asked" not in none.scores


def test_images_without_labels_are_compared_by_pixels_and_it_is_said(data: Data, sets: Sets) -> None:
    reference, _, training, others = sets
    bare = Data(data.shape, train=data.train, val=data.val)
    found = measure("lenet", bare, Comparison(others, reference, training))
    assert "sliced_wasserstein" in found.scores
    assert not [name for name in found.scores if "lenet" in name]
    assert "no labels" in found.facts["features"]
    pixels = measure("pixels", data, Comparison(others, reference, training))
    assert pixels.scores == found.scores
    assert not pixels.facts


def test_images_of_another_size_are_refused(data: Data) -> None:
    x = torch.rand(8, 1, 9, 9)
    with pytest.raises(ValueError, match="takes images of shape"):
        measure("lenet", data, Comparison(x, x, x))


@pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is not None, reason="torch-fidelity is installed")
def test_inception_without_its_package_names_the_extra(data: Data, sets: Sets) -> None:
    reference, _, training, others = sets
    with pytest.raises(Unsupported, match=r"ptdiff\[inception\].*protocol lenet needs neither"):
        measure("inception", data, Comparison(others, reference, training))


def test_inception_features_give_the_same_four_figures(data: Data, sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, _, training, others = sets
    asked: list[str] = []

    def pixels(device: str) -> Callable[[Tensor, object], Tensor]:
        asked.append(device)
        return lambda x, progress: x.flatten(1).double()

    monkeypatch.setattr("ptdiff_images.metrics.protocols.inception", pixels)
    scores = measure("inception", data, Comparison(others, reference, training, device="cuda:1")).scores
    assert asked == ["cuda:1"]
    assert list(scores) == ["fid_inception", "kid_inception", "precision_inception", "recall_inception"]


def test_the_first_protocol_is_the_default_and_an_unconditional_model_is_measured_by_labels_too(sets: Sets) -> None:
    kind = Images(labels=False)
    assert kind.dataset().classes == ()
    assert next(iter(kind.protocols())) == next(iter(PROTOCOLS))
    reference, _, training, others = sets
    assert "fid_lenet" in kind.compare(Comparison(others, reference, training)).scores


def test_eval_says_how_many_samples_are_read_as_asked(tmp_path: Path) -> None:
    import sys
    from unittest import mock

    from ptdiff_cli.main import main

    def ptdiff(*arguments: object) -> None:
        with mock.patch.object(sys, "argv", ["ptdiff", *map(str, arguments)]), pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code

    run = tmp_path / "run"
    ptdiff("train", "-m", "images", "--steps", 2, "-o", "width=8", "-o", "layers=1", "--out", run)
    ptdiff("eval", run, "-n", 40, "--steps", 2, "--batch", 16)
    found = json.loads((run / "eval.json").read_text())
    assert found["protocol"] == "lenet"
    assert 0 <= found["metrics"]["read_as_asked"]["value"] < 0.6
    assert found["metrics"]["fid_lenet"]["value"] > found["metrics"]["fid_lenet"]["floor"]
