"""Scheduler configurations of diffusers as plans of sampling, and back.

A configuration (``scheduler_config.json`` of a model, or ``scheduler.config``) fixes process, prediction, solver and
grid.  :func:`plan_of` visits exactly the levels that the scheduler would, and is refused for options that have no
counterpart, rather than ignoring them.

    T       num_train_timesteps; timestep k is index k of a :class:`ptdiff.process.Chain`
    sigma   the schedulers' noise-to-signal ratio sigma / alpha (Euler, Heun), or sigma of the flow (FlowMatch…)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ptdiff.choices import Catalog
from ptdiff.grid import Spacing
from ptdiff.grid.published import Given, Leading, Linspace, Trailing
from ptdiff.guidance.threshold import Dynamic, Static, Threshold
from ptdiff.process import Chain, Flow
from ptdiff.sampling.sampler import Plan
from ptdiff.solvers import Solver
from ptdiff.solvers.ancestral import EulerAncestral
from ptdiff.solvers.exponential import DDIM, DDPM
from ptdiff.solvers.multistep import DPMpp2M, DPMpp3M
from ptdiff.solvers.runge_kutta import Euler, Heun

PREDICTIONS = Catalog("prediction_type", {"epsilon": "eps", "v_prediction": "velocity", "sample": "x0"})
"""Names of predictions in diffusers, and ours."""

SCHEDULES = Catalog(
    "beta_schedule", {"linear": "linear", "scaled_linear": "scaled-linear", "squaredcos_cap_v2": "cosine"}
)
"""Names of beta schedules in diffusers, and ours."""

NEUTRAL: dict[str, set[Any]] = {
    "variance_type": {"fixed_small", "fixed_small_log", "fixed_large", None},
    "thresholding": {True, False},
    "interpolation_type": {"linear"},
    "timestep_type": {"discrete"},
    "final_sigmas_type": {"zero"},
    "time_shift_type": {"exponential"},
    "solver_type": {"midpoint"},
    "algorithm_type": {"dpmsolver++"},
    "lower_order_final": {True, False},
    "skip_prk_steps": {True, False},
    **{
        name: {False}
        for name in (
            "use_karras_sigmas",
            "use_exponential_sigmas",
            "use_beta_sigmas",
            "use_lu_lambdas",
            "use_flow_sigmas",
            "use_dynamic_shifting",
            "euler_at_final",
            "invert_sigmas",
            "stochastic_sampling",
        )
    },
    "sigma_min": {None},
    "sigma_max": {None},
    "shift_terminal": {None},
    "lambda_min_clipped": {-np.inf},
    "flow_shift": {1.0},
}
"""Values of options that a plan has or need not have; any other value is refused by name."""

SHORT = 15
"""Number of steps below which ``lower_order_final`` has an effect in diffusers."""

USED = {
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr"),
    *("prediction_type", "timestep_spacing", "steps_offset", "set_alpha_to_one", "shift", "solver_order"),
    *("clip_sample", "clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value"),
    # only read with use_dynamic_shifting, which is refused
    *("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len"),
}
"""Options that are read."""


@dataclass(frozen=True)
class _Scheduler:
    """A scheduler class: its solver, whether it walks ratios sigma / alpha, and its defaults that differ."""

    solver: Callable[[Mapping[str, Any]], Solver]
    ratios: bool = False
    spacing: str = "leading"
    clips: bool = False


def _multistep(config: Mapping[str, Any]) -> Solver:
    order, last = config.get("solver_order", 2), bool(config.get("lower_order_final", True))
    solvers: dict[Any, Callable[[], Solver]] = {
        1: DDIM,
        2: lambda: DPMpp2M(lower_order_final=last),
        3: lambda: DPMpp3M(lower_order_final=last),
    }
    if order not in solvers:
        raise ValueError(f"solver_order must be 1, 2 or 3, not {order!r}")
    return solvers[order]()


def _ddpm(config: Mapping[str, Any]) -> Solver:
    return DDPM("upper" if str(config.get("variance_type", "fixed_small")).startswith("fixed_large") else "lower")


SCHEDULERS: Catalog[_Scheduler] = Catalog(
    "scheduler",
    {
        "DDPMScheduler": _Scheduler(_ddpm, clips=True),
        "DDIMScheduler": _Scheduler(lambda config: DDIM(), clips=True),
        "DPMSolverMultistepScheduler": _Scheduler(_multistep, spacing="linspace"),
        "EulerDiscreteScheduler": _Scheduler(lambda config: Euler("noise"), ratios=True, spacing="linspace"),
        "HeunDiscreteScheduler": _Scheduler(lambda config: Heun("noise"), ratios=True, spacing="linspace"),
        "EulerAncestralDiscreteScheduler": _Scheduler(lambda c: EulerAncestral(), ratios=True, spacing="linspace"),
        "FlowMatchEulerDiscreteScheduler": _Scheduler(lambda config: Euler("flow")),
    },
)
"""Scheduler classes of diffusers that have a counterpart."""


def plan_of(config: Mapping[str, Any], steps: int) -> tuple[Plan, str]:
    """The plan of ``steps`` steps that a scheduler of diffusers follows, and the prediction of its network.

    ``config``: the contents of scheduler_config.json, or ``scheduler.config``; limits of clipping are in the units of
    the network's data.

    Raises UnknownName for a scheduler without a counterpart, and ValueError for an option without one.
    """
    name = str(config.get("_class_name"))
    kind = SCHEDULERS[name]
    for key, value in config.items():
        if key.startswith("_") or key in USED:
            continue
        if key not in NEUTRAL:
            raise ValueError(f"{name}: the option {key} = {value!r} is unknown")
        if value not in NEUTRAL[key]:
            raise ValueError(f"{name}: {key} = {value!r} has no counterpart in ptdiff")
    # diffusers lowers the order of the last steps only of short walks, whatever the option says
    short = {"lower_order_final": config.get("lower_order_final", True) and steps < SHORT}
    solver, limits = kind.solver({**config, **short}), _threshold(kind, config)
    if name == "FlowMatchEulerDiscreteScheduler":
        spacing = Given(tuple(_flow_sigmas(config, steps)), of="time")
        return Plan(Flow(), solver, steps, spacing, threshold=limits), "flow"
    process = _chain(config)
    indices = _indices(name, kind, config, process.steps, steps)
    if name == "DDIMScheduler" and any(np.diff(indices) != -(process.steps // steps)):
        raise ValueError(
            f"{name} steps by {process.steps} // {steps} timesteps and so skips the levels of "
            f"timestep_spacing = {config.get('timestep_spacing', kind.spacing)!r}: use leading, or steps that divide "
            f"{process.steps}"
        )
    if kind.ratios:
        levels = process.levels(torch.arange(process.steps))
        ratios = (levels.sigma / levels.alpha).numpy()
        spacing = Given(tuple(np.interp(indices, np.arange(process.steps), ratios).tolist()), of="ratio")
    else:
        spacing = Given(tuple(float(k) / (process.steps - 1) for k in indices), of="time")
    last = _last(name, config, indices)
    end_at_zero = last is None
    if last is not None:
        spacing = Given((*spacing.values, last), of="time")
    plan = Plan(process, solver, steps, spacing, "zero" if end_at_zero else "sigma-min", threshold=limits)
    return plan, PREDICTIONS[config.get("prediction_type", "epsilon")]


def _chain(config: Mapping[str, Any]) -> Chain:
    steps, betas = int(config.get("num_train_timesteps", 1000)), config.get("trained_betas")
    zero = bool(config.get("rescale_betas_zero_snr", False))
    if betas is not None:
        return Chain(steps, "given", betas=tuple(float(beta) for beta in betas), zero_terminal_snr=zero)
    schedule: Any = SCHEDULES[config.get("beta_schedule", "linear")]
    low, high = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    return Chain(steps, schedule, low, high, zero_terminal_snr=zero)


def _indices(name: str, kind: _Scheduler, config: Mapping[str, Any], length: int, n: int) -> Any:
    """The timesteps that the scheduler visits, falling; not always whole numbers."""
    spacing, offset = config.get("timestep_spacing", kind.spacing), int(config.get("steps_offset", 0))
    multistep = name == "DPMSolverMultistepScheduler"
    if not 1 <= n <= length:
        raise ValueError(f"{name} has {length} timesteps: steps must be 1 to {length}, not {n}")
    if spacing == "trailing":
        return np.round(np.arange(length, 0, -length / n))[:n] - 1
    if spacing == "leading":
        ratio = length // (n + 1) if multistep else length // n
        return (np.arange(n + 1)[1:] if multistep else np.arange(n))[::-1] * ratio + float(offset)
    if spacing == "linspace":
        if multistep:
            return np.linspace(0, length - 1, n + 1).round()[:0:-1]
        even = np.linspace(0, length - 1, n)[::-1]
        return even if kind.ratios else even.round()
    raise ValueError(f"{name}: timestep_spacing must be leading, trailing or linspace, not {spacing!r}")


def _last(name: str, config: Mapping[str, Any], indices: Any) -> float | None:
    """The time of a noisy last level; None if the scheduler ends at the clean level."""
    if name != "DDIMScheduler" or config.get("set_alpha_to_one", True):
        return None
    if indices[-1] == 0:
        raise ValueError(
            f"{name}: set_alpha_to_one = False repeats the last level; set it to True or steps_offset to 1"
        )
    return 0.0


def _flow_sigmas(config: Mapping[str, Any], n: int) -> Any:
    length, shift = int(config.get("num_train_timesteps", 1000)), float(config.get("shift", 1.0))

    def shifted(sigma: Any) -> Any:
        return shift * sigma / (1 + (shift - 1) * sigma)

    # shifted twice, as diffusers does: the cleanest level is that of its training levels, already shifted
    return shifted(np.linspace(1.0, float(shifted(1 / length)), n)).tolist()


def _threshold(kind: _Scheduler, config: Mapping[str, Any]) -> Threshold | None:
    if config.get("thresholding", False):
        limit = float(config.get("sample_max_value", 1.0))
        if limit != 1.0:
            raise ValueError(f"sample_max_value = {limit} has no counterpart in ptdiff")
        return Dynamic(quantile=float(config.get("dynamic_thresholding_ratio", 0.995)))
    if config.get("clip_sample", kind.clips):
        limit = float(config.get("clip_sample_range", 1.0))
        return Static(-limit, limit)
    return None


def scheduler_config(plan: Plan, prediction: str) -> dict[str, Any]:
    """The scheduler_config.json of diffusers for a plan and the prediction of its network.

    Raises ValueError if diffusers has no scheduler for the process, the solver or the spacing.
    """
    names = {ours: theirs for theirs, ours in PREDICTIONS.items()}
    if isinstance(plan.process, Flow):
        if plan.solver != Euler("flow") or prediction != "flow":
            raise ValueError("diffusers has only the solver euler with chart flow, and the prediction flow, for flow")
        if plan.spacing != "uniform" or plan.end != "zero":
            raise ValueError("diffusers has only the spacing uniform with end zero for flow")
        raise ValueError("the levels of FlowMatchEulerDiscreteScheduler end at 1 / T and not at those of uniform")
    if not isinstance(plan.process, Chain):
        raise ValueError(f"diffusers has schedulers for chains and flow, not for {plan.process}")
    if prediction not in names:
        raise ValueError(f"diffusers has no schedulers for the prediction {prediction!r} on a chain")
    found = _class_of(plan.solver)
    found |= _betas_of(plan.process) | {"prediction_type": names[prediction]} | _spacing_of(plan)
    if plan.end != "zero":
        raise ValueError("diffusers ends at the clean level: use end zero")
    found["clip_sample" if found["_class_name"].startswith("DD") else "thresholding"] = False
    if plan.threshold is not None:
        raise ValueError(
            "limits of the data are in world units here, but in units of the network in diffusers: set them there"
        )
    # what is written must be read back as the same plan
    back, _ = plan_of(found, plan.steps)
    if not torch.allclose(back.levels().angle, plan.levels().angle, rtol=0, atol=1e-9):
        raise ValueError(f"{found['_class_name']} would visit other levels than {plan.spacing}")
    if isinstance(plan.solver, DPMpp3M) and back.solver != plan.solver:
        raise ValueError(f"diffusers ignores lower_order_final from {SHORT} steps on: set it to false")
    return found


def _class_of(solver: Any) -> dict[str, Any]:
    match solver:
        case DDIM(eta=0.0):
            return {"_class_name": "DDIMScheduler", "set_alpha_to_one": True}
        case DDPM(scale=1.0, decay="none"):
            kind = "fixed_small" if solver.variance == "lower" else "fixed_large"
            return {"_class_name": "DDPMScheduler", "variance_type": kind}
        case DPMpp3M() | DPMpp2M():
            order = 3 if isinstance(solver, DPMpp3M) else 2
            return {
                "_class_name": "DPMSolverMultistepScheduler",
                "solver_order": order,
                "lower_order_final": solver.lower_order_final,
            }
        case Heun(chart="noise"):
            return {"_class_name": "HeunDiscreteScheduler"}
        case Euler(chart="noise"):
            return {"_class_name": "EulerDiscreteScheduler"}
        case EulerAncestral(eta=1.0):
            return {"_class_name": "EulerAncestralDiscreteScheduler"}
    raise ValueError(f"diffusers has no scheduler for {solver}")


def _betas_of(chain: Chain) -> dict[str, Any]:
    found: dict[str, Any] = {"num_train_timesteps": chain.steps, "rescale_betas_zero_snr": chain.zero_terminal_snr}
    theirs = {ours: name for name, ours in SCHEDULES.items()}.get(chain.schedule)
    if chain.schedule in ("linear", "scaled-linear"):
        return found | {"beta_schedule": theirs, "beta_start": chain.beta_start, "beta_end": chain.beta_end}
    if theirs is not None and (chain.offset, chain.clip) == (0.008, (0.0, 0.999)):
        return found | {"beta_schedule": theirs}
    # any other schedule by its betas, before the rescaling that diffusers repeats
    plain = Chain(
        chain.steps, chain.schedule, chain.beta_start, chain.beta_end, chain.offset, chain.span, chain.clip, chain.betas
    )
    return found | {"trained_betas": plain.beta.tolist()}


def _spacing_of(plan: Plan) -> dict[str, Any]:
    spacing: Spacing | str = plan.spacing
    for kind, name in ((Trailing, "trailing"), (Leading, "leading"), (Linspace, "linspace")):
        if spacing == name or isinstance(spacing, kind):
            return {"timestep_spacing": name, "steps_offset": 0}
    raise ValueError(f"diffusers has the spacings trailing, leading and linspace, not {spacing}")
