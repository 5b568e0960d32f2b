"""Reading of untrusted files, with limits that apply before anything is expanded.

files.py   regular files up to a size, as bytes and text
jsons.py   JSON, and JSON lines
yamls.py   YAML, without aliases and tags
cells.py   texts in the cells of .csv files
"""
