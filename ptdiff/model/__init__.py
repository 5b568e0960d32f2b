"""A trained run in memory: sampling, editing, evaluation, likelihood.

arguments.py     plan, shape and labels, checked against a run
loaded.py        load, Model: sample, states, denoiser, likelihood, evaluate
sharded.py       many samples by several workers
estimate.py      the cost of sampling and evaluation before them
edits/           edit, complete, upsample and interpolate samples
best_grid.py     the best time grid for few steps
likelihoods.py   the likelihood of a split of the data
export.py        folders to share, and their upload
card.py          model cards
onnx.py          the network in ONNX
"""

from ptdiff.model.loaded import Model, load

__all__ = ["Model", "load"]
