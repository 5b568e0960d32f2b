"""What generated samples are compared with: reference samples, and training samples for the floor.

Both are drawn at random, addressed by a seed: many data sets hold their classes in turn, and taking every k-th sample
of those takes some classes only.  The floor has the same number of samples of every class as the reference, as
generated samples that are asked for the reference's labels have.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.modality.data import Condition, Samples
from ptdiff.noise import mix


@dataclass(frozen=True)
class ReferenceSets:
    """n reference samples with their labels (None without classes), and n training samples, in world units."""

    reference: Tensor
    labels: Tensor | None
    training: Tensor


def reference_sets(training: Samples, target: Samples, n: int, seed: int = 0, *, match: bool = True) -> ReferenceSets:
    """n samples of ``target``, and n of ``training`` with the same labels as far as there are enough of them.

    Where ``target`` is the training split itself, the two share no sample.  ``match`` is False where the two do not
    have the same classes.  ValueError where there are fewer than n of either, or fewer than two.
    """
    same = training is target
    if n < 2 or n > len(target) or n + n * same > len(training):
        raise ValueError(
            f"{n} samples cannot be compared: there are {len(target)} held-out and {len(training)} to train on"
        )
    order = _shuffled(len(target), seed)
    chosen = order[:n].sort().values
    reference, cond = target.batch(chosen, mix(seed, 0))
    labels = cond.get("label")
    rest = order[n:] if same else _shuffled(len(training), seed + 1)
    wanted = Counter(labels.tolist()) if match and labels is not None else None
    return ReferenceSets(reference, labels, with_labels(training, rest, n, wanted, mix(seed, 1)))


def largest(training: Samples, target: Samples, limit: int) -> int:
    """The most samples that :func:`reference_sets` can take, at most ``limit``."""
    return min(limit, len(target) // 2 if training is target else len(target), len(training))


def _shuffled(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(mix(seed, count)))


def with_labels(samples: Samples, ids: Tensor, n: int, wanted: Counter[int] | None, seed: int) -> Tensor:
    """The first n of ``ids`` that have the wanted labels; where they run out, others in their place.

    Fewer than n where there are not so many ids.
    """
    if wanted is None:
        return samples.batch(ids[:n], seed)[0]
    missing = Counter(wanted)
    taken: list[Tensor] = []
    spare: list[Tensor] = []
    for block in torch.split(ids, n):
        x, cond = samples.batch(block, seed)
        for row, label in zip(x, _labels(cond, len(block)), strict=True):
            if missing[label] > 0:
                missing[label] -= 1
                taken.append(row)
            elif len(spare) < n:
                spare.append(row)
        if len(taken) == n:
            break
    return torch.stack([*taken, *spare][:n])


def _labels(cond: Condition, count: int) -> list[int]:
    return [int(i) for i in cond["label"].tolist()] if "label" in cond else [-1] * count
