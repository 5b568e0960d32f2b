"""Readers, converters and generators of data sets for ptdiff, usable without ptdiff itself."""
