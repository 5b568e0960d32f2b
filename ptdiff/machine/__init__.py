"""The machine: its devices, its speed and its system libraries.

host.py        devices, cores, memory, random generators
yardstick.py   the machine's present speed, recorded with every benchmark
engines.py     where independent pieces of work run: here, in processes, on Ray
timing.py      the fastest of several ways to do the same work
libraries.py   missing system libraries and the packages that contain them
"""
