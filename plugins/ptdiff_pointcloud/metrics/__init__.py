"""Metrics of clouds: distances, matchings, protocols of papers, quality of one cloud."""
