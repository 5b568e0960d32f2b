"""Data for ptdiff: readers, converters and generators of its own, usable without ptdiff itself."""
