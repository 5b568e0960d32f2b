"""Plugins: what installed distributions add to ptdiff, through entry points in groups ``ptdiff.<door>.v<contract>``.

doors.py       the doors, each with the version of its contract
metadata.py    reads what distributions declare; imports nothing
claims.py      who may use a name: built-ins first, no two plugins of one name, PTDIFF_PLUGINS
loading.py     imports the object behind a name that is used, and checks it
trial.py       tries code in processes of its own, with a time limit
"""
