"""Images: sets by name, folders of image files, stores.

sets.py        ImageSet, and sets in the formats of their authors
by_name.py     sets by name, or whatever a folder holds
file.py        one image or video file
folder.py      layouts of image folders
store.py       a memory-mapped store of images read before
checking.py    ptdiff data check, for images
cifar.py, idx.py, gif.py, pickled.py   file formats
downloads.py   published sets, downloaded once and verified by checksums
moving.py      videos of moving stills
"""
