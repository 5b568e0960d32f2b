"""Objectives: what a network is trained to minimize.

loss.py          the denoising loss and its norms
weighting.py     weightings over noise levels, stated for the error of x0
factors.py       the common form of all weightings
coupling.py      pairings of noise and data, by optimal transport for example
consistency.py   consistency training
flow_map.py      training of flow maps
corruption.py    distributions of the training noise
"""
