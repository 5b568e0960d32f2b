"""Likelihood of data under a trained model.

flow.py         log-likelihood by the probability-flow ODE
chain.py        variational bound of a discrete chain
divergence.py   exact and estimated divergences
bits.py         bits per dimension, dequantization
world.py        log-likelihood in world units, in batches, with means and errors
"""
