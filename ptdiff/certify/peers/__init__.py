"""Other libraries' samplers behind one signature, imported when they are run.

    run(denoiser, x, levels, noise) -> states of x after the steps, the last one at the last level

denoiser, x and levels are ptdiff's; noise() returns the numbers of the next draw.  A state that a library does not show
is left out; the end is always there.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.process import Level

Noise = Callable[[], Tensor]
Sampler = Callable[[Denoiser, Tensor, Level, Noise], list[Tensor]]
