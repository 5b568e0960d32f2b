"""Networks of clouds: set transformers, PointNet, PVCNN, DiT, and their parts."""
