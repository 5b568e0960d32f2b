"""All certificates, in parts that can run side by side.

A part is a picklable function without arguments that returns certificates: the orders of one solver, say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context

import torch

from ptdiff.certify import agreement, orders, whole
from ptdiff.certify.certificate import Certificate
from ptdiff.certify.choices import choices
from ptdiff.certify.likelihoods import likelihood_certificates
from ptdiff.certify.objectives import objective_certificates
from ptdiff.certify.pairs import PAIRS, installed
from ptdiff.certify.problem import PROBLEMS
from ptdiff.names import unknown
from ptdiff.process import PROCESSES, Flow, Process
from ptdiff.solvers import SOLVERS, Solver

Part = Callable[[], list[Certificate]]


@cache
def processes() -> dict[str, Process]:
    """Every process of the catalog with its defaults."""
    return {name: cls() for name, cls in PROCESSES.items()}


def stochastic(solver: Solver) -> bool:
    """Whether the solver adds noise between two levels, and so has a weak order instead of one."""
    return solver.table(PROBLEMS["mixture"].levels(Flow(), 4)).stochastic


def _orders(name: str) -> list[Certificate]:
    found = [(label, solver) for label, solver in choices(name) if not stochastic(solver)]
    return [c for label, solver in found for c in orders.strong(label, solver, processes())]


def _weak(name: str) -> list[Certificate]:
    found = [(label, solver) for label, solver in choices(name) if stochastic(solver)]
    return [c for label, solver in found for c in orders.weak(label, solver, processes())]


def _calls(name: str) -> list[Certificate]:
    return [c for label, solver in choices(name) for c in whole.certify(label, solver, processes())]


def _agreement(names: frozenset[str]) -> list[Certificate]:
    return list(agreement.certify([pair for pair in installed(PAIRS) if pair.ours["name"] in names]))


def _objectives() -> list[Certificate]:
    return list(objective_certificates())


def _likelihoods() -> list[Certificate]:
    return list(likelihood_certificates())


def _each(section: Callable[[str], list[Certificate]], solvers: Sequence[str]) -> list[Part]:
    return [partial(section, name) for name in solvers]


SECTIONS: dict[str, Callable[[Sequence[str]], list[Part]]] = {
    "orders": partial(_each, _orders),
    "weak": partial(_each, _weak),
    "calls": partial(_each, _calls),
    "objectives": lambda solvers: [_objectives],
    "likelihoods": lambda solvers: [_likelihoods],
    "agreement": lambda solvers: [partial(_agreement, frozenset(solvers))],
}
"""The parts of each section for solvers by name; some sections know none."""
OF_SOLVERS = ("orders", "weak", "calls", "agreement")


def parts(only: Sequence[str] = (), solvers: Sequence[str] = ()) -> list[Part]:
    """The parts of the sections ``only`` for ``solvers``: by default all of all, and for named solvers what knows any.

    Raises UnknownName for a section or a solver that does not exist.
    """
    for section in only:
        if section not in SECTIONS:
            raise unknown("section", section, SECTIONS)
    for name in solvers:
        if name not in SOLVERS:
            raise unknown("solver", name, SOLVERS)
    wanted = only or (OF_SOLVERS if solvers else tuple(SECTIONS))
    return [part for section in wanted for part in SECTIONS[section](solvers or tuple(SOLVERS))]


def run(parts: Sequence[Part], workers: int, progress: Callable[[int, int], None] | None = None) -> list[Certificate]:
    """The certificates of all parts, in their order; in this process, or in so many others of one thread each."""
    found: list[list[Certificate]] = []
    if workers == 1:
        for part in parts:
            found.append(part())
            if progress:
                progress(len(found), len(parts))
    else:
        with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
            running = [pool.submit(part) for part in parts]
            for done, _ in enumerate(as_completed(running), 1):
                if progress:
                    progress(done, len(parts))
            found = [future.result() for future in running]
    return [certificate for part in found for certificate in part]


def worst(certificates: Iterable[Certificate]) -> list[tuple[Certificate, int]]:
    """The certificate nearest to failing of each kind, for orders of each solver, and how many there are."""
    groups: dict[tuple[str, str], list[Certificate]] = {}
    for certificate in certificates:
        name = certificate.subject.replace(",", "").split()[0] if certificate.kind.endswith("order") else ""
        groups.setdefault((certificate.kind, name), []).append(certificate)
    return [(max(group, key=lambda c: (not c.holds, c.excess)), len(group)) for group in groups.values()]
