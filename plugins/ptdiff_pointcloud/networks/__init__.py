"""Point cloud networks: set transformers, PointNet, PVCNN, DiT, and their parts."""
