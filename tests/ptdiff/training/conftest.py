"""Runs of the tiny modality."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    # trial.py and tiny_modality.py are in the folder of the tests
    sys.path.insert(0, HERE)

from trial import Start, Trial  # noqa: E402

from ptdiff.modality import registry  # noqa: E402
from ptdiff.run.config import merged, validate  # noqa: E402
from ptdiff.run.folder import Run  # noqa: E402

registry.trust("tiny_modality:Tiny")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # sums over several threads may come out in another order
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Make a run of the tiny modality by start(name, options, **training)."""

    def make(name: str = "run", options: dict[str, Any] | None = None, **training: Any) -> Trial:
        plain = {
            "precision": "32",
            "threads": training.get("shards", 1),
            "shards": 1,
            "micro_batch": None,
            "compile": False,
        }
        values = {
            "modality": "tiny_modality:Tiny",
            "options": options or {},
            "training": {"steps": 40, "batch": 8, "warmup": 5, "lr": 1e-2} | plain | training,
        }
        config = validate(merged({}, values))
        modality = registry.load(config.modality, config.options)
        data = modality.dataset()
        return Trial(Run.create(tmp_path / name, config, data), modality, data)

    return make
