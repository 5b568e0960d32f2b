"""A trained run in memory, and what is made with it.

arguments.py     plan, shape and labels, checked against a run
loaded.py        load, Model: sample, states, denoiser, likelihood, evaluate
edits.py         samples from samples: edit, complete, upsample, interpolate
best_grid.py     the time grid for few steps
likelihoods.py   the likelihood of a split of the data
"""

from ptdiff.model.loaded import Model, load

__all__ = ["Model", "load"]
