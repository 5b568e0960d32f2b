"""Compare the samplers of other libraries with those of ptdiff, and measure their orders.

    PYTHONPATH=.:cli .venv/peers/bin/python benchmarks/peers/measure.py

Run it in the environment that setup.sh makes.  Orders are measured by the code that certifies ptdiff's own solvers: the
same problems, steps and ladder.  Writes benchmarks/results/peers.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ptdiff.certify.agreement import certify
from ptdiff.certify.counterparts import PACKAGES, PAIRS
from ptdiff.certify.ladder import MOST, slopes
from ptdiff.certify.peers import Sampler, azula, diffusers, k_diffusion
from ptdiff.certify.problem import PROBLEMS, reference
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.process import PROCESSES, Level

RESULTS = Path(__file__).parents[1] / "results" / "peers.json"
MEAN, STD = 0.3, 0.5


class Claim(NamedTuple):
    """A sampler, the process whose levels suit it, the order given by its name or documentation, and its kind."""

    peer: str
    sampler: str
    run: Sampler
    process: str
    order: int
    stochastic: bool = False


def _high(**options: Any) -> Sampler:
    return diffusers.by_sigma("DPMSolverMultistep", lower_order_final=False, final_sigmas_type="sigma_min", **options)


CLAIMS = [
    *(Claim("azula", f"REABSampler order={n}", azula.sampler("REAB", order=n), "vp-cosine", n) for n in (2, 3)),
    *(Claim("azula", f"zEABSampler order={n}", azula.sampler("zEAB", order=n), "vp-cosine", n) for n in (3, 4)),
    *(Claim("azula", f"xEABSampler order={n}", azula.sampler("xEAB", order=n), "vp-cosine", n) for n in (3, 4)),
    Claim("k-diffusion", "sample_lms order=4", k_diffusion.sampler("lms", order=4), "ve", 4),
    Claim("k-diffusion", "sample_dpmpp_3m_sde eta=0", k_diffusion.sampler("dpmpp_3m_sde", eta=0.0), "ve", 3),
    Claim("k-diffusion", "sample_dpmpp_2m", k_diffusion.sampler("dpmpp_2m"), "ve", 2),
    Claim("k-diffusion", "sample_dpmpp_sde, independent draws", k_diffusion.independent("dpmpp_sde"), "ve", 2, True),
    Claim("k-diffusion", "sample_dpmpp_sde, one path", k_diffusion.sampler("dpmpp_sde"), "ve", 2, True),
    Claim("k-diffusion", "sample_dpmpp_3m_sde", k_diffusion.sampler("dpmpp_3m_sde"), "ve", 3, True),
    Claim("diffusers", "DPMSolverMultistep dpmsolver++ order=3", _high(solver_order=3), "vp-cosine", 3),
    Claim(
        "diffusers",
        "DPMSolverMultistep sde-dpmsolver++ order=2",
        _high(solver_order=2, algorithm_type="sde-dpmsolver++"),
        "vp-cosine",
        2,
        True,
    ),
    Claim(
        "diffusers",
        "DPMSolverMultistep sde-dpmsolver++ order=3",
        _high(solver_order=3, algorithm_type="sde-dpmsolver++"),
        "vp-cosine",
        3,
        True,
    ),
    *(
        Claim(
            "diffusers",
            f"UniPCMultistep bh2 order={n}",
            diffusers.by_sigma(
                "UniPCMultistep", solver_order=n, lower_order_final=False, final_sigmas_type="sigma_min"
            ),
            "vp-cosine",
            n,
        )
        for n in (2, 3)
    ),
    Claim(
        "diffusers",
        "DEISMultistep order=3",
        diffusers.by_sigma("DEISMultistep", solver_order=3, lower_order_final=False),
        "vp-cosine",
        3,
    ),
    Claim("diffusers", "IPNDM", diffusers.pseudo, "vp-cosine", 4),
]


def _most(claim: Claim) -> int:
    # schedulers number their steps by the thousand steps of a chain
    return 800 if claim.peer == "diffusers" else MOST


def _strong(claim: Claim) -> float:
    problem, process = PROBLEMS["mixture"], PROCESSES[claim.process]()

    def errors(cases: Sequence[int], n: int) -> list[float]:
        levels = problem.levels(process, n)
        end = claim.run(problem.denoiser, problem.start(process), levels, lambda: torch.zeros(16, 2))[-1]
        # stop before the rounding errors of samplers that work in float32
        error = float((end / levels.alpha[-1] - reference("mixture")).square().mean().sqrt())
        return [error if error > 2e-6 or not claim.sampler.startswith("DPMSolver") else 0.0]

    return slopes(errors, 1, claim.order, above=True, floor=problem.floor, most=_most(claim))[0]


def _variance(claim: Claim, levels: Level, draws: int) -> float:
    """Variance of x / alpha at the end for N(MEAN, STD^2).

    The run is affine in the start and in every draw, so the rows of one batch with a single unit in one of them each
    give all coefficients.
    """
    rows = torch.eye(2 + draws, dtype=torch.float64)
    rows[0] = 0
    alpha, sigma = levels.alpha[0], levels.sigma[0]
    x = alpha * MEAN + torch.hypot(alpha * STD, sigma) * rows[:, 1:2]
    number = count(2)

    def noise() -> torch.Tensor:
        k = next(number)
        return rows[:, k : k + 1] if k < 2 + draws else torch.zeros_like(x)

    oracle = Gaussian(torch.tensor([MEAN], dtype=torch.float64), torch.tensor([STD], dtype=torch.float64))
    end = claim.run(oracle, x, levels, noise)[-1] / levels.alpha[-1]
    return float((end[1:] - end[:1]).square().sum())


def _weak(claim: Claim) -> float:
    problem, process = PROBLEMS["gaussian"], PROCESSES[claim.process]()

    def errors(cases: Sequence[int], n: int) -> list[float]:
        levels = problem.levels(process, n)
        rho = float(levels.sigma[-1] / levels.alpha[-1])
        error = abs(_variance(claim, levels, 2 * n) - STD**2 - rho**2)
        return [error if error > 5e-6 or not claim.sampler.startswith("DPMSolver") else 0.0]

    return slopes(errors, 1, claim.order, above=True, most=_most(claim))[0]


def _finite(order: int) -> float:
    """Fraction of finite numbers at the end with diffusers' own Karras levels, which contain sigma_min twice."""
    made = diffusers.scheduler(
        "DPMSolverMultistep", solver_order=order, use_karras_sigmas=True, final_sigmas_type="sigma_min",
        lower_order_final=False, prediction_type="sample",
    )  # fmt: skip
    made.set_timesteps(20)
    x = torch.ones(4, 2)
    for t in made.timesteps:
        x = made.step(0.5 * x, t, x).prev_sample
    return float(torch.isfinite(x).float().mean())


def main() -> None:
    """Measure, print and write the results."""
    orders = []
    for claim in CLAIMS:
        found = _weak(claim) if claim.stochastic else _strong(claim)
        row = {"peer": claim.peer, "sampler": claim.sampler, "stochastic": claim.stochastic}
        orders.append(row | {"claimed": claim.order, "measured": round(found, 3) if math.isfinite(found) else None})
        print(orders[-1], flush=True)
    finite = [{"order": order, "finite": _finite(order)} for order in (2, 3)]
    result = {
        "versions": {name: version(name) for name in PACKAGES},
        "agreement": [certificate.to_json() for certificate in certify(PAIRS)],
        "orders": orders,
        "duplicated sigma_min": finite,
    }
    lines = {key: "[\n" + ",\n".join(map(json.dumps, rows)) + "]" for key, rows in result.items() if key != "versions"}
    body = ",\n".join(f"{json.dumps(key)}: {rows}" for key, rows in lines.items())
    RESULTS.write_text(f'{{"versions": {json.dumps(result["versions"])},\n{body}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
