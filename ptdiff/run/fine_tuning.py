"""Fine-tuning: training that starts from the weights of another run.

The new run inherits the modality, its options except those that describe the data (``Modality.of_data``), the
configuration, and the averaged weights.  It does not inherit mean and scale, which are measured on the new data because
a model works on data of unit variance; the optimizer state; and settings for one machine (precision, threads).  The
learning rate is a quarter, and the warm-up half, of the source's.

Classes are matched by name.  A class that is new to the source starts from the row for "not given", so the network
initially generates the same samples as without a class; if the source never hid labels, it starts from the mean of all
classes.
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
"""Training settings that depend on the machine and are not inherited."""


def inherited(source: Run, options: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run that starts from ``source``, before any overrides, as plain values.

    ``options``: those given for the new run; if ``data`` is among them, options that describe the old data are dropped.
    """
    theirs = source.config.model_dump(mode="json")
    kind = registry.modality_class(source.config.modality)
    if "data" in options:
        theirs["options"] = {key: value for key, value in theirs["options"].items() if key not in kind.of_data}
    own = merged(defaults(source.config.modality), registry.load(source.config.modality, theirs["options"]).recipe())
    training = theirs["training"]
    training |= {key: own["training"][key] for key in MACHINE}
    training |= {"lr": RATE * training["lr"], "warmup": round(WARMUP * training["warmup"])}
    # the new run must set its own length
    training |= {"steps": None, "minutes": None}
    return theirs


def begun(source: Run, config: Config, denoiser: NetworkDenoiser, data: Data) -> Start:
    """Initial weights for ``denoiser``, a network for ``data``, from the weights of ``source``; changes neither.

    Raises ValueError, naming the difference, if the networks or their predictions differ.
    """
    if config.prediction != source.config.prediction:
        raise ValueError(
            f"the network of {source.path.name} predicts {source.config.prediction}, not {config.prediction}"
        )
    checkpoint, theirs, ours = source.checkpoint(), source.denoiser(), denoiser.state_dict()
    weights = dict(theirs.state_dict())
    hides = source.config.training.condition_dropout > 0
    new = [name for name in data.classes if name not in source.data.classes]
    for label in _labels(theirs, len(source.data.classes)) | _labels(denoiser, len(data.classes)):
        table = weights.pop(label, None)
        if table is None:
            # the source has no classes: rows of zeros leave the network unchanged
            ours[label] = ours[label].new_zeros(ours[label].shape)
        elif label in ours:
            ours[label] = _rows(table, source.data.classes, data.classes, hides)
        else:
            _fold(weights, label, table[0] if hides else table[1:].mean(dim=0))
        if label in ours:
            weights[label] = ours[label]
    # the layers of a flow map that read its second level: zero at first, so the source is a valid start
    weights |= {key: value for key, value in ours.items() if ".target." in key and key not in weights}
    _check(source.path.name, weights, ours)
    part = "best" if "best" in checkpoint.parts else "ema"
    digest = sha256(checkpoint.path / f"{part}.safetensors")
    return Start(weights, {"name": source.path.name, "step": checkpoint.step, "sha256": digest, "new": new})


def _labels(model: NetworkDenoiser, classes: int) -> set[str]:
    """Names of the class tables of a network: embeddings ``label`` with a row per class and one for no class."""
    from torch import nn

    return {
        f"{name}.weight"
        for name, part in model.named_modules()
        if isinstance(part, nn.Embedding) and name.endswith(".label") and part.num_embeddings == classes + 1
    }


def _rows(table: Tensor, old: tuple[str, ...], new: tuple[str, ...], hides: bool) -> Tensor:
    """Table for the classes ``new``, from that of ``old`` (1 + len(old), width), whose row 0 is for no class."""
    import torch

    unknown = table[0] if hides else table[1:].mean(dim=0)
    known = {name: table[1 + i] for i, name in enumerate(old)}
    return torch.stack([table[0], *(known.get(name, unknown) for name in new)])


def _fold(weights: dict[str, Tensor], label: str, row: Tensor) -> None:
    """Add the row for no class to the bias of the LevelEmbedding, for an equivalent network without classes."""
    bias = label.removesuffix("label.weight") + "mlp.2.bias"
    if bias not in weights or weights[bias].shape != row.shape:
        raise ValueError(f"the network has classes ({label}), but the data has none: use labeled data")
    weights[bias] = weights[bias] + row


def _check(name: str, weights: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
    for key in [*weights, *ours]:
        there, here = (tuple(part[key].shape) if key in part else None for part in (weights, ours))
        if there != here:
            told = [f"is {shape}" if shape is not None else "does not exist" for shape in (there, here)]
            raise ValueError(
                f"the network differs from that of {name}: {key} {told[0]} there and {told[1]} here; "
                "remove the options that change the network"
            )
