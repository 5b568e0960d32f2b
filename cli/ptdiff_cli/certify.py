"""``ptdiff certify``: measures whether solvers, losses and likelihoods have the properties that they declare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable
from ptdiff_cli.shared.terminal import Failure, counter, progress, say, show, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.certify import Certificate

SHOWN = 20
"""Maximum number of failed certificates printed in full."""


def certify(
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Parts to check: orders, weak, calls, objectives, likelihoods, flow-maps, agreement; repeatable; "
            "default: all.",
        ),
    ] = None,
    solver: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Solver name, repeatable; default: all.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of parallel processes.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=writable, help="Output file (.json) for the worst results and the errors by number of calls."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check solvers, losses and likelihoods: ptdiff certify --only orders.

    Compares measured orders, minima, likelihoods and costs with declared ones.
    Exit code 1 if a check fails.
    """
    import time

    from ptdiff.certify.counterparts import missing
    from ptdiff.certify.suite import parts, run, worst

    began, wanted = time.perf_counter(), list(dict.fromkeys(name for part in only or () for name in part.split(",")))
    with progress("parts") as bar:
        certificates = run(parts(wanted, solver or ()), workers, counter(bar, "certify"))
    failed = [certificate for certificate in certificates if not certificate.holds]
    if missing() and (not wanted or "agreement" in wanted):
        say(f"agreement: skipped because not installed: {', '.join(missing())}")
    if out is not None:
        _write(out, certificates, time.perf_counter() - began)
    if as_json:
        show_json([certificate.to_json() for certificate in certificates])
    else:
        _show(worst(certificates), failed)
        show(f"{len(certificates) - len(failed)} of {len(certificates)} certificates hold")
    if failed:
        raise Failure(f"{len(failed)} of {len(certificates)} certificates do not hold", 1)
    if not certificates:
        raise ValueError("nothing to certify: these parts do not apply to these solvers; leave out --only or --solver")


def _write(out: Path, certificates: Sequence[Certificate], seconds: float) -> None:
    from json import dumps

    from ptdiff import __version__
    from ptdiff.certify.figures import figures
    from ptdiff.certify.suite import worst
    from ptdiff.documents.atomic import write_atomic
    from ptdiff.solvers import SOLVERS

    groups = worst(certificates, lambda certificate: certificate.subject.split(", ")[0])
    head = {"ptdiff": __version__, "seconds": round(seconds), "certificates": len(certificates)}
    rows = [dumps(certificate.to_json() | {"of": count}) for certificate, count in groups]
    errors = [dumps(figures(name)) for name in SOLVERS]
    text = dumps(head)[:-1] + ',\n"worst": [\n' + ",\n".join(rows) + '],\n"solvers": [\n' + ",\n".join(errors) + "]}\n"
    write_atomic(out, text)


def _show(worst: Sequence[tuple[Certificate, int]], failed: Sequence[Certificate]) -> None:
    rows = [
        [c.kind, c.subject, f"{c.measured:.4g}", f"{c.declared:.4g}", str(count), "yes" if c.holds else "NO"]
        for c, count in worst
    ]
    show_table(["kind", "worst case", "measured", "declared", "of", "holds"], rows)
    for c in failed[:SHOWN]:
        sign = {"equal": "±", "at least": "at least, less", "at most": "at most, plus"}[c.direction]
        show(
            f"FAIL  {c.kind}: {c.subject}: measured {c.measured:.6g}, declared {c.declared:.6g} {sign} {c.tolerance:g}"
        )
    if len(failed) > SHOWN:
        show(f"… and {len(failed) - SHOWN} more; --json or --out shows all")
