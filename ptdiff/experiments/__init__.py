"""Experiments with several runs: sweeps and comparisons.

axes.py           the settings that vary: lists of values and ranges
sweep.py          grid and random search over a configuration
optuna.py         search with Optuna
compare_runs.py   configurations, losses and scores of several runs
loss_curves.py    training and validation losses as one image
scores.py         the recorded scores of a run
"""
