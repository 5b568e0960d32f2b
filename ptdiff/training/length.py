"""A new length for a run that was trained before."""

from __future__ import annotations

from collections.abc import Callable

from ptdiff.choices import choose
from ptdiff.run.checkpoint import latest
from ptdiff.run.config import validate
from ptdiff.run.folder import Run, process_rank
from ptdiff.training.schedule import SCHEDULES


def lengthened(run: Run, steps: int | None, minutes: float | None, say: Callable[[str], None]) -> Run:
    """Give ``run`` a new total number of ``steps`` or ``minutes`` of training, in config.yaml too.

    Both replace both: a limit that is None no longer applies.  From the next step on, the learning-rate schedule is
    that of the new length; ``say`` is called with a line if the rate rises.

    Raises ValueError if the run is already longer or has stopped improving, and RunError if it is being trained.
    """
    before = run.config.training
    values = run.config.model_dump(mode="json")
    config = validate({**values, "training": {**values["training"], "steps": steps, "minutes": minutes}})
    found = latest(run.checkpoints)
    if found is not None:
        done, spent = found.step, found.elapsed / 60
        if steps is not None and steps <= done:
            raise ValueError(f"--steps {steps}: {run.path} has {done} steps already; give a larger total")
        if minutes is not None and minutes <= spent:
            raise ValueError(
                f"--minutes {minutes:g}: {run.path} has trained for {spent:.3g} minutes; give a larger total"
            )
        if before.patience is not None and found.state.get("best", {}).get("stale", 0) >= before.patience:
            raise ValueError(
                f"{run.path} ended because it stopped improving (training.patience): "
                f"start from its weights with 'ptdiff train --from {run.path}'"
            )
        schedule = choose("schedule", SCHEDULES, before.schedule)
        shares = [
            schedule.share(done, max(done / (a or float("inf")), spent / (b or float("inf"))))
            for a, b in ((before.steps, before.minutes), (steps, minutes))
        ]
        if shares[1] > shares[0] and process_rank() == 0:
            share = " -> ".join(f"{before.lr * each:.3g}" for each in shares)
            say(f"the learning rate follows the schedule of the new length: {share}")
    if process_rank() > 0 or config == run.config:
        return Run(run.path, config, run.data, run.kind)
    with run.locked():
        return run.rewritten(config)
