"""Image networks: U-Nets, transformers, and their parts."""
