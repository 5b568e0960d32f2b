"""All certificates, in parts that can run in parallel.

A part is a picklable function without arguments that returns certificates, such as the orders of one solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context

import torch

from ptdiff.certify import adaptive, agreement, end_to_end, orders
from ptdiff.certify.certificate import Certificate
from ptdiff.certify.choices import choices
from ptdiff.certify.counterparts import PAIRS, installed
from ptdiff.certify.flow_maps import flow_map_certificates
from ptdiff.certify.likelihoods import likelihood_certificates
from ptdiff.certify.objectives import objective_certificates
from ptdiff.certify.problem import PROBLEMS
from ptdiff.choices import unknown
from ptdiff.process import PROCESSES, Flow, Process
from ptdiff.solvers import ADAPTIVE, SOLVERS, Solver

Part = Callable[[], list[Certificate]]


@cache
def processes() -> dict[str, Process]:
    """Every process of the catalog with its defaults."""
    return {name: cls() for name, cls in PROCESSES.items()}


def stochastic(solver: Solver) -> bool:
    """Return True if the solver adds noise between two levels, and so has a weak order."""
    return solver.table(PROBLEMS["mixture"].levels(Flow(), 4)).stochastic


def _orders(name: str) -> list[Certificate]:
    if name in ADAPTIVE:
        return list(adaptive.certify(name, ADAPTIVE[name](), processes()))
    found = [(label, solver) for label, solver in choices(name) if not stochastic(solver)]
    known = list(orders.published(name, SOLVERS[name]()))
    return known + [c for label, solver in found for c in orders.strong(label, solver, processes())]


def _weak(name: str) -> list[Certificate]:
    found = [(label, solver) for label, solver in choices(name) if stochastic(solver)]
    return [c for label, solver in found for c in orders.weak(label, solver, processes())]


def _calls(name: str) -> list[Certificate]:
    return [c for label, solver in choices(name) for c in end_to_end.certify(label, solver, processes())]


def _agreement(names: frozenset[str]) -> list[Certificate]:
    return list(agreement.certify([pair for pair in installed(PAIRS) if pair.ours["name"] in names]))


def _objectives() -> list[Certificate]:
    return list(objective_certificates())


def _likelihoods() -> list[Certificate]:
    return list(likelihood_certificates())


def _flow_maps() -> list[Certificate]:
    return list(flow_map_certificates())


def _each(section: Callable[[str], list[Certificate]], solvers: Sequence[str]) -> list[Part]:
    return [partial(section, name) for name in solvers if name in SOLVERS or section is _orders]


SECTIONS: dict[str, Callable[[Sequence[str]], list[Part]]] = {
    "orders": partial(_each, _orders),
    "weak": partial(_each, _weak),
    "calls": partial(_each, _calls),
    "objectives": lambda solvers: [_objectives],
    "likelihoods": lambda solvers: [_likelihoods],
    "flow-maps": lambda solvers: [_flow_maps],
    "agreement": lambda solvers: [partial(_agreement, frozenset(solvers))],
}
"""The parts of each section for solvers by name; some sections ignore the names."""
_KNOWN = (*SOLVERS, *ADAPTIVE)
OF_SOLVERS = ("orders", "weak", "calls", "agreement")


def parts(only: Sequence[str] = (), solvers: Sequence[str] = ()) -> list[Part]:
    """The parts of the sections ``only`` for ``solvers``.

    By default all sections and all solvers; for named solvers, the sections that concern solvers.  Raises UnknownName
    for an unknown section or solver.
    """
    for section in only:
        if section not in SECTIONS:
            raise unknown("section", section, SECTIONS)
    for name in solvers:
        if name not in _KNOWN:
            raise unknown("solver", name, _KNOWN)
    wanted = only or (OF_SOLVERS if solvers else tuple(SECTIONS))
    return [part for section in wanted for part in SECTIONS[section](solvers or _KNOWN)]


def run(parts: Sequence[Part], workers: int, progress: Callable[[int, int], None] | None = None) -> list[Certificate]:
    """The certificates of all parts, in order; run in this process, or in ``workers`` processes of one thread each."""
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


def solver_of(certificate: Certificate) -> str:
    """The solver that a certificate of an order is about; an empty string for other certificates."""
    return certificate.subject.replace(",", "").split()[0] if certificate.kind in ("order", "weak order") else ""


def worst(
    certificates: Iterable[Certificate], key: Callable[[Certificate], str] = solver_of
) -> list[tuple[Certificate, int]]:
    """The certificate closest to failing of each kind and key, and the number of certificates of that group."""
    groups: dict[tuple[str, str], list[Certificate]] = {}
    for certificate in certificates:
        groups.setdefault((certificate.kind, key(certificate)), []).append(certificate)
    return [(max(group, key=lambda c: (not c.holds, c.excess)), len(group)) for group in groups.values()]
