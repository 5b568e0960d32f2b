"""Samplers of other libraries and their counterparts in ptdiff."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ptdiff.certify.agreement import Pair, Space
from ptdiff.certify.peers import Sampler, azula, diffusers, k_diffusion
from ptdiff.certify.peers.loading import installed as found

PACKAGES = {"k-diffusion": k_diffusion.PACKAGE, "diffusers": diffusers.PACKAGE, "azula": azula.PACKAGE}


def installed(pairs: Iterable[Pair]) -> list[Pair]:
    """Those of ``pairs`` whose library is installed."""
    return [pair for pair in pairs if found(PACKAGES[pair.peer])]


def missing() -> list[str]:
    """Names of the libraries that are not installed."""
    return [peer for peer, package in PACKAGES.items() if not found(package)]


def _k(name: str, ours: str, theirs: dict[str, Any] | None = None, clean: bool = True, **options: Any) -> Pair:
    given = theirs or {}
    shown = " ".join([f"sample_{name}", *(f"{k}={v}" for k, v in given.items())])
    return Pair("k-diffusion", shown, k_diffusion.sampler(name, **given), {"name": ours, **options}, clean=clean)


def _a(name: str, ours: str, space: Space = "preserving", theirs: dict[str, Any] | None = None, **options: Any) -> Pair:
    given = theirs or {}
    shown = " ".join([f"{name}Sampler", *(f"{k}={v}" for k, v in given.items())])
    return Pair("azula", shown, azula.sampler(name, **given), {"name": ours, **options}, space)


def _d(shown: str, run: Sampler, ours: str, space: Space = "preserving", clean: bool = True, **options: Any) -> Pair:
    return Pair("diffusers", shown, run, {"name": ours, **options}, space, clean)


_HIGH: dict[str, Any] = {"lower_order_final": False, "final_sigmas_type": "sigma_min"}
_LOW: dict[str, Any] = {"start": "low"}
_ALL: dict[str, Any] = {"low": 0.0, "high": 1000.0}
_sigma, _chain, _exploding = diffusers.by_sigma, diffusers.by_chain, diffusers.exploding


def _multistep(order: int, ours: str, algorithm: str, solver: str = "midpoint", /, **options: Any) -> Pair:
    run = _sigma("DPMSolverMultistep", solver_order=order, algorithm_type=algorithm, solver_type=solver, **_HIGH)
    return _d(f"DPMSolverMultistepScheduler {algorithm} {solver} order={order}", run, ours, clean=False, **options)


def _unipc(order: int, variant: str, estimate: str = "x0") -> Pair:
    run = _sigma("UniPCMultistep", solver_order=order, solver_type=variant, predict_x0=estimate == "x0", **_HIGH)
    given: dict[str, Any] = {"points": order, "variant": variant, "estimate": estimate, "start": "low"}
    return _d(f"UniPCMultistepScheduler {variant} {estimate} order={order}", run, "unipc-2", clean=False, **given)


def _deis(order: int) -> Pair:
    run = _sigma("DEISMultistep", solver_order=order, lower_order_final=False)
    given: dict[str, Any] = {"points": order, "variable": "log-rho", "start": "low"}
    return _d(f"DEISMultistepScheduler order={order}", run, "deis", clean=False, **given)


PAIRS = [
    _k("euler", "euler", chart="noise"),
    _k("heun", "heun", chart="noise"),
    _k("dpm_2", "dpm-2"),
    *(_k("lms", "ab", {"order": n}, clean=False, points=n, chart="noise", **_LOW) for n in (2, 3, 4)),
    _k("dpmpp_2s_ancestral", "dpm++2s", {"eta": 0.0}),
    _k("dpmpp_2m", "dpm++2m"),
    _k("euler_ancestral", "ddpm"),
    _k("euler_ancestral", "euler-ancestral", {"eta": 0.5}, eta=0.5),
    _k("dpm_2_ancestral", "dpm-2-ancestral"),
    _k("dpmpp_2s_ancestral", "dpm++2s-ancestral"),
    _k("dpmpp_sde", "dpm++sde"),
    _k("dpmpp_2m_sde", "dpm++2m-sde"),
    _k("dpmpp_2m_sde", "dpm++2m-sde", {"solver_type": "heun"}, kind="heun"),
    _k("dpmpp_3m_sde", "dpm++3m-sde"),
    *(
        _k(m, "churn", {"s_churn": 2.0}, base={"name": m, "chart": "noise"}, amount=2.0, **_ALL)
        for m in ("euler", "heun")
    ),
    _a("Euler", "euler", chart="flow"),
    _a("Heun", "heun", chart="noise"),
    _a("DDIM", "ddim", theirs={"eta": 0.25}, eta=0.5),
    _a("DDPM", "ddpm"),
    *(_a("zAB", "ab", theirs={"order": n}, points=n, chart="noise", **_LOW) for n in (2, 3, 4)),
    *(_a("vAB", "ab", "flow", theirs={"order": n}, points=n, chart="flow", **_LOW) for n in (2, 3, 4)),
    *(_a("zEAB", "exp-ab", theirs={"order": n}, points=n, estimate="eps", **_LOW) for n in (2, 3, 4)),
    *(_a("xEAB", "exp-ab", theirs={"order": n}, points=n, **_LOW) for n in (2, 3, 4)),
    *(
        _d(f"DDIMScheduler eta={eta}", _chain("DDIM", clip_sample=False, eta=eta), "ddim", eta=eta)
        for eta in (0.0, 0.5)
    ),
    _d("DDPMScheduler fixed_small", _chain("DDPM", clip_sample=False), "ddpm"),
    _d(
        "DDPMScheduler fixed_large",
        _chain("DDPM", clip_sample=False, variance_type="fixed_large"),
        "ddpm",
        variance="upper",
    ),
    _d("PNDMScheduler skip_prk_steps", _chain("PNDM", skip_prk_steps=True), "pndm", clean=False, begin="plms"),
    _d("IPNDMScheduler", diffusers.pseudo, "ipndm", clean=False, **_LOW),
    _multistep(2, "dpm++2m", "dpmsolver++"),
    _multistep(3, "dpm++3m", "dpmsolver++"),
    _multistep(2, "exp-ab", "dpmsolver++", "heun", points=2, **_LOW),
    _multistep(2, "dpm-solver-2m", "dpmsolver"),
    _multistep(3, "dpm-solver-3m", "dpmsolver"),
    _multistep(2, "dpm++2m-sde", "sde-dpmsolver++"),
    _multistep(2, "dpm++2m-sde", "sde-dpmsolver++", "heun", kind="heun"),
    *(_unipc(order, variant) for order in (1, 2, 3) for variant in ("bh1", "bh2")),
    _unipc(2, "bh2", "eps"),
    *(_deis(order) for order in (2, 3)),
    _d("EulerDiscreteScheduler", _exploding("EulerDiscrete"), "euler", "exploding", chart="noise"),
    _d("EulerAncestralDiscreteScheduler", _exploding("EulerAncestralDiscrete"), "euler-ancestral", "exploding"),
    _d("HeunDiscreteScheduler", _exploding("HeunDiscrete"), "heun", "exploding", chart="noise"),
    _d("KDPM2DiscreteScheduler", _exploding("KDPM2Discrete"), "dpm-2", "exploding"),
    _d("LMSDiscreteScheduler", _exploding("LMSDiscrete"), "ab", "exploding", False, points=4, chart="noise", **_LOW),
    _d("FlowMatchEulerDiscreteScheduler", _exploding("FlowMatchEulerDiscrete"), "euler", "flow", chart="flow"),
    _d("FlowMatchHeunDiscreteScheduler", _exploding("FlowMatchHeunDiscrete"), "heun", "flow", chart="flow"),
]
