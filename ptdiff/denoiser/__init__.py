"""Denoisers: estimates of E[x0 | x], given the noise level.

network.py             the Denoiser protocol, and networks as denoisers
building.py            building of networks within the memory of the machine
convert.py             conversions between prediction types
cost.py                number of network evaluations
oracle.py              exact denoisers in closed form
posterior.py           mean and covariance of x0 given x
embedding.py           features of the noise level and the class
target_level.py        networks that read the level they walk to: flow maps
self_conditioning.py   networks that read their own last estimate
latent_code.py         networks that read a latent code
external.py            networks of other libraries
"""
