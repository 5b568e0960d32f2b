"""Operations on batches of point clouds, in plain torch: no compiler, the same on CPU and GPU.

neighbors.py       nearest points
sampling.py        farthest point sampling
interpolation.py   features carried from some points to others
voxels.py          points to a grid and back
normals.py         normals of a cloud
distances.py       the Chamfer distance, differentiable
transport.py       the earth mover's distance

x: (b, n, d), b clouds of n points each; every operation treats the clouds of a batch one by one.
"""

from ptdiff_pointcloud.ops.distances import chamfer
from ptdiff_pointcloud.ops.interpolation import three_interpolate
from ptdiff_pointcloud.ops.neighbors import ball_query, gather, knn
from ptdiff_pointcloud.ops.normals import estimate_normals
from ptdiff_pointcloud.ops.sampling import fps
from ptdiff_pointcloud.ops.transport import EMDS, emd, sinkhorn, sinkhorn_plan
from ptdiff_pointcloud.ops.voxels import devoxelize, voxelize

__all__ = [
    "EMDS",
    "ball_query",
    "chamfer",
    "devoxelize",
    "emd",
    "estimate_normals",
    "fps",
    "gather",
    "knn",
    "sinkhorn",
    "sinkhorn_plan",
    "three_interpolate",
    "voxelize",
]
