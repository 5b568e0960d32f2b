"""Readers, converters and generators of data sets for ptdiff, usable without ptdiff itself.

formats/     readers of one file
clouds/      folders of clouds
images/      sets and folders of images
points/      points in the plane, tables
shapes/      procedural shapes
cache.py     folders that were read before
directory_scan.py   the files below a folder
writing.py   files written whole or not at all
holdout.py   validation samples where a set names none
errors.py    FormatError and DataError
"""
