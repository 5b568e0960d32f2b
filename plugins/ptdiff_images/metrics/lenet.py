"""A small convolutional classifier after LeNet-5 (LeCun et al. 1998), whose features compare images.

    x -> (convolution 5 x 5, ReLU, pool 2 x 2) until at most 8 pixels per side are left -> 128 -> 84 features -> classes

ReLU and max pooling replace LeNet's tanh and average pooling, with several times its channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 84
_SMALLEST, _CHANNELS = 8, (16, 32, 64)


class LeNet(nn.Module):
    """Logits of the classes of images (b, *shape) in world units, shape (colors, height, width).

    mean, scale: map world units to mean zero and unit variance; ``mean`` broadcasts against an image. ValueError for
    images smaller than 4 x 4.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, int, int], classes: int, mean: Tensor, scale: float) -> None:
        super().__init__()
        colors, height, width = shape
        if min(height, width) < 4:
            raise ValueError(f"a classifier needs images of at least 4 x 4 pixels, not {height} x {width}")
        # a copy, not an expanded view of one value per color: files and clones need memory of their own
        self.register_buffer("mean", mean.float().clone(memory_format=torch.contiguous_format))
        self.register_buffer("scale", torch.tensor(scale))
        layers: list[nn.Module] = []
        while not layers or max(height, width) > _SMALLEST:
            channels = _CHANNELS[min(len(layers) // 3, len(_CHANNELS) - 1)]
            layers += [nn.Conv2d(colors, channels, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            colors, height, width = channels, -(-height // 2), -(-width // 2)
        self.seen = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(colors * height * width, 128)
        self.last = nn.Linear(128, FEATURES)
        self.read = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate layer (b, FEATURES), non-negative, for images x (b, *shape)."""
        h = functional.relu(self.hidden(self.seen((x - self.mean) / self.scale)))
        return functional.relu(self.last(h))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (b, classes) for images x (b, *shape)."""
        logits: Tensor = self.read(self.features(x))
        return logits
