"""Flow maps: functions that walk from any noise level to any other in one call.

walk.py          FlowMap: the protocol, and walks through several levels
exact.py         the exact map of a denoiser, by integration, and of a Gaussian in closed form
identities.py    the equations that an exact map satisfies, as residuals
objectives.py    losses that train a map, each named after its paper
"""

from ptdiff.flow_map.walk import FlowMap, arrive, walk

__all__ = ["FlowMap", "arrive", "walk"]
