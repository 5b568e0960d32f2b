"""Guidance: rules that strengthen a denoiser, each Denoiser -> Denoiser."""

from ptdiff.denoiser import Denoiser
from ptdiff.guidance.classifier import Classifier, ClassifierGuided
from ptdiff.guidance.guided import Guidance, Guided
from ptdiff.guidance.rules import APG, CFG, GUIDANCE, TCFG, CFGZero, Mambo, ZeroInit
from ptdiff.guidance.scheduled import Scheduled, plus_plus


def ClassifierFree(denoiser: Denoiser, scale: float) -> Denoiser:  # noqa: N802
    """Classifier-free guidance with nothing but a scale: ``CFG(scale).guide(denoiser)``."""
    return CFG(scale).guide(denoiser)


__all__ = [
    "APG",
    "CFG",
    "GUIDANCE",
    "TCFG",
    "CFGZero",
    "Classifier",
    "ClassifierFree",
    "ClassifierGuided",
    "Guidance",
    "Guided",
    "Mambo",
    "Scheduled",
    "ZeroInit",
    "plus_plus",
]
