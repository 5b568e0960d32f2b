"""Readers and writers of single files: a point cloud or a mesh in, a Cloud out.

catalog.py      suffix to reader and writer
cloud.py        Cloud: points with normals and colors
ply.py          PLY
ply_header.py   its header
pcd.py          PCD
lzf.py          its compression
las.py          LAS and LAZ
text.py         plain text
tables.py       tables of text, read by column
dialect.py      their encoding, separator and header
numerals.py     their numbers
arrays.py       NumPy arrays
labels.py       class labels beside arrays
hdf5.py         HDF5
meshes.py       meshes, and points on them
headers.py      claims of mesh headers, checked
containers.py   files of many clouds
"""
