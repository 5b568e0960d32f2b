"""The cost of work before it is done: time, memory, disk and money, on this machine and on others.

A :class:`Workload` is measured on this machine (ptdiff.training.estimate, ptdiff.model.estimate); :func:`costs` scales
it to several machines and to a GPU.  Every time is a range with a basis, because none is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ptdiff.choices import Catalog, unknown

LOW, HIGH = 0.7, 1.5
"""The range of an estimate on this machine, as factors of the likely time; docs/many-machines.md has measurements."""

SHARES = (0.05, 0.15, 0.35)
"""Lowest, likely and highest share of its peak that a GPU reaches, assumed.  The highest is the measured share of the
GEMM peak of a processor, benchmarks/results/bench_train_avx2.json; GPUs reach less with networks of this size."""

LAUNCHES = (20e-6, 10e-6, 5e-6)
"""Highest, likely and lowest seconds to call an operator on a GPU, assumed.  Small networks are limited by it."""

SCALINGS = (0.5, 0.8, 1.0)
"""Lowest, likely and highest share of linear scaling in training on several machines, assumed."""


@dataclass(frozen=True)
class GPU:
    """A GPU by its peak in bfloat16 without sparsity, in FLOP/s; ``source``: where the peak is from."""

    name: str
    peak: float
    source: str = "data sheet of NVIDIA, bfloat16 without sparsity"


GPUS: Catalog[GPU] = Catalog(
    "gpu",
    {
        "h200": GPU("H200", 989e12),
        "h100": GPU("H100", 989e12),
        "a100": GPU("A100", 312e12),
        "rtx4090": GPU("RTX 4090", 165e12),
        "l4": GPU("L4", 121e12),
    },
)
"""GPUs with known peaks, by name."""


def gpu(name: str | None = None, peak: float | None = None) -> GPU:
    """A GPU by its name in GPUS, or by its ``peak`` in TFLOP/s; UnknownName for an unknown name."""
    if peak is not None:
        return GPU(name or "GPU", peak * 1e12, "the peak that was given")
    key = (name or "").lower().replace(" ", "").replace("-", "")
    if key not in GPUS:
        raise unknown("gpu", str(name), [*GPUS, "another with --peak TFLOPS"])
    return GPUS[key]


class TimeRange(NamedTuple):
    """A time between ``low`` and ``high``, in seconds."""

    low: float
    likely: float
    high: float

    def times(self, parts: tuple[float, float, float]) -> TimeRange:
        """Parts of this time, the lowest of the low one and the highest of the high one."""
        return TimeRange(*(whole * part for whole, part in zip(self, parts, strict=True)))


def about(seconds: float) -> TimeRange:
    """The range of a time that was measured on this machine."""
    return TimeRange(seconds * LOW, seconds, seconds * HIGH)


@dataclass(frozen=True)
class Workload:
    """Work as measured on this machine.

    ``name``: of the work.  ``key``: train, sample or compare.
    ``seconds``: on this machine.
    ``memory``, ``disk``: bytes, of each machine and of all together.
    ``flop``: floating-point operations; None if a GPU does not do the work.
    ``calls``: operators called one after another.
    ``pieces``: pieces that machines can share without waiting for each other; None if they share every step, as
    training does.
    ``basis``: how all this was measured.
    """

    name: str
    key: str
    seconds: TimeRange
    memory: float
    disk: float
    flop: float | None
    calls: float
    pieces: int | None
    basis: str


@dataclass(frozen=True)
class Cost:
    """The cost of work in one place.

    ``place``: here, or other machines.  ``machines``: their number.
    ``seconds``: from beginning to end.  ``memory``: bytes on each machine.  ``disk``: bytes in total.
    """

    work: Workload
    place: str
    machines: int
    seconds: TimeRange
    memory: float
    disk: float
    basis: str

    @property
    def hours(self) -> float:
        """Machine-hours: of all machines together."""
        return self.seconds.likely * self.machines / 3600

    def money(self, price: float) -> float:
        """Price of the machine-hours, at ``price`` for an hour of one machine or GPU."""
        return self.hours * price

    def facts(self, price: float | None = None) -> dict[str, Any]:
        """The same as JSON values; times in seconds, sizes in bytes."""
        spent = {} if price is None else {"money": round(self.money(price), 4)}
        return {
            "work": self.work.name,
            "kind": self.work.key,
            "place": self.place,
            "machines": self.machines,
            "seconds": {key: round(value, 3) for key, value in self.seconds._asdict().items()},
            "machine_hours": round(self.hours, 6),
            "memory_bytes": round(self.memory),
            "disk_bytes": round(self.disk),
            **spent,
            "basis": self.basis,
        }


def costs(work: Workload, machines: int = 1, on: GPU | None = None) -> list[Cost]:
    """The costs of ``work`` here, on ``machines`` like this one, on one GPU and on as many GPUs.

    Fewer machines are used if there are fewer pieces of work.
    """
    # machines without a piece would do nothing
    counts = sorted({1, machines if work.pieces is None else min(machines, work.pieces)})
    found = [_here(work, count) for count in counts]
    if on is not None and work.flop is not None:
        found += [_there(work, on, count) for count in counts]
    return found


def _here(work: Workload, machines: int) -> Cost:
    seconds = work.seconds.times(_part(work, machines))
    place = "here" if machines == 1 else f"{machines} machines"
    basis = work.basis if machines == 1 else f"each like this one; {_shared(work, machines)}"
    return Cost(work, place, machines, seconds, work.memory, work.disk, basis)


def _there(work: Workload, on: GPU, machines: int) -> Cost:
    assert work.flop is not None
    part = _part(work, machines)
    # operators of a step are called on every GPU that shares it
    calls = work.calls * (1.0 if work.pieces is None else part[1])
    times = [
        max(work.flop * share_of / (on.peak * share), calls * launch)
        for share, launch, share_of in zip(SHARES, LAUNCHES, reversed(part), strict=True)
    ]
    high, likely, low = times
    place = on.name if machines == 1 else f"{machines} x {on.name}"
    basis = (
        f"{work.flop:.2g} FLOP at {SHARES[1]:.0%} ({SHARES[0]:.0%} to {SHARES[2]:.0%}) of {on.peak / 1e12:.0f} TFLOP/s "
        f"({on.source}), but at least {LAUNCHES[1] * 1e6:.0f} ({LAUNCHES[2] * 1e6:.0f} to {LAUNCHES[0] * 1e6:.0f}) µs "
        f"for each of {work.calls:.2g} operators; share and µs are assumed, not measured"
    )
    if machines > 1:
        basis = f"as {on.name}; {_shared(work, machines)}"
    return Cost(work, place, machines, TimeRange(low, likely, high), work.memory, work.disk, basis)


def _part(work: Workload, machines: int) -> tuple[float, float, float]:
    """The part of the time that remains with this many machines: lowest, likely and highest."""
    if machines == 1:
        return 1.0, 1.0, 1.0
    if work.pieces is None:
        low, likely, high = (1 / (machines * share) for share in reversed(SCALINGS))
        return low, likely, high
    part = math.ceil(work.pieces / machines) / work.pieces
    return part, part, part


def _shared(work: Workload, machines: int) -> str:
    if work.pieces is None:
        low, likely, high = SCALINGS
        return f"{likely:.0%} ({low:.0%} to {high:.0%}) of linear scaling, assumed, not measured"
    most = math.ceil(work.pieces / machines)
    return f"{work.pieces:,} pieces, at most {most:,} for each machine"


UNITS: Mapping[str, float] = {"s": 1, "min": 60, "h": 3600, "days": 86400}
"""Units of time in seconds."""


def _unit(seconds: float) -> str:
    return next((name for name, most in (("s", 90), ("min", 5400), ("h", 172800)) if seconds < most), "days")


def duration(seconds: float) -> str:
    """A time in words, with two or three digits.

    >>> duration(246.0)
    '4.1 min'
    """
    unit = _unit(seconds)
    return f"{_short(seconds / UNITS[unit])} {unit}"


def span(seconds: TimeRange) -> str:
    """A likely time and its range in words.

    >>> span(TimeRange(200.0, 246.0, 330.0))
    '4.1 min (3.3–5.5)'
    """
    if seconds.high < 0.1:
        return "under 0.1 s"
    unit = _unit(seconds.likely)
    low, likely, high = (_short(value / UNITS[unit]) for value in seconds)
    return f"{likely} {unit} ({low}–{high})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def size(count: float) -> str:
    """A number of bytes in words.

    >>> size(2_500_000_000)
    '2.3 GiB'
    """
    if count < 2**10:
        return f"{count:.0f} B"
    for name, unit in (("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)):
        if count < 1000 * unit:
            return f"{_short(count / unit)} {name}"
    return f"{_short(count / 2**40)} TiB"


def off(planned: float, took: float) -> str:
    """Compare the planned seconds of finished work with those it took, in words.

    >>> off(246.0, 264.0)
    'planned 4.1 min, took 4.4 min: 7 % over'
    """
    # in one unit
    unit = _unit(max(planned, took))
    before, after = (_short(value / UNITS[unit]) for value in (planned, took))
    return f"planned {before} {unit}, took {after} {unit}: {difference(planned, took)}"


def difference(planned: float, found: float, more: str = "over", less: str = "under") -> str:
    """The relative difference in words.

    >>> difference(2000, 1900, "more", "fewer")
    '5 % fewer'
    """
    percent = round(100 * (found / planned - 1))
    return "as planned" if percent == 0 else f"{abs(percent):,} % {more if percent > 0 else less}"
