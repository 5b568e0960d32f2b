"""Samplers of other libraries behind one signature, imported when they are run.

azula.py       azula's samplers
k_diffusion.py   those of k-diffusion
diffusers.py   those of diffusers
loading.py     importing parts of libraries

    run(denoiser, x, levels, noise) -> states of x after the steps, the last one at the last level

``denoiser``, ``x`` and ``levels`` are ptdiff's; ``noise()`` returns the numbers of the next draw.  States that a
library does not expose are left out; the end is always present.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.process import Level

Noise = Callable[[], Tensor]
Sampler = Callable[[Denoiser, Tensor, Level, Noise], list[Tensor]]
