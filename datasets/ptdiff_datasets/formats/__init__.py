"""Readers and writers of single files: a point cloud or a mesh in, a Cloud out.

catalog.py   readers and writers by suffix
cloud.py     Cloud: points with normals and colors
"""
