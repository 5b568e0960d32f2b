"""Readers of one file: a point cloud or a mesh in, a Cloud out.

catalog.py   suffix to reader
cloud.py     Cloud: points with normals and colours
"""
