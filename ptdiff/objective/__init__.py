"""Objectives: what a network is trained to minimize.

loss.py          the denoising loss and its norms
weighting.py     weightings over noise levels, stated for the error of x0
factors.py       the form that all of them have
coupling.py      pairs of noise and data by optimal transport
consistency.py   consistency training
corruption.py    noise levels, noise and conditions of a batch
"""
