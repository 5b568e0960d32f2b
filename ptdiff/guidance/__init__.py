"""Guidance: rules that strengthen a denoiser, each a map Denoiser -> Denoiser.

guided.py       Guidance and Guided
rules.py        CFG, APG and others; GUIDANCE, by name
scheduled.py    scales that depend on the level; CFG++
classifier.py   classifier guidance
threshold.py    thresholds; THRESHOLDS, by name
"""

from ptdiff.guidance.classifier import Classifier, ClassifierGuided
from ptdiff.guidance.guided import Guidance, Guided
from ptdiff.guidance.rules import APG, CFG, GUIDANCE, TCFG, CFGZero, Mambo, ZeroInit
from ptdiff.guidance.scheduled import Scheduled, plus_plus

__all__ = [
    "APG",
    "CFG",
    "GUIDANCE",
    "TCFG",
    "CFGZero",
    "Classifier",
    "ClassifierGuided",
    "Guidance",
    "Guided",
    "Mambo",
    "Scheduled",
    "ZeroInit",
    "plus_plus",
]
