"""Runs: trained models on disk, with everything needed to use them again.

folder.py       Run: the folder, its parts, its weights
config.py       config.yaml: sections, defaults, validation
seal.py         the seal of config.yaml and data.json: damage and edits are noticed
checkpoint.py   checkpoints, verified and written atomically
posthoc.py      averages of the weights of any width, computed after training
recipes.py      configurations that come with a modality
models.py       trained models that are installed with a modality
fine_tuning.py  runs that start from the weights of another run
evaluations.py  evaluations in a run folder, and the one that stands for the run
exported.py     folders to share, unpacked into runs
hub.py          models on the Hugging Face Hub
links.py        no links inside a run
lock.py         one training process per run
"""
