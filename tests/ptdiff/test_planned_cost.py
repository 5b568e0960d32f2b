"""The cost model: how work is scaled to machines and GPUs, and how it is measured."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ptdiff
from ptdiff.errors import UnknownName
from ptdiff.machine.cost import (
    LAUNCHES,
    SCALINGS,
    SHARES,
    TimeRange,
    Workload,
    about,
    costs,
    difference,
    gpu,
    off,
    size,
    span,
)
from ptdiff.machine.flops import operator_calls
from ptdiff.modality import registry
from ptdiff.model.estimate import comparison_workload, evaluation_workloads, sampling_workload, takes_long
from ptdiff.training.configuration import resolve
from ptdiff.training.estimate import training_estimate

CPU = torch.device("cpu")


def work(seconds: float = 3600.0, flop: float = 1e18, calls: float = 1e4, pieces: int | None = 100) -> Workload:
    return Workload("sample 100", "sample", about(seconds), 2**30, 2**20, flop, calls, pieces, "timed")


def test_machines_share_whole_pieces() -> None:
    one, many = costs(work(), 16)
    # 100 pieces on 16 machines: seven on some of them
    assert many.seconds.likely == pytest.approx(one.seconds.likely * 7 / 100)
    assert many.hours == pytest.approx(16 * 7 / 100)
    assert many.money(1.2) == pytest.approx(1.2 * 16 * 7 / 100)
    assert (one.place, many.place) == ("here", "16 machines")


def test_machines_without_a_piece_are_not_paid() -> None:
    one, many = costs(work(pieces=3), 16)
    assert (many.place, many.machines) == ("3 machines", 3)
    assert many.hours == pytest.approx(one.hours)
    assert [cost.place for cost in costs(work(pieces=1), 16)] == ["here"]


def test_training_scales_by_a_share_of_linear_that_the_basis_names() -> None:
    one, many = costs(work(pieces=None), 4)
    assert many.seconds.likely == pytest.approx(one.seconds.likely / (4 * SCALINGS[1]))
    assert many.seconds.high == pytest.approx(one.seconds.high / (4 * SCALINGS[0]))
    assert f"{SCALINGS[1]:.0%}" in many.basis and "assumed" in many.basis


def test_a_gpu_takes_the_flop_at_a_share_of_its_peak() -> None:
    _, there = costs(work(flop=1e18, calls=1), on=gpu(peak=100))
    assert there.seconds == pytest.approx([1e18 / (1e14 * share) for share in reversed(SHARES)])
    assert "100 TFLOP/s" in there.basis and "assumed, not measured" in there.basis


def test_a_gpu_is_no_faster_than_it_can_be_called() -> None:
    _, there = costs(work(flop=1.0, calls=1e6), on=gpu("h200"))
    assert there.seconds == pytest.approx([1e6 * launch for launch in reversed(LAUNCHES)])
    # the operators of a training step are called on every GPU
    *_, one, many = costs(work(flop=1.0, calls=1e6, pieces=None), 8, gpu("h200"))
    assert many.seconds == one.seconds


def test_no_estimate_is_a_bare_number() -> None:
    for cost in costs(work(), 3, gpu("A100")):
        assert cost.seconds.low < cost.seconds.likely < cost.seconds.high
        assert cost.basis
        assert set(cost.facts(2.0)) >= {"seconds", "memory_bytes", "disk_bytes", "money", "basis"}
    assert "money" not in costs(work())[0].facts()


def test_a_gpu_is_known_by_its_name_however_it_is_written() -> None:
    assert gpu("RTX 4090") == gpu("rtx4090")
    with pytest.raises(UnknownName, match="did you mean 'h200'"):
        gpu("h20")


def test_words() -> None:
    assert off(246, 264) == "planned 4.1 min, took 4.4 min: 7 % over"
    assert off(264, 246).endswith("7 % under")
    assert off(92, 87) == "planned 1.5 min, took 1.4 min: 5 % under"
    assert difference(100, 100.4) == "as planned"
    assert span(TimeRange(200.0, 246.0, 330.0)) == "4.1 min (3.3–5.5)"
    assert span(TimeRange(0.001, 0.002, 0.003)) == "under 0.1 s"
    assert span(TimeRange(4e5, 5e5, 6e5)) == "5.8 days (4.6–6.9)"
    assert [size(n) for n in (0, 3 * 2**20, 2.5e9, 5e12)] == ["0 B", "3.0 MiB", "2.3 GiB", "4.5 TiB"]


def test_operators_are_counted_without_views() -> None:
    x = torch.ones(4, 4)
    assert operator_calls(lambda: (x @ x).relu().view(16).add(1)) == 3


def test_the_rate_of_sampling_is_that_of_the_real_solver() -> None:
    model = ptdiff.load("swissroll")
    n = 4000
    found = sampling_workload(model.denoiser, model.plan, model.data, n, model.shape(), device=CPU)
    spent = []
    for _ in range(3):
        began = time.process_time()
        model.sample(n)
        spent.append(time.process_time() - began)
    # other programs may keep the machine busy
    assert min(spent) / 4 < found.seconds.likely < 20 * max(spent)
    assert found.disk == n * 2 * 4
    # the network is called as often as the plan says, on the samples of a batch at once
    assert found.flop == pytest.approx(n / 100 * _flop(model, 100))
    assert f"{model.plan.cost(model.denoiser)} network calls" in found.basis


def _flop(model: ptdiff.Model, n: int) -> float:
    found = sampling_workload(model.denoiser, model.plan, model.data, n, model.shape(), device=CPU)
    assert found.flop is not None
    return found.flop


def test_guidance_and_steps_cost_their_network_calls() -> None:
    model = ptdiff.load("swissroll")
    plain = _flop(model, 64)
    longer = replace(model, plan=model.planned(steps=2 * model.plan.steps))
    before, after = (m.plan.cost(m.denoiser) for m in (model, longer))
    assert before is not None and after is not None
    assert _flop(longer, 64) == pytest.approx(plain * after / before)


def test_an_adaptive_solver_is_timed_to_the_end() -> None:
    model = ptdiff.load("swissroll")
    plan = model.planned(solver="dopri5")
    found = sampling_workload(model.denoiser, plan, model.data, 500, model.shape(), device=CPU)
    assert found.seconds.low > 0 and found.flop is not None and found.flop > 0


def test_short_work_is_known_to_be_short() -> None:
    model = ptdiff.load("swissroll")
    subject = model.denoiser, model.plan, model.data
    assert not takes_long(*subject, 16, model.shape(), 30, device=CPU)
    assert takes_long(*subject, 10**9, model.shape(), 30, device=CPU)


def test_a_comparison_is_continued_from_few_samples() -> None:
    kind = registry.load("points2d", {"count": 4096})
    data = kind.dataset()
    little, count = comparison_workload(kind, data, 64)
    much, most = comparison_workload(kind, data, 10**6)
    assert (count, most) == (64, len(data.val or []))
    assert much.seconds.high > little.seconds.likely and much.flop is None
    with pytest.raises(UnknownName, match="unknown protocol"):
        comparison_workload(kind, data, 64, protocol="x")
    with pytest.raises(UnknownName, match="unknown split"):
        comparison_workload(kind, data, 64, split="test")


def test_an_evaluation_generates_as_many_samples_as_it_compares() -> None:
    model = ptdiff.load("swissroll")
    kind = registry.load("points2d", {"data": "swissroll", "count": 256})
    data = kind.dataset()
    sample, compare = evaluation_workloads(model.denoiser, model.plan, kind, data, 10**6, (2,), device="cpu")
    assert sample.name.split()[1] == compare.name.split()[1] == f"{len(data.val or []):,}"


def test_training_is_planned_from_its_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config, kind = resolve({"modality": "points2d", "options": {"count": 512}, "training": {"steps": 3000}})
    found = training_estimate(config, kind, kind.dataset(), CPU)
    assert found.work.seconds.likely == pytest.approx(3000 / (found.settled.rate or 0))
    assert found.work.flop == pytest.approx(3000 * found.flop)
    # weights, two moments and one average, in two checkpoints
    assert found.work.disk == 2 * 4 * 4 * found.parameters
    by_clock, _ = resolve(
        {"modality": "points2d", "options": {"count": 512}, "training": {"minutes": 2, "steps": None}}
    )
    found = training_estimate(by_clock, kind, kind.dataset(), CPU)
    assert found.work.seconds.likely == pytest.approx(120, rel=0.02)
    assert list(tmp_path.iterdir()) == []
