"""Certificates: each part of the core is measured against an exact reference, within a declared tolerance.

suite.py          all certificates
certificate.py    Certificate: a measured figure beside the declared one
choices.py        the entries and options that are certified
problem.py        problems with known answers
orders.py         orders of convergence
ladder.py         slopes over the number of steps
moments.py        exact moments of a table on Gaussian data
biased.py         the variance of solvers without an order
end_to_end.py     the whole way in float32
adaptive.py       adaptive solvers
objectives.py     objectives
likelihoods.py    likelihoods
flow_maps.py      flow maps
overhead.py       the time a solver adds to a call
side_by_side.py   many tables at once
figures.py        errors for a number of calls, to choose a solver
agreement.py      the same walk by ptdiff and by other libraries
counterparts.py   the samplers of other libraries that match ours
"""

from ptdiff.certify.certificate import Certificate

__all__ = ["Certificate"]
