"""Metrics of images: Frechet and kernel distances of features, precision and recall."""
