"""The names that options of the networks take."""

from __future__ import annotations

from typing import Literal

Network = Literal["unet", "dit", "basic"]
Size = Literal["tiny", "small", "base", "large"]
Resample = Literal["strided", "unshuffle", "bilinear", "transpose", "block", "bilinear-block"]
Encoder = Literal["standard", "skip", "residual"]
Decoder = Literal["standard", "skip"]
Norm = Literal["group", "rms", "instance", "none"]
Activation = Literal["silu", "gelu", "mish", "relu", "leaky-relu", "elu", "softplus", "tanh", "sigmoid", "none"]
