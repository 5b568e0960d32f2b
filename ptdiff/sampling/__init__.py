"""Sampling: noise in, samples in world units out.

walk.py           Plan: process, solver, grid, guidance; the loop over states
trial.py          threads and precision, measured
editing.py        variations, interpolation, completion
optimal_grid.py   time grids fitted to a model
"""
