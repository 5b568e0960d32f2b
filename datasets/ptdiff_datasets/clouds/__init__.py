"""Point clouds: folders of files as one data set.

cloud_set.py   CloudSet: clouds in memory
folder.py      a folder of meshes or clouds, read, cached, split
layout.py      where classes and splits are in a folder
files.py       the files of a folder
lists.py       split lists in files
splits.py      splits by hash
synsets.py     the classes of ShapeNet by name
twins.py       clouds that are there twice
reading.py     files in parallel, bad ones skipped with a reason
store.py       a memory-mapped store with checksums
importing.py   ptdiff data import
checking.py    ptdiff data check
summary.py     what was read, in lines
address.py     one cloud in a file of many
"""
