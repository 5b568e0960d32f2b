"""Metrics of point clouds: distances, matchings, protocols of papers, quality of single clouds."""
