"""Runs: a trained model on disk, with all that is needed to use it again.

folder.py       Run: the folder, its parts, its weights
config.py       config.yaml: sections, defaults, validation
checkpoint.py   checkpoints, written whole or not at all
posthoc.py      averages of the weights of any width, after the fact
recipes.py      configurations that come with a modality
models.py       trained runs that are installed with ptdiff
start.py        runs that begin with the weights of another
lock.py         one process a run
"""
