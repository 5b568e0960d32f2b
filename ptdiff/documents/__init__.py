"""Files: reading of untrusted ones, with limits that apply before anything is expanded, and atomic writing.

files.py    regular files up to a size, as bytes and text
jsons.py    JSON, and JSON lines
yamls.py    YAML, without aliases and tags
cells.py    texts in the cells of .csv files
atomic.py   files written next to their target and renamed
"""
