"""The classifier that images are measured with: how well it reads, how it is kept."""

import dataclasses
import os
from pathlib import Path

import pytest
import torch

from ptdiff.modality.data import Data, TensorSplit
from ptdiff_images import Images
from ptdiff_images.metrics.classifier import Recipe, classifier
from ptdiff_images.metrics.lenet import FEATURES, LeNet

REAL = Path(os.environ.get("PTDIFF_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "mnist"
SHORT = Recipe(seen=12_000)
TINY = Recipe(seen=100)


@pytest.fixture(scope="module")
def digits() -> Data:
    return Images().dataset()


@pytest.fixture
def few() -> Data:
    """Twelve images of two classes, three of them held out."""
    x, label = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2
    return Data((1, 8, 8), ("a", "b"), train=TensorSplit(x[3:], label[3:]), val=TensorSplit(x[:3], label[:3]))


def refuse(done: int, total: int) -> None:
    raise AssertionError("trained again")


def test_it_learns_to_read_and_is_trained_once(digits: Data, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    found = classifier(digits, tmp_path, recipe=SHORT)
    assert torch.equal(torch.get_rng_state(), state)
    assert digits.val is not None
    x, cond = digits.val.batch(torch.arange(len(digits.val)), 0)
    accuracy = float((found.read(x) == cond["label"]).double().mean())
    assert accuracy > 0.9
    assert (found.accuracy, found.held_out) == (accuracy, len(digits.val))
    again = classifier(digits, tmp_path, refuse, SHORT)
    assert torch.equal(found.features(x), again.features(x))
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_the_same_recipe_makes_the_same_classifier(few: Data, tmp_path: Path) -> None:
    x = torch.rand(5, 1, 8, 8)
    here, there = (classifier(few, tmp_path / name, recipe=TINY) for name in "ab")
    assert torch.equal(here.features(x), there.features(x))
    assert here.features(x).dtype == torch.float64


def test_other_images_labels_and_recipes_have_a_classifier_of_their_own(few: Data, tmp_path: Path) -> None:
    assert isinstance(few.train, TensorSplit)
    x, label = few.train.x, few.train.label
    assert label is not None
    others = [
        dataclasses.replace(few, train=TensorSplit(x.flip(0), label)),
        dataclasses.replace(few, train=TensorSplit(x, 1 - label)),
        dataclasses.replace(few, val=TensorSplit(x[:3], label[:3])),
    ]
    digests = {classifier(data, tmp_path, recipe=TINY).digest for data in [few, *others]}
    digests.add(classifier(few, tmp_path, recipe=dataclasses.replace(TINY, seed=1)).digest)
    assert len(digests) == len(list(tmp_path.iterdir())) == 5


def test_as_many_training_images_as_are_held_out_leave_no_trace_in_it(few: Data, tmp_path: Path) -> None:
    assert isinstance(few.train, TensorSplit) and few.train.label is not None
    whole = classifier(few, tmp_path, recipe=TINY)
    assert len(whole.unseen) == 3 and len(set(whole.unseen.tolist()) & set(range(9))) == 3
    x, label, probe = few.train.x.clone(), few.train.label.clone(), torch.rand(5, 1, 8, 8)
    x[whole.unseen], label[whole.unseen] = 1 - x[whole.unseen], 1 - label[whole.unseen]
    other = classifier(dataclasses.replace(few, train=TensorSplit(x, label)), tmp_path, recipe=TINY)
    assert torch.equal(other.unseen, whole.unseen) and other.digest != whole.digest
    assert torch.equal(other.features(probe), whole.features(probe))
    seen = next(i for i in range(9) if i not in whole.unseen)
    x[seen] = 1 - x[seen]
    other = classifier(dataclasses.replace(few, train=TensorSplit(x, label)), tmp_path, recipe=TINY)
    assert not torch.equal(other.features(probe), whole.features(probe))


def test_half_of_the_training_images_are_seen_where_more_are_held_out(few: Data, tmp_path: Path) -> None:
    assert few.train is not None and few.val is not None
    turned = dataclasses.replace(few, train=few.val, val=few.train)
    assert len(classifier(turned, tmp_path, recipe=TINY).unseen) == 1


def test_a_damaged_file_is_refused_by_its_name(few: Data, tmp_path: Path) -> None:
    classifier(few, tmp_path, recipe=TINY)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole.replace(b'"digest":"', b'"digest":"0', 1)[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{path.name} is damaged; delete it"):
            classifier(few, tmp_path, refuse, TINY)


def test_the_file_of_other_images_is_not_taken_for_this_one(few: Data, tmp_path: Path) -> None:
    classifier(few, tmp_path, recipe=TINY)
    (mine,) = tmp_path.iterdir()
    classifier(few, tmp_path / "other", recipe=dataclasses.replace(TINY, seed=1))
    (other,) = (tmp_path / "other").iterdir()
    mine.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="is damaged"):
        classifier(few, tmp_path, refuse, TINY)


def test_images_without_labels_or_held_out_images_have_none(few: Data, tmp_path: Path) -> None:
    for data in (dataclasses.replace(few, classes=()), dataclasses.replace(few, val=None)):
        with pytest.raises(ValueError, match="labeled images, some of them held out"):
            classifier(data, tmp_path, recipe=TINY)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 28, 20), (3, 64, 64)])
def test_images_of_any_size_have_features_that_are_not_negative(shape: tuple[int, int, int]) -> None:
    net = LeNet(shape, 10, torch.zeros(shape[0], 1, 1), 1.0)
    features = net.features(torch.randn(2, *shape)).detach()
    assert features.shape == (2, FEATURES)
    assert float(features.min()) == 0
    assert net(torch.randn(2, *shape)).shape == (2, 10)


def test_images_of_three_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 x 4"):
        LeNet((1, 3, 8), 10, torch.zeros(1, 1, 1), 1.0)


def test_world_units_are_brought_to_those_of_the_network() -> None:
    torch.manual_seed(0)
    plain = LeNet((1, 8, 8), 3, torch.zeros(1, 1, 1), 1.0)
    shifted = LeNet((1, 8, 8), 3, torch.full((1, 1, 1), 5.0), 2.0)
    shifted.load_state_dict({k: v for k, v in plain.state_dict().items() if k not in ("mean", "scale")}, strict=False)
    x = torch.randn(4, 1, 8, 8)
    assert torch.allclose(plain(x), shifted(5 + 2 * x), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real MNIST is not in {REAL} (set PTDIFF_TEST_DATA)")
def test_it_reads_at_least_985_of_1000_digits_of_the_mnist_test_set(tmp_path: Path) -> None:
    found = classifier(Images(data=str(REAL)).dataset(), tmp_path)
    assert found.held_out == 10_000
    assert found.accuracy >= 0.985


def test_images_of_three_colors_have_one_too(tmp_path: Path) -> None:
    x, label = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2
    data = Data((3, 8, 8), ("a", "b"), train=TensorSplit(x[3:], label[3:]), val=TensorSplit(x[:3], label[:3]))
    # a mean for each color, or one that is shown for all of them
    for measured in (data.measured(keep=(-3,)), data.measured(keep=())):
        made = classifier(measured, tmp_path, recipe=TINY)
        assert torch.equal(made.features(x), classifier(measured, tmp_path, refuse, TINY).features(x))
        for path in tmp_path.iterdir():
            path.unlink()
