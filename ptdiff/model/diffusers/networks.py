"""Networks of diffusers as backbones of ptdiff, and denoisers of ptdiff as networks for pipelines of diffusers."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ptdiff.denoiser.convert import convert
from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition
from ptdiff.model.diffusers.configurations import PREDICTIONS
from ptdiff.process import Chain, Level


class UNetBackbone(nn.Module):
    """A U-Net of diffusers as a backbone, for example for :func:`ptdiff.train` on tensors.

    ``unet``: a UNet2DModel or another module with ``unet(x, timestep, class_labels) -> output.sample``; with classes it
    needs ``num_class_embeds`` of one more than there are, of which the last means "no class".
    ``scale``: of the timestep: the angle in [0, pi/2] becomes a timestep in [0, ``scale``].
    """

    def __init__(self, unet: nn.Module, scale: float = 1000.0) -> None:
        super().__init__()
        self.unet, self.scale = unet, scale
        embedded: Any = getattr(getattr(unet, "config", None), "num_class_embeds", None)
        self.classes = 0 if embedded is None else int(embedded) - 1

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, channels, height, width) and angle (b,) to y of the shape of x."""
        timestep = angle * (self.scale / (math.pi / 2))
        told = {}
        if self.classes:
            label = cond.get("label", torch.full((x.shape[0],), -1, device=x.device))
            told["class_labels"] = torch.where(label < 0, self.classes, label)
        y: Tensor = self.unet(x, timestep, **told).sample
        return y


class PipelineUNet(nn.Module):
    """A denoiser as the U-Net of a pipeline of diffusers, such as DDIMPipeline(unet=…, scheduler=…).

    The pipeline must have a scheduler with the betas of ``chain`` and the same ``prediction_type``.
    ``denoiser``: any denoiser; x_0 is in model units, of unit variance.
    ``shape``: (channels, height, width) of a sample.
    ``chain``: the process of the timesteps.  ``prediction_type``: of the output, by its name in diffusers.
    ``label``: the class of all samples, for denoisers with classes; -1 for none.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        shape: tuple[int, int, int],
        chain: Chain | None = None,
        prediction_type: str = "epsilon",
        label: int = -1,
    ) -> None:
        super().__init__()
        self.denoiser, self.chain = denoiser, Chain() if chain is None else chain
        self.prediction, self.label = PREDICTIONS[prediction_type], label
        channels, height, width = shape
        self.config = SimpleNamespace(in_channels=channels, sample_size=(height, width))

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Of the network."""
        parameters = self.parameters() if isinstance(self.denoiser, nn.Module) else iter(())
        return next((value.device for value in parameters), torch.device("cpu"))

    def forward(
        self, sample: Tensor, timestep: Tensor | float, class_labels: Tensor | None = None, return_dict: bool = True
    ) -> Any:
        """The prediction at ``sample`` (b, c, h, w), alpha^2 + sigma^2 = 1, and ``timestep``, as ``output.sample``."""
        index = torch.as_tensor(timestep, dtype=torch.float64, device=sample.device)
        level = self.chain.level(index / (self.chain.steps - 1))
        host = Level(level.alpha.to(sample.dtype), level.sigma.to(sample.dtype))
        labels = torch.full((len(sample),), self.label, device=sample.device) if class_labels is None else class_labels
        x0 = self.denoiser(sample, host, {"label": labels})
        y = convert(x0, sample, host, "x0", self.prediction)
        return SimpleNamespace(sample=y) if return_dict else (y,)
