"""Denoisers: estimates of E[x0 | x], given the noise level.

network.py             the Denoiser protocol, and networks as denoisers
convert.py             predictions of one kind as those of another
cost.py                calls of the network, counted
oracle.py              exact denoisers in closed form
posterior.py           covariances of x0 given x
embedding.py           the noise level as features
self_conditioning.py   networks that read their own last estimate
latent_code.py         networks that read a latent code
foreign.py             networks of other libraries
"""
