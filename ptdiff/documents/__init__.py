"""Reading of files that may come from strangers; bounded before anything is expanded.

files.py   regular files up to a size, as bytes and text
jsons.py   JSON, and JSON lines
yamls.py   YAML, without aliases and tags
"""
