"""All certificates, in parts that can run side by side.

A part is a picklable function without arguments that returns certificates: a solver on all processes, say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context

import torch

from ptdiff.certify import orders, whole
from ptdiff.certify.certificate import Certificate
from ptdiff.certify.choices import choices
from ptdiff.certify.problem import PROBLEMS
from ptdiff.names import unknown
from ptdiff.process import PROCESSES, Flow, Process
from ptdiff.solvers import SOLVERS, Solver

Part = Callable[[], list[Certificate]]


def stochastic(solver: Solver) -> bool:
    """Whether the solver adds noise between two levels, and so has a weak order instead of one."""
    return solver.table(PROBLEMS["mixture"].levels(Flow(), 4)).stochastic


@cache
def made() -> dict[str, Process]:
    """Every process of the catalog with its defaults."""
    return {name: cls() for name, cls in PROCESSES.items()}


def _orders(name: str) -> list[Certificate]:
    return [
        certificate
        for label, solver in choices(name)
        if not stochastic(solver)
        for certificate in orders.certify(label, solver, made())
    ]


def _calls(name: str) -> list[Certificate]:
    return [certificate for label, solver in choices(name) for certificate in whole.certify(label, solver, made())]


SECTIONS: dict[str, Callable[[str], list[Certificate]]] = {"orders": _orders, "calls": _calls}
"""What can be asked for one solver at a time."""


def parts(only: Iterable[str] = (), solvers: Iterable[str] = ()) -> list[Part]:
    """The parts of the sections ``only`` (all, where there are none) for ``solvers`` (all of the catalog)."""
    only, solvers = list(only) or list(SECTIONS), list(solvers) or list(SOLVERS)
    for section in only:
        if section not in SECTIONS:
            raise unknown("section", section, SECTIONS)
    for name in solvers:
        if name not in SOLVERS:
            raise unknown("solver", name, SOLVERS)
    return [partial(SECTIONS[section], name) for section in only for name in solvers]


def run(parts: list[Part], workers: int, progress: Callable[[int, int], None] | None = None) -> list[Certificate]:
    """The certificates of all parts, in their order; with one worker in this process, else one thread a worker."""
    if workers == 1:
        found = []
        for done, part in enumerate(parts, 1):
            found.append(part())
            if progress:
                progress(done, len(parts))
    else:
        with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
            running = [pool.submit(part) for part in parts]
            for done, _ in enumerate(as_completed(running), 1):
                if progress:
                    progress(done, len(parts))
            found = [future.result() for future in running]
    return [certificate for part in found for certificate in part]


def worst(certificates: Iterable[Certificate]) -> list[tuple[Certificate, int]]:
    """For each kind and first word of the subjects, the certificate nearest to failing, and how many there are."""
    groups: dict[tuple[str, str], list[Certificate]] = {}
    for certificate in certificates:
        groups.setdefault((certificate.kind, certificate.subject.split(", ")[0]), []).append(certificate)
    return [(max(group, key=lambda c: (not c.holds, c.excess)), len(group)) for group in groups.values()]
