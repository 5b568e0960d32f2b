"""Training shows every step on a terminal, else a line after the first step, at 10 s, then every half minute."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ptdiff_cli.shared import watch as watch_file
from ptdiff_cli.shared.watch import Watch


def watched(monkeypatch: pytest.MonkeyPatch, seconds_a_step: float, steps: int) -> Watch:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(watch_file, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with Watch() as watch:
        watch.begin("first step")
        for done in range(1, steps + 1):
            clock.now += seconds_a_step
            watch.tick(done, done / 1000, done * seconds_a_step)
            watch.report({"loss": 1 / done})
    return watch


def test_lines_come_after_the_first_step_at_ten_seconds_and_every_half_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    watched(monkeypatch, 0.5, 200)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train first step …"
    steps = [int(line.split("step ")[1].split()[0]) for line in lines[1:]]
    assert steps == [1, 21, 81, 141]
    assert "2 steps/s" in lines[2] and "loss 0.0500" in lines[2] and "8:10 left" in lines[2]


def test_a_slow_step_has_its_line_as_soon_as_it_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    watched(monkeypatch, 40.0, 4)
    assert len(capsys.readouterr().err.splitlines()) == 1 + 4


def test_a_terminal_is_told_at_most_four_times_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown: list[int] = []
    monkeypatch.setattr(Watch, "_show", lambda self: shown.append(self.last[0]))
    watched(monkeypatch, 0.01, 200)
    # two seconds, and the end once more
    assert shown[0] == 1 and shown[-1] == 200 and len(shown) <= 2 * 4 + 2
