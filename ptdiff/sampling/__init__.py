"""Sampling: from noise to samples in world units.

sampler.py        Plan: process, solver, grid, guidance; the sampling loop
options.py        a Plan from names, mappings and objects
batches.py        samples in batches, by their ids
samples.py        Samples: save, render, mesh
files.py          reading and writing sample files
formats.py        file formats of single samples, with those of plugins
frame.py          the units of a user's file
meshes.py         surfaces of samples, and mesh files
pictures.py       images, animations and pages of samples
autotune.py       the fastest threads and precision, by measurement
editing.py        variations, interpolation, completion
optimal_grid.py   time grids fitted to a model
"""
