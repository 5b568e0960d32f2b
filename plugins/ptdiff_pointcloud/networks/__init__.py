"""Point cloud networks: set transformers, PointNet, PVCNN, DiT, and their parts.

catalog.py           networks and sizes by name
set_transformer.py   a set transformer with inducing points
latent.py            a latent transformer
dit.py               a plain transformer over points
pointnet.py          PointNet++ and point transformer, from torch-geometric
pvcnn.py             points and voxels side by side
pointwise.py         every point on its own, given a code of the shape
coupling_flow.py     the learned prior of that code
skeleton.py          everything around the middle of a denoiser
tokens.py            clouds given as tokens
attention.py         multi-head attention
pooling.py           a cloud as one vector
layers.py            Fourier features and modulated norms
"""
