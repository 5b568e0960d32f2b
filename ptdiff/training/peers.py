"""The end of another rank: named in one line, within seconds, instead of a wait or a traceback."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import Any

import pytorch_lightning as pl

from ptdiff.training.observer import Observer

GRACE = 10.0
"""Seconds in which a rank should notice by itself that another ended; it is ended after that."""


class Peers(pl.Callback):
    """Watches the other ranks; the first rank started those of its machine and knows how they ended."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.parent = os.getppid()
        self.started: dict[int, subprocess.Popen[Any]] = {}
        self.first, self.world, self.over = True, 1, False

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Begin to watch, once all ranks are connected."""
        self.first, self.world, self.over = trainer.local_rank == 0, trainer.world_size, False
        launcher = trainer.strategy.launcher
        procs = getattr(launcher, "procs", None)
        if launcher is not None and procs:
            self.started = dict(enumerate(procs, start=trainer.global_rank + 1))
            # Lightning's own watch, which reads this list, would kill this process without a word, even while it saves
            launcher.procs = list(procs)  # type: ignore[attr-defined]
            procs.clear()
        if self.started:
            threading.Thread(target=self._watch, daemon=True).start()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop watching: from here on ranks end one by one."""
        self.over = True

    def lost(self, error: BaseException) -> ConnectionError | SystemExit | None:
        """Return what to raise if ``error`` is the loss of another rank; None if it is anything else."""
        text = str(error).lower()
        if self.world == 1 or not any(
            word in text for word in ("gloo", "nccl", "connection closed", "connection reset")
        ):
            return None
        self.over = True
        # the connection closes a moment before the process is known to have ended
        deadline = time.monotonic() + 3
        while (ended := self._ended()) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if ended is None and not self.first:
            # the first rank is there to say it
            return SystemExit(1)
        self._end_others()
        return ConnectionError(ended or "another rank ended")

    def _ended(self) -> str | None:
        """The rank of this machine that ended with an error, and how; None if none is known."""
        if not self.first and os.getppid() != self.parent:
            return "rank 0 ended"
        for rank, process in self.started.items():
            code = process.poll()
            if code:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                return f"rank {rank} {how}"
        return None

    def _end_others(self) -> None:
        for process in self.started.values():
            process.kill()

    def _watch(self) -> None:
        while not self.over and self._ended() is None:
            time.sleep(0.5)
        until = time.monotonic() + GRACE
        while not self.over and time.monotonic() < until:
            time.sleep(0.5)
        if not self.over:
            # this rank waits for the lost one in a call that nothing interrupts
            self.observer.say(f"{self._ended()}; continue from the last checkpoint with 'ptdiff resume'")
            self._end_others()
            os._exit(1)
