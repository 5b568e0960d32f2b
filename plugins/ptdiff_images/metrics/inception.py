"""Features of the Inception network that publications use, through torchmetrics (an extra).

torchmetrics takes network and weights from torch-fidelity, which downloads 92 MB at first use. The scores are the usual
ones except for the number of images: report it, and compare only with scores of as many.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ptdiff.machine import host
from ptdiff.modality import Progress, Unsupported

_BLOCK = 50
_NEEDED = "protocol inception needs the package torch-fidelity (pip install 'ptdiff[inception]') and its weights"


def inception(device: str = "cpu") -> Callable[[Tensor, Progress | None], Tensor]:
    """Return a function from images (n, 1 or 3, height, width) in [0, 1] to features (n, 2048), float64.

    device: name of a device, or auto. Unsupported if the package is missing or its weights cannot be downloaded.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    try:
        network = FrechetInceptionDistance(feature=2048).inception
    except ModuleNotFoundError as error:
        raise Unsupported(f"{_NEEDED}; protocol lenet needs neither") from error
    except OSError as error:
        raise Unsupported(f"{_NEEDED}, which cannot be downloaded ({error}); protocol lenet needs neither") from error
    where = host.device(device)
    network = network.to(where).eval()

    @torch.inference_mode()
    def features(images: Tensor, progress: Progress | None = None) -> Tensor:
        found: list[Tensor] = []
        for part in torch.split(images, _BLOCK):
            bytes_ = (part.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
            found.append(network(bytes_.to(where)).cpu().double())
            if progress is not None:
                progress(sum(map(len, found)), len(images))
        return torch.cat(found)

    return features
