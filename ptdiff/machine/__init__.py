"""The machine: its devices, its speed and its system libraries.

host.py        devices, cores, memory, random generators
yardstick.py   the machine's present speed, recorded with every benchmark
engines.py     where independent pieces of work run: here, in processes, on Ray
cost.py        the cost of work before it is done, here and elsewhere
flops.py       floating-point operations and operators of a computation
timing.py      the fastest of several ways to do the same work
libraries.py   missing system libraries and the packages that contain them
"""
