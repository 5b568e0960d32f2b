"""Addressed randomness: known answers, the distribution, and independence of everything but the address."""

import pytest
import scipy.stats
import torch

from ptdiff.noise import Stream, mix, normal, philox, uniform

KNOWN = [
    # the known-answer vectors that Random123 publishes for philox4x32-10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    c0, c1, c2, c3 = (torch.tensor([word]) for word in counter)
    assert tuple(int(word) for word in philox((c0, c1, c2, c3), key)) == answer


def test_normal_numbers_are_normal() -> None:
    x = normal(0, Stream.START, torch.arange(64), 0, (1000, 3)).double()
    assert scipy.stats.kstest(x.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(float(x.mean())) < 4 / x.numel() ** 0.5
    assert abs(float(x.var()) - 1) < 4 * (2 / x.numel()) ** 0.5
    # neighbors of every kind are uncorrelated: samples, elements, and the two halves of a Box-Muller pair
    for a, b in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1]), (x[..., 0], x[..., 1])):
        assert abs(float((a * b).mean())) < 4 / a.numel() ** 0.5


def test_uniform_numbers_are_uniform_and_never_reach_the_ends() -> None:
    u = uniform(3, Stream.TRAIN_LEVEL, torch.arange(1000), 0, (50,))
    assert scipy.stats.kstest(u.flatten().numpy(), "uniform").pvalue > 1e-3
    assert float(u.min()) > 0
    assert float(u.max()) < 1


@pytest.mark.parametrize("shape", [(2,), (5,), (2048, 3), (1, 28, 28)])
@pytest.mark.parametrize("draw", [normal, uniform])
def test_sample_17_is_bit_equal_alone_in_a_batch_and_in_any_order(draw, shape: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    alone = draw(7, Stream.SOLVER, torch.tensor([17]), 3, shape)[0]
    batch = draw(7, Stream.SOLVER, torch.arange(64), 3, shape)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    shuffled = draw(7, Stream.SOLVER, order, 3, shape)
    assert torch.equal(batch[17], alone)
    assert torch.equal(shuffled, batch[order])


def test_a_larger_cloud_keeps_the_noise_of_its_first_points() -> None:
    small = normal(0, Stream.START, torch.arange(3), 0, (101, 3))
    large = normal(0, Stream.START, torch.arange(3), 0, (2048, 3))
    assert torch.equal(large[:, :101], small)


def test_every_part_of_the_address_matters() -> None:
    one = torch.tensor([5])
    first = normal(0, Stream.START, one, 0, (8,))
    others = [
        normal(1, Stream.START, one, 0, (8,)),
        normal(0, Stream.SOLVER, one, 0, (8,)),
        normal(0, Stream.START, torch.tensor([6]), 0, (8,)),
        normal(0, Stream.START, torch.tensor([5 + 2**32]), 0, (8,)),
        normal(0, Stream.START, one, 1, (8,)),
    ]
    for other in others:
        assert not torch.isclose(first, other).any()


def test_several_steps_at_once_are_the_steps_one_by_one() -> None:
    ids, steps = torch.arange(4).repeat(3), torch.arange(10, 13).repeat_interleave(4)
    together = normal(0, Stream.TRAIN_NOISE, ids, steps, (5, 2)).unflatten(0, (3, 4))
    for i, step in enumerate(range(10, 13)):
        assert torch.equal(together[i], normal(0, Stream.TRAIN_NOISE, torch.arange(4), step, (5, 2)))


def test_mixed_seeds_do_not_collide() -> None:
    seeds = {mix(a, b) for a in range(200) for b in range(200)}
    assert len(seeds) == 200 * 200
    assert all(0 <= seed < 2**63 for seed in seeds)
