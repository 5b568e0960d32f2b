"""Sampling: noise in, samples in world units out.

sampler.py        Plan: process, solver, grid, guidance; the loop over states
options.py        names, mappings and objects as a Plan
batches.py        samples a batch at a time, by their ids
samples.py        Samples: save, render, mesh
files.py          the reader and the writer of sample files
frame.py          samples in the units of a user's file
meshes.py         surfaces of samples, and files of them
pictures.py       images, animations and pages of samples
autotune.py       threads and precision, measured
editing.py        variations, interpolation, completion
optimal_grid.py   time grids fitted to a model
"""
