"""Backbones that plugins bring for the modalities that are there: another network for the same data.

``backbone`` in config.yaml names one, with its options; without it, a modality builds its own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ptdiff.choices import Catalog, choose
from ptdiff.modality.contract import Modality
from ptdiff.plugins.doors import Door

if TYPE_CHECKING:
    from torch import nn

    from ptdiff.modality.data import Data


class Backbone(Protocol):
    """The options of a network, a frozen dataclass."""

    def build(self, data: Data) -> nn.Module:
        """Build a network as :meth:`ptdiff.modality.contract.Modality.backbone` does; ValueError for other data."""
        ...


BACKBONES: Catalog[type[Backbone]] = Catalog("backbone", {}, Door("backbones", "backbone", methods=("build",)))
"""Backbones by name; all of them are plugins."""


def with_backbone(kind: Modality, choice: Mapping[str, Any] | None) -> Modality:
    """The modality with the network of a choice from BACKBONES; unchanged for None.

    Raises UnknownName for an unknown name or option, ValueError for a wrong value, and PluginError for a plugin that
    cannot be used.
    """
    if choice is None:
        return kind
    made = copy.copy(kind)
    # modalities are frozen, and everything but the network stays as it is
    object.__setattr__(made, "backbone", choose("backbone", BACKBONES, choice).build)
    return made
