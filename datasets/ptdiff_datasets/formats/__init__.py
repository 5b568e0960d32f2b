"""Readers and writers of single files: a point cloud or a mesh in, a Cloud out.

catalog.py      suffix to reader and writer
cloud.py        Cloud: points with normals and colors
ply.py          PLY: clouds and surfaces
ply_header.py   its header
ply_records.py  its records: numbers and lists, text and binary
pcd.py          PCD
lzf.py          its compression
las.py          LAS and LAZ
e57.py          E57
text.py         plain text
tables.py       tables of text, read by column
dialect.py      their encoding, separator and header
numerals.py     their numbers
arrays.py       NumPy arrays
labels.py       class labels beside arrays
hdf5.py         HDF5
meshes.py       meshes, and points on them
geometry.py     Geometry: what a mesh file holds
polygons.py     polygons cut into triangles
obj.py off.py stl.py  OBJ, OFF, STL
gltf.py         glTF
gltf_nodes.py   its nodes and instances
gltf_accessors.py  its numbers
gltf_draco.py   its primitives packed with Draco
headers.py      claims of mesh files, compared with what was read
containers.py   files of many clouds
"""
