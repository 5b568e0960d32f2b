"""The order of the data: permutations, addressed by (seed, step), stitched over the borders of epochs."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptdiff.documents.yamls import parse_yaml, yaml_text
from ptdiff.run.config import Config, read, read_run, validate
from ptdiff.training.data_order import WHOLE, sample_ids, shuffled


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    count=st.integers(1, 60),
    batch=st.integers(1, 50),
    epochs=st.integers(1, 4),
)
def test_every_epoch_is_a_permutation_whatever_the_batch(seed: int, count: int, batch: int, epochs: int) -> None:
    steps = -(-epochs * count // batch)
    line = torch.cat([sample_ids(seed, step, batch, count) for step in range(steps)])
    assert line.dtype == torch.int64
    for epoch in range(epochs):
        assert sorted(line[epoch * count : (epoch + 1) * count].tolist()) == list(range(count))


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    count=st.integers(1, 40),
    batch=st.integers(1, 50),
    step=st.integers(0, 30),
)
def test_the_batch_size_only_cuts_the_line(seed: int, count: int, batch: int, step: int) -> None:
    line = torch.cat([sample_ids(seed, place, 1, count) for place in range(step * batch, (step + 1) * batch)])
    assert torch.equal(sample_ids(seed, step, batch, count), line)


def test_a_step_is_addressed_and_needs_no_steps_before_it() -> None:
    late = sample_ids(3, 10_000, 32, 1000)
    for step in range(5):
        sample_ids(3, step, 32, 1000)
    assert torch.equal(sample_ids(3, 10_000, 32, 1000), late)


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = [tuple(sample_ids(seed, step, 500, 500).tolist()) for seed in range(3) for step in range(3)]
    assert len(set(orders)) == 9


def test_a_place_holds_every_sample_equally_often() -> None:
    seen = np.array([sample_ids(seed, 0, 1, 5).item() for seed in range(2000)])
    counts = np.bincount(seen, minlength=5)
    # four standard deviations of a binomial count
    assert np.abs(counts - 400).max() < 4 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize("count", [1, 7])
def test_a_batch_larger_than_the_data_holds_whole_epochs(count: int) -> None:
    ids = sample_ids(0, 0, 3 * count, count)
    assert torch.bincount(ids, minlength=count).tolist() == [3] * count


LARGE = WHOLE + 5_000


def test_small_sets_have_the_order_of_earlier_versions() -> None:
    for count in (1, 5, 1000, WHOLE):
        assert torch.equal(sample_ids(7, 3, 64, count, 1), sample_ids(7, 3, 64, count, 2))
    assert not torch.equal(sample_ids(7, 3, 64, LARGE, 1), sample_ids(7, 3, 64, LARGE, 2))
    # as version 0.2 drew it
    assert sample_ids(7, 3, 5, LARGE, 1).tolist() == [6383, 65251, 44535, 52335, 34028]
    assert sample_ids(7, 3, 5, 1000).tolist() == [545, 420, 408, 197, 217]


@pytest.mark.parametrize("count", [WHOLE + 1, LARGE, 1 << 17, (1 << 17) + 1])
def test_a_large_set_is_a_permutation_over_the_border_of_an_epoch(count: int) -> None:
    batch = 3001
    line = torch.cat([sample_ids(2, step, batch, count) for step in range(-(-2 * count // batch))])
    for epoch in (0, 1):
        ids = line[epoch * count : (epoch + 1) * count]
        assert torch.equal(ids.sort().values, torch.arange(count))
    assert int((line[:count] == line[count : 2 * count]).sum()) < 12  # two permutations agree in one place on average


@given(count=st.integers(1, 300), key=st.integers(0, 2**63 - 1))
def test_the_keyed_bijection_reaches_every_id_once(count: int, key: int) -> None:
    assert sorted(shuffled(np.arange(count), count, key).tolist()) == list(range(count))


def test_the_keyed_bijection_is_as_even_as_a_shuffle() -> None:
    # each of five ids at each of five places, over 4,000 keys: chi squared with 16 degrees of freedom, p = 1e-4
    seen = np.zeros((5, 5))
    for key in range(4000):
        seen[np.arange(5), shuffled(np.arange(5), 5, key)] += 1
    assert float(((seen - 800) ** 2 / 800).sum()) < 45
    # neighbors are no nearer than in a shuffle: mean distance a third of the count, and no correlation
    ids = shuffled(np.arange(LARGE), LARGE, 11).astype(np.float64)
    assert abs(float(np.abs(np.diff(ids)).mean()) / LARGE - 1 / 3) < 0.005
    assert abs(float(np.corrcoef(ids[:-1], ids[1:])[0, 1])) < 4 / LARGE**0.5
    assert abs(float(np.corrcoef(ids, np.arange(LARGE))[0, 1])) < 4 / LARGE**0.5


def test_the_order_of_a_billion_samples_needs_no_memory() -> None:
    tracemalloc.start()
    ids = sample_ids(0, 10**9, 256, 10**9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(ids.tolist())) == 256 and int(ids.max()) < 10**9
    assert peak < 1 << 20


def test_a_run_of_an_earlier_version_keeps_its_order(tmp_path: Path) -> None:
    """Earlier versions wrote no ``training.order``: 0.1 without a format number, 0.2 with one."""
    whole = parse_yaml(Config(modality="points2d").to_yaml())
    assert whole["training"].pop("order") == 2
    for name, values in (("0.1", {k: v for k, v in whole.items() if k != "format"}), ("0.2", whole)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml_text(values))
        assert read_run(path).training.order == 1
    assert validate(read(tmp_path / "0.2.yaml")).training.order == 1  # ptdiff train --config, to train it again
    (tmp_path / "mine.yaml").write_text("training: {steps: 5}\nmodality: points2d\n")
    assert validate(read(tmp_path / "mine.yaml")).training.order == 2
