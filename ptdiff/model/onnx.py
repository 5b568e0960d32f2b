"""The network of a model in ONNX, for use without torch.

    inputs    x (batch, *shape) float32, of unit variance;  angle (batch,) float32, in [0, pi/2];
              label (batch,) int64, -1 for none; only with classes
    output    y (batch, *shape), see :mod:`ptdiff.denoiser.network` for how x_0 follows from it

The batch has any size, and sets up to as many elements as in training.  The metadata of the file has the prediction,
the classes, the mean and the scale of the data.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from ptdiff.documents.atomic import whole
from ptdiff.errors import Unsupported

if TYPE_CHECKING:
    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.modality.data import Condition, Data
    from ptdiff.run.folder import Run

TOLERANCE = 1e-4
"""Largest difference between ONNX Runtime and torch, relative to the largest output; rounding makes about 1e-6."""


class NetworkOfRun(Protocol):
    """The parts of :class:`ptdiff.model.Model` that have the network, its data and configuration."""

    @property
    def run(self) -> Run: ...
    @property
    def data(self) -> Data: ...
    @property
    def denoiser(self) -> NetworkDenoiser: ...


class _Network(nn.Module):
    """A network whose condition is a positional argument."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, angle: Tensor, label: Tensor | None = None) -> Tensor:
        cond: Condition = {} if label is None else {"label": label}
        y: Tensor = self.net(x, angle, cond)
        return y


def save_network(model: NetworkOfRun, path: Path) -> Path:
    """Write the network of ``model`` to ``path`` and return it.

    Raises Unsupported without the packages of the extra onnx, for a network that torch cannot export, and if ONNX
    Runtime does not compute what torch does.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise Unsupported(f"{path} needs the package {error.name}: pip install 'ptdiff[onnx]'") from None
    data = model.data
    if data.conditions:
        raise Unsupported(
            f"{path}: an ONNX file has the class as its only condition, and this run has {', '.join(data.conditions)}"
        )
    inputs: dict[str, Tensor] = {"x": torch.randn(3, *data.shape), "angle": torch.tensor([0.3, 0.7, 1.1])}
    if data.classes:
        inputs["label"] = torch.tensor([0, -1, 0])
    batch = torch.export.Dim("batch")
    axes: dict[str, Any] = {name: {0: batch} for name in inputs}
    if data.unordered:
        axes["x"] = {0: batch, 1: torch.export.Dim("elements", min=2, max=data.shape[0])}
    network = _Network(model.denoiser.net).eval()
    try:
        with _quiet():
            # exported here, because torch.onnx would fix axes that cannot vary without an error
            program = torch.export.export(network, (), inputs, dynamic_shapes=axes, strict=False)
            made = torch.onnx.export(program, dynamo=True, output_names=["y"], verbose=False)
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        reason = reason.partition("! For more information")[0]
        raise Unsupported(f"{path}: torch cannot export this network: {reason}") from error
    assert made is not None
    found = made.model_proto
    facts = {
        "modality": model.run.config.modality,
        "prediction": model.run.config.prediction,
        "classes": list(data.classes),
        "mean": data.mean,
        "scale": data.scale,
    }
    onnx.helper.set_model_props(found, {f"ptdiff.{key}": json.dumps(value) for key, value in facts.items()})
    _verify(found.SerializeToString(), network, data.shape, len(data.classes), path)
    with whole(path) as part:
        onnx.save(found, part)
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch says about its own internals and about torchvision."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _verify(network: bytes, torch_network: nn.Module, shape: tuple[int, ...], classes: int, path: Path) -> None:
    """Compare with torch on batches of other sizes than in the export; raises Unsupported if they differ."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Unsupported(f"{path}: ONNX Runtime cannot load this network: {str(error).splitlines()[0]}") from error
    for count in (1, 5):
        told = {"x": torch.randn(count, *shape), "angle": torch.linspace(0.1, 1.5, count)}
        if classes:
            told["label"] = torch.arange(count) % classes
        with torch.inference_mode():
            right = torch_network(**told)
        (found,) = session.run(None, {name: value.numpy() for name, value in told.items()})
        gap = float((torch.from_numpy(found) - right).abs().max())
        if not gap <= TOLERANCE * max(1.0, float(right.abs().max())):
            raise Unsupported(f"{path}: ONNX Runtime gives a different result from torch: they differ by {gap:.1e}")
