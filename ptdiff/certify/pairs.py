"""Which samplers of other libraries do what which of ours do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ptdiff.certify.agreement import Pair, Space
from ptdiff.certify.peers import Sampler, azula, crowson, diffusers
from ptdiff.certify.peers.loading import installed as found

PACKAGES = {"k-diffusion": crowson.PACKAGE, "diffusers": diffusers.PACKAGE, "azula": azula.PACKAGE}


def installed(pairs: Iterable[Pair]) -> list[Pair]:
    """Those of ``pairs`` whose library can be found."""
    return [pair for pair in pairs if found(PACKAGES[pair.peer])]


def _k(name: str, ours: str, theirs: dict[str, Any] | None = None, clean: bool = True, **options: Any) -> Pair:
    given = theirs or {}
    shown = " ".join([f"sample_{name}", *(f"{k}={v}" for k, v in given.items())])
    return Pair("k-diffusion", shown, crowson.sampler(name, **given), {"name": ours, **options}, clean=clean)


def _a(name: str, ours: str, space: Space = "preserving", theirs: dict[str, Any] | None = None, **options: Any) -> Pair:
    given = theirs or {}
    shown = " ".join([f"{name}Sampler", *(f"{k}={v}" for k, v in given.items())])
    return Pair("azula", shown, azula.sampler(name, **given), {"name": ours, **options}, space)


def _d(shown: str, run: Sampler, ours: str, space: Space = "preserving", clean: bool = True, **options: Any) -> Pair:
    return Pair("diffusers", shown, run, {"name": ours, **options}, space, clean)


_CHAIN = {"clip_sample": False}
_HIGH = {"lower_order_final": False, "final_sigmas_type": "sigma_min"}
_sigma, _chain, _exploding = diffusers.by_sigma, diffusers.by_chain, diffusers.exploding

PAIRS = [
    _k("euler", "euler", chart="noise"),
    _k("heun", "heun", chart="noise"),
    _k("dpmpp_2m", "dpm++2m"),
    _k("euler_ancestral", "ddpm"),
    _a("Euler", "euler", chart="flow"),
    _a("Heun", "heun", chart="noise"),
    _a("DDIM", "ddim"),
    _a("DDPM", "ddpm"),
    _d("DDIMScheduler", _chain("DDIM", eta=0.0, **_CHAIN), "ddim"),
    _d("DDIMScheduler eta=0.5", _chain("DDIM", eta=0.5, **_CHAIN), "ddim", eta=0.5),
    _d("DDIMScheduler eta=1", _chain("DDIM", eta=1.0, **_CHAIN), "ddpm"),
    _d("DPMSolverMultistepScheduler order=2", _sigma("DPMSolverMultistep", solver_order=2, **_HIGH), "dpm++2m"),
    _d("EulerDiscreteScheduler", _exploding("EulerDiscrete"), "euler", "exploding", chart="noise"),
    _d("HeunDiscreteScheduler", _exploding("HeunDiscrete"), "heun", "exploding", chart="noise"),
    _d("FlowMatchEulerDiscreteScheduler", _exploding("FlowMatchEulerDiscrete"), "euler", "flow", chart="flow"),
    _d("FlowMatchHeunDiscreteScheduler", _exploding("FlowMatchHeunDiscrete"), "heun", "flow", chart="flow"),
]
