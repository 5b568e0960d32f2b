"""Images: sets by name, folders of pictures, stores.

sets.py        ImageSet, and sets in the formats of their publishers
by_name.py     sets by name
file.py        one picture file
folder.py      a folder of pictures
store.py       a memory-mapped store
checking.py    ptdiff data check, of pictures
cifar.py, idx.py, gif.py, pickled.py   file formats
downloads.py   archives that are fetched once, with checksums
moving.py      films made of images
"""
