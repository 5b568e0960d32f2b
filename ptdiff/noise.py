"""Addressed randomness: every random number is a pure function of (seed, stream, id, step, element).

Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") in plain tensor operations is a keyed
bijection of a 128-bit counter.  The numbers of sample 17 are therefore the same alone or in a batch, in any order, on
any device and with any number of ranks, and there is no generator state to save in a checkpoint.

    key     = (seed mixed with stream: 64 bits)
    counter = (element // 4, step, id: low 32 bits, id: high 32 bits)

If a sample grows (a cloud with more points), its first elements keep their numbers.
"""

from __future__ import annotations

import math
from enum import IntEnum

import torch
from torch import Tensor

from ptdiff.machine.host import exact

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


class Stream(IntEnum):
    """Purpose of random numbers: with the same seed, different streams are independent."""

    START = 0
    SOLVER = 1
    TRAIN_NOISE = 2
    TRAIN_LEVEL = 3
    CONDITION_DROPOUT = 4
    DATA = 5
    ORDER = 6
    PATH = 7
    PATH_LEAF = 8
    FRESH = 9
    COUPLING = 10
    VALIDATION = 11
    ESTIMATE = 12
    CODE = 13
    SIZE = 14
    WAY = 15


def mix(*words: int) -> int:
    """Derive a 63-bit seed from integers (splitmix64 over the words); collisions are as rare as for random seeds.

    >>> mix(1, 2) == mix(1, 2) != mix(2, 1)
    True
    """
    state = 0
    for word in words:
        state = (state + (word & (2**64 - 1)) + 0x9E3779B97F4A7C15) & (2**64 - 1)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state ^= state >> 31
    return state >> 1


def philox(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ten rounds of Philox-4x32 (Salmon et al. 2011); every word is an int64 tensor that holds 32 bits."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # 64-bit products of 32-bit words; int64 wraps around, with the same bits as the unsigned product
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = (product1 >> 32).bitwise_and_(_WORD).bitwise_xor_(c1).bitwise_xor_(k0)
        c2 = (product0 >> 32).bitwise_and_(_WORD).bitwise_xor_(c3).bitwise_xor_(k1)
        c1, c3 = product1.bitwise_and_(_WORD), product0.bitwise_and_(_WORD)
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return c0, c1, c2, c3


def _words(seed: int, stream: Stream, ids: Tensor, step: int | Tensor, count: int) -> Tensor:
    """Random 32-bit words, int64 (b, n), where n is ``count`` rounded up to a multiple of 4."""
    key = mix(seed, int(stream))
    ids = ids.long()[:, None]
    block = torch.arange(-(-count // 4), device=ids.device)[None, :]
    steps = torch.as_tensor(step, device=ids.device).long().reshape(-1, 1)
    zero = torch.zeros_like(ids + block)
    counter = (zero + block, zero + steps, zero + (ids & _WORD), zero + ((ids >> 32) & _WORD))
    words = philox(counter, (key & _WORD, (key >> 32) & _WORD))
    return torch.stack(words, dim=-1).reshape(len(ids), -1)


def uniform(seed: int, stream: Stream, ids: Tensor, step: int | Tensor, shape: tuple[int, ...] = ()) -> Tensor:
    """Draw uniform numbers in (0, 1), float64 (b, *shape), for samples ``ids`` (b,) at ``step`` (a number or (b,)).

    They are on the device of ``ids``, or on the CPU if that device has no float64.
    """
    ids, step = _at_home(ids, step)
    count = math.prod(shape)
    words = _words(seed, stream, ids, step, count)[:, :count]
    return ((words.double() + 0.5) * 2.0**-32).reshape(-1, *shape)


def normal(seed: int, stream: Stream, ids: Tensor, step: int | Tensor, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal numbers, float32 (b, *shape), by the Box-Muller transform (1958).

    ``ids`` (b,) and ``step``, a number or (b,), address them as in :func:`uniform`.  They are on the device of ``ids``.
    """
    where = ids.device
    ids, step = _at_home(ids, step)
    count = math.prod(shape)
    words = _words(seed, stream, ids, step, count).reshape(len(ids), -1, 2).double()
    # each pair of numbers depends on one pair of words only, so an element keeps its number when the shape grows
    radius = torch.sqrt(-2 * torch.log((words[..., 0] + 0.5) * 2.0**-32))
    turn = words[..., 1] * (2 * math.pi * 2.0**-32)
    pair = torch.stack([radius * torch.cos(turn), radius * torch.sin(turn)], dim=-1)
    return pair.reshape(len(ids), -1)[:, :count].float().reshape(-1, *shape).to(where)


def _at_home(ids: Tensor, step: int | Tensor) -> tuple[Tensor, int | Tensor]:
    # to a device with float64, so that the numbers of a sample are the same on every device
    home = exact(ids.device)
    return ids.to(home), step.to(home) if isinstance(step, Tensor) else step
