"""Fine-tuning: training that starts from the weights of another run.

Inherited are the modality, its options except those that say what the data is (``Modality.of_data``), the
configuration, and the averaged weights.  Not inherited are mean and scale, which are those of the new data, because a
model works on data of unit variance; optimiser moments; and what suits one machine (precision, threads).  The learning
rate is a quarter of the source's and the warm-up half of it.

Classes are matched by name.  A class new to the source starts from the row for "not given", so that the network at
first draws what it draws without a class; if the source never hid a label, it starts from the mean of all classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ptdiff.modality import registry
from ptdiff.run.checkpoint import sha256
from ptdiff.run.config import Config, defaults, merged
from ptdiff.run.folder import Run, Start

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.modality.data import Data

RATE, WARMUP = 0.25, 0.5
"""Factors on the source's learning rate and warm-up."""

MACHINE = ("precision", "threads", "shards", "micro_batch", "compile")
"""Settings of training that suit one machine and are not inherited."""


def inherited(source: Run, options: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run that starts from ``source``, before anything is overridden, as plain values.

    options: those given for the new run; if ``data`` is among them, options that describe the old data are left out.
    """
    theirs = source.config.model_dump(mode="json")
    kind = registry.modality_class(source.config.modality)
    if "data" in options:
        theirs["options"] = {key: value for key, value in theirs["options"].items() if key not in kind.of_data}
    own = merged(defaults(source.config.modality), registry.load(source.config.modality, theirs["options"]).recipe())
    training = theirs["training"]
    training |= {key: own["training"][key] for key in MACHINE}
    training |= {"lr": RATE * training["lr"], "warmup": round(WARMUP * training["warmup"])}
    # the new run must say how long to train
    training |= {"steps": None, "minutes": None}
    return theirs


def begun(source: Run, config: Config, denoiser: NetworkDenoiser, data: Data) -> Start:
    """The initial weights for ``denoiser``, a network for ``data``, which is not changed.

    Raises ValueError, naming the part, if the networks differ or make different predictions.
    """
    if config.prediction != source.config.prediction:
        raise ValueError(
            f"the weights of {source.path.name} predict {source.config.prediction}, not {config.prediction}"
        )
    checkpoint, theirs, ours = source.checkpoint(), source.denoiser(), denoiser.state_dict()
    weights = dict(theirs.state_dict())
    hides = source.config.training.condition_dropout > 0
    new = [name for name in data.classes if name not in source.data.classes]
    for label in _labels(theirs, len(source.data.classes)) | _labels(denoiser, len(data.classes)):
        table = weights.pop(label, None)
        if table is None:
            # the source has no classes: rows of zeros tell the network nothing
            ours[label] = ours[label].new_zeros(ours[label].shape)
        elif label in ours:
            ours[label] = _rows(table, source.data.classes, data.classes, hides)
        else:
            _fold(weights, label, table[0] if hides else table[1:].mean(dim=0))
        if label in ours:
            weights[label] = ours[label]
    _check(source.path.name, weights, ours)
    part = "best" if (checkpoint.path / "best.safetensors").is_file() else "ema"
    digest = sha256(checkpoint.path / f"{part}.safetensors")
    return Start(weights, {"name": source.path.name, "step": checkpoint.step, "sha256": digest, "new": new})


def _labels(model: NetworkDenoiser, classes: int) -> set[str]:
    """The class tables of a network: embeddings called ``label`` with a row for each class and one for no class."""
    from torch import nn

    return {
        f"{name}.weight"
        for name, part in model.named_modules()
        if isinstance(part, nn.Embedding) and name.endswith(".label") and part.num_embeddings == classes + 1
    }


def _rows(table: Tensor, old: tuple[str, ...], new: tuple[str, ...], hides: bool) -> Tensor:
    """The table for the classes ``new``, from that of ``old`` (1 + len(old), width), whose row 0 is for no class."""
    import torch

    unknown = table[0] if hides else table[1:].mean(dim=0)
    known = {name: table[1 + i] for i, name in enumerate(old)}
    return torch.stack([table[0], *(known.get(name, unknown) for name in new)])


def _fold(weights: dict[str, Tensor], label: str, row: Tensor) -> None:
    """Add the row for no class to the bias of the LevelEmbedding, which makes a network without classes equivalent."""
    bias = label.removesuffix("label.weight") + "mlp.2.bias"
    if bias not in weights or weights[bias].shape != row.shape:
        raise ValueError(f"the network has classes ({label}) and the data has none: give it labelled data")
    weights[bias] = weights[bias] + row


def _check(name: str, weights: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
    for key in [*weights, *ours]:
        there, here = (tuple(part[key].shape) if key in part else None for part in (weights, ours))
        if there != here:
            told = [f"is {shape}" if shape is not None else "does not exist" for shape in (there, here)]
            raise ValueError(
                f"the network is not that of {name}: {key} {told[0]} there and {told[1]} here; "
                "leave out the options that change the network"
            )
