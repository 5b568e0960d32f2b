"""Processes: the forward process that turns data into noise.

level.py        noise levels and the base class of processes
continuous.py   processes in closed form
chain.py        the discrete chains of DDPM
shift.py        processes with a scaled noise-to-signal ratio
"""

from ptdiff.choices import Catalog
from ptdiff.plugins.doors import Door
from ptdiff.process.chain import Chain
from ptdiff.process.continuous import EDM, VE, Flow, SubVP, TrigFlow, VEGeometric, VPCosine, VPLinear
from ptdiff.process.level import Level, Process, check_reach, prior_error
from ptdiff.process.shift import Interpolated, Shifted, shift_for

__all__ = [
    "EDM",
    "PROCESSES",
    "VE",
    "Chain",
    "Flow",
    "Interpolated",
    "Level",
    "Process",
    "Shifted",
    "SubVP",
    "TrigFlow",
    "VEGeometric",
    "VPCosine",
    "VPLinear",
    "check_reach",
    "prior_error",
    "shift_for",
]

PROCESSES: Catalog[type[Process]] = Catalog(
    "process",
    {
        "flow": Flow,
        "vp": VPLinear,
        "sub-vp": SubVP,
        "vp-cosine": VPCosine,
        "trigflow": TrigFlow,
        "ve": VE,
        "ve-geometric": VEGeometric,
        "edm": EDM,
        "chain": Chain,
        "shifted": Shifted,
        "interpolated": Interpolated,
    },
    Door("processes", "process", Process),
)
