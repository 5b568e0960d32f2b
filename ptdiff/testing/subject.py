"""The subject of the checks: a modality with its data, its network and a short run, each made once."""

from __future__ import annotations

import copy
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from unittest import SkipTest

from ptdiff.errors import Unsupported
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.modality.ragged import masked, padded, sets_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff.modality.data import Split
    from ptdiff.modality.types import Array, Image
    from ptdiff.model import Model
    from ptdiff.sampling.samples import Samples

T = TypeVar("T")

BATCH = 4

STEPS = 4
"""Training steps of the run."""

PLAIN = {
    "steps": STEPS,
    "minutes": None,
    "batch": BATCH,
    "precision": "32",
    "threads": 1,
    "shards": 1,
    "micro_batch": None,
    "compile": False,
    "inner_steps": 1,
    "validations": 0,
    "preview_minutes": 1e6,
    "save_minutes": 1e6,
}
"""Training settings of the run: a few steps, without trials, previews or validation."""


@dataclass
class Subject:
    """A modality under test; its data, its network and its run are made once, when a check first needs them."""

    modality: Modality
    held: dict[str, bool] = field(default_factory=dict, repr=False)
    """Outcomes of checks that others build on, by name."""

    @cached_property
    def data_or_error(self) -> Data | Exception:
        """The modality's data set, or the error of ``dataset()``."""
        return _attempt(self.modality.dataset)

    @cached_property
    def net_or_error(self) -> nn.Module | Exception:
        """The network as ``backbone(data)`` returns it, or the error of that."""
        return _attempt(self.fresh)

    @cached_property
    def model_or_error(self) -> Model | Exception:
        """The model of a run of a few steps, in a folder that is removed with the subject, or the error of training."""
        return _attempt(self._trained)

    @property
    def data(self) -> Data:
        """The modality's data set; SkipTest if it cannot be read, which is the finding of another check."""
        return _needed("dataset()", self.data_or_error)

    @cached_property
    def net(self) -> nn.Module:
        """The network in evaluation mode, with perturbed parameters; SkipTest if it cannot be built."""
        import torch

        net = copy.deepcopy(_needed("backbone(data)", self.net_or_error))
        generator = torch.Generator().manual_seed(0)
        # a zero-initialized head would hide every difference in the layers before it
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        return net.eval()

    @property
    def model(self) -> Model:
        """The model of a run of a few steps; SkipTest if training failed, which is the finding of another check."""
        return _needed("training", self.model_or_error)

    @cached_property
    def sheet(self) -> Image:
        """The visualizer's image of a batch without titles."""
        return self.modality.visualizer().sheet(sets_of(self.shown()), [])

    def fresh(self, seed: int = 0) -> nn.Module:
        """A new network of ``backbone(data)``, initialized with ``seed``; random states stay as they were."""
        import torch

        with same_random_state():
            torch.manual_seed(seed)
            return self.modality.backbone(self.data)

    def values(self) -> dict[str, Any]:
        """The configuration of the run, nested as in config.yaml: the modality's recipe with few and small steps."""
        from ptdiff.run.config import merged

        return merged(self.modality.recipe(), {"modality": "it", "training": PLAIN})

    def _trained(self) -> Model:
        folder = tempfile.mkdtemp(prefix="ptdiff-check-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        # also during the imports
        with same_random_state():
            from ptdiff.model import Model
            from ptdiff.training.train import train_run

            run = train_run(Path(folder) / "run", self.values(), device="cpu", kind=self.modality)
            return Model.of(run, data=self.data, device="cpu")

    @property
    def train(self) -> Split:
        """The training samples, at least BATCH."""
        found = self.data.train
        assert found is not None, "dataset() returned no training samples: Data(..., train=split)"
        assert len(found) >= BATCH, f"the checks need at least {BATCH} training samples, not {len(found)}"
        return found

    def batch(self, seed: int = 0, first: int = 0) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Training samples ``first`` to ``first + BATCH``, wrapping around, and their conditions.

        Sets of different sizes have zeros in the padding.
        """
        import torch

        return read(self.train, torch.arange(first, first + BATCH) % len(self.train), seed)

    def shown(self) -> Array:
        """The training samples of :meth:`batch` as images and files get them, with NaN in the padding."""
        x, cond = self.batch()
        array: Array = padded(x, cond.get("mask")).numpy()
        return array

    def groups(self) -> list[Tensor]:
        """The training samples of :meth:`batch`, as one tensor for each size of sets, without padding."""
        x, cond = self.batch()
        if "mask" not in cond:
            return [x]
        sizes = cond["mask"].sum(dim=1)
        return [x[sizes == size, :size] for size in sorted(set(sizes.tolist()))]

    def sample(self, n: int, *, first: int = 0, **options: Any) -> Samples:
        """Samples ``first`` to ``first + n`` of :attr:`model`, with the declared conditions of training samples."""
        import torch

        _, cond = read(self.train, torch.arange(first, first + n) % len(self.train))
        # the number of elements is given once, as points or as a condition
        counted = self.data.counted if "points" in options else None
        asked = {name: cond[name] for name in self.data.conditions if name != counted}
        return self.model.sample(n, first=first, conditions=asked, **options)

    def noise(
        self, rows: int = BATCH, elements: int | None = None, seed: int = 0, mask: Tensor | None = None
    ) -> Tensor:
        """Normal numbers (rows, *shape), the same in every call; ``elements``: of each set, instead of the data's.

        ``mask``: bool (rows, n), with zeros in the padding.
        """
        import torch

        shape = self.data.shape if elements is None else (elements, *self.data.shape[1:])
        return masked(torch.randn(rows, *shape, generator=torch.Generator().manual_seed(seed)), mask)

    def angles(self, rows: int = BATCH) -> Tensor:
        """Noise levels (rows,) between almost clean and almost noise."""
        import torch

        return torch.linspace(0.1, 1.5, rows)


def read(split: Split, ids: Tensor, seed: int = 0) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Samples ``ids`` of a split and their conditions; sets of different sizes have zeros in the padding."""
    x, cond = split.batch(ids, seed)
    return masked(x, cond.get("mask")), cond


@contextmanager
def same_random_state() -> Iterator[None]:
    """Restore the random states of torch, NumPy and Python at the end of the block."""
    import random

    import numpy as np
    import torch

    kept = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])


def _attempt(make: Callable[[], T]) -> T | Exception:
    try:
        return make()
    except Exception as error:
        return error


def _needed(what: str, found: T | Exception) -> T:
    if isinstance(found, Exception):
        raise SkipTest(f"needs {what}, which fails")
    return found


def checked(found: T | Exception) -> T:
    """``found``, or raise it if it is an error."""
    if isinstance(found, Exception):
        raise found
    return found


def assert_reported(call: Callable[[], object], what: str) -> None:
    """Raise AssertionError unless ``call`` raises OSError, ValueError or Unsupported with a message.

    ``what``: what is wrong with the input of ``call``, as the subject of a sentence.
    """
    try:
        call()
    except (OSError, ValueError, Unsupported) as error:
        if not str(error).strip():
            raise AssertionError(f"{what} raises {type(error).__name__} without a message") from error
    except Exception as error:
        raise AssertionError(
            f"{what} raises {type(error).__name__}: {error}; raise OSError or ValueError with one clear line"
        ) from error
    else:
        raise AssertionError(f"{what} raises no error; raise OSError or ValueError with one clear line")


def skip(reason: str) -> NoReturn:
    """Raise SkipTest, which pytest and the command line count as skipped."""
    raise SkipTest(reason)
