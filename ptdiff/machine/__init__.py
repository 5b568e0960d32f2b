"""The computer at hand: what it has, how fast it is, what it lacks.

host.py        devices, cores, memory, the seed of torch
yardstick.py   the machine's speed, for the record of a benchmark
race.py        the fastest of several ways to do the same work
libraries.py   system libraries and the packages that bring them
"""
