"""A trained run in memory, and what is made with it.

loaded.py     load, Model: sample, states, denoiser, likelihood, evaluate
"""

from ptdiff.model.loaded import Model, load

__all__ = ["Model", "load"]
