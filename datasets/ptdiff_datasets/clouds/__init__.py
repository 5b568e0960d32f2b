"""Point clouds: folders of files as one data set.

cloud_set.py   CloudSet: clouds in memory, or memory-mapped
folder.py      a folder of meshes or clouds as a CloudSet, cached and split
layout.py      classes and splits by the layout of a folder
files.py       the files that are shapes of their own
lists.py       lists of splits and class names
splits.py      splits by a hash of the path
synsets.py     the classes of ShapeNet by name
duplicates.py   duplicate shapes
reading.py     the shapes of one file as dense clouds
importing.py   import of a folder into a store
shards.py      import by several workers
store.py       a memory-mapped store with checksums
store_format.py   its files, and an open store
store_writing.py  writing it shape by shape
earlier_store.py  stores of format 1
names.py       packed sequences of strings
first_seen.py  the first of equal files, kept on disk
checking.py    ptdiff data check
screen.py      reports that fit one screen
summary.py     a summary of what was read
address.py     stable hashes of shape ids, for random numbers
"""
