"""Metrics of images: Fréchet and kernel distances of features, precision and recall."""
