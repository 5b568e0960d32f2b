"""Metrics of point clouds: distances, matchings, protocols of papers, quality of single clouds.

protocols.py      protocols by name: how two sets are compared
set_metrics.py    1-NNA, coverage, minimum matching distance
occupancy.py      Jensen-Shannon divergence of occupancy grids
quality.py        density-aware Chamfer distance and F-score
distances.py      distances between clouds by name
chamfer.py        Chamfer distances
emd.py            earth mover's distances
assignment.py     the best assignment of points
trees.py          nearest points by k-d trees
bounds.py         cheap lower bounds
matrix.py         matrices of distances, pruned and in threads
matrix_store.py   matrices on disk
tiles.py          matrices by several workers
"""
