"""Likelihood of data under a trained model.

flow.py         by the probability-flow ODE
chain.py        the variational bound of a discrete chain
divergence.py   exact and estimated divergences
bits.py         bits per dimension, dequantization
world.py        of data in world units, a batch at a time, with means and their errors
"""
