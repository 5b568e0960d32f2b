"""Inverse problems: linear operators, observations, and denoisers conditioned on them."""

from ptdiff.inverse.methods import DPS, METHODS, MMPS, TMPD, Method, Observed, PiGDM, Replacement
from ptdiff.inverse.operators import Along, Average, Linear, Mask, Observation, Operator, Scaled
from ptdiff.inverse.particles import particles, pick

__all__ = [
    "DPS",
    "METHODS",
    "MMPS",
    "TMPD",
    "Along",
    "Average",
    "Linear",
    "Mask",
    "Method",
    "Observation",
    "Observed",
    "Operator",
    "PiGDM",
    "Replacement",
    "Scaled",
    "particles",
    "pick",
]
