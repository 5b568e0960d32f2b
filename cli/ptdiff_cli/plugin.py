"""``ptdiff plugin ls|new|check``: what installed distributions add, a new plugin, and the conformance checks."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable_folder
from ptdiff_cli.shared.terminal import Failure, progress, say, show, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.testing import Finding

app = typer.Typer(help="List, write and check plugins.", no_args_is_help=True)

Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Part to check: options, data, network, conditions, training, sampling, images, files, metrics, "
        "package; or the name of one check; repeatable; default: all.",
    ),
]
Name = Annotated[str, typer.Argument(help="Modality to check: a name, or MODULE:CLASS.")]


@app.command("ls", short_help="list plugins with their state; nothing is imported")
def ls(as_json: options.Json = False) -> None:
    """List plugins with their state: ptdiff plugin ls.

    Reads metadata and imports nothing; 'ptdiff doctor' tries each plugin. The
    environment variable PTDIFF_PLUGINS chooses which are used: none, or names of
    distributions, separated by commas.
    """
    from ptdiff.plugins.claims import claims
    from ptdiff_cli.shared.doors import builtin

    found = claims(builtin())
    if as_json:
        rows = [{**dataclasses.asdict(one.plugin), "state": one.state, "detail": one.detail} for one in found]
        show_json([{key: value for key, value in row.items() if key != "problem"} for row in rows])
        return
    show_table(
        ["name", "door", "contract", "installed by", "state", "detail"],
        [
            [
                one.plugin.name,
                one.plugin.door,
                f"v{one.plugin.contract}" if one.plugin.contract else "?",
                one.plugin.origin,
                one.state,
                one.detail,
            ]
            for one in found
        ],
    )


@app.command(short_help="write a new plugin, ready to install")
def new(
    name: Annotated[str, typer.Argument(help="Name of the plugin, as in 'ptdiff train -m NAME'.")],
    kind: Annotated[str, typer.Option(help="What the plugin adds: modality.")] = "modality",
    out: Annotated[
        Path | None, typer.Option(callback=writable_folder, help="Folder to write; default: ptdiff-NAME.")
    ] = None,
) -> None:
    """Write a new plugin, ready to install: ptdiff plugin new molecules.

    It works as it is, with tests, a README and a CI file. Then replace its data and
    its network by yours.
    """
    from ptdiff.documents.files import expanded
    from ptdiff_cli.shared.scaffold import names, write

    folder = expanded(out or names(name)["distribution"])
    for path in write(folder, name, kind):
        show(str(path))
    say(f"next: pip install -e {folder}, then ptdiff plugin check {name}, and edit {folder}/{names(name)['package']}")


@app.command(short_help="check that a plugin meets the contract")
def check(name: Name, only: Only = None, option: options.ModalityOptions = None, as_json: options.Json = False) -> None:
    """Check that a plugin meets the contract: ptdiff plugin check waves.

    Prints one line per check, with what to fix, and exits with code 1 if any fails.
    -o sets options of the plugin, for example to less data.
    """
    from ptdiff.run.config import settings

    began = time.perf_counter()
    findings = _checked(name, settings(option or []), only or [], quiet=as_json)
    counts = Counter(_state(finding) for finding in findings)
    seconds = time.perf_counter() - began
    if as_json:
        show_json(
            {
                "plugin": name,
                "ran": counts["ok"] + counts["FAIL"],
                "failed": counts["FAIL"],
                "skipped": counts["skip"],
                "seconds": seconds,
                "checks": [dataclasses.asdict(finding) for finding in findings],
            }
        )
    else:
        ran = f"{counts['ok'] + counts['FAIL']} checks ran in {seconds:.0f} s"
        show(f"\n{ran}: {counts['ok']} passed, {counts['FAIL']} failed; {counts['skip']} skipped")
    _refuse(name, findings)


def check_modality(name: str, as_json: bool) -> None:
    """Run the checks for ``ptdiff modalities NAME --check``."""
    findings = _checked(name, {}, [], quiet=as_json)
    if as_json:
        show_json([dataclasses.asdict(finding) for finding in findings])
    _refuse(name, findings)


def _checked(name: str, given: Mapping[str, Any], only: Sequence[str], *, quiet: bool) -> list[Finding]:
    """Run the checks, and print each finding as it comes unless ``quiet``."""
    from ptdiff.testing import check_modality

    found: list[Finding] = []
    with progress("checks") as bar:
        task, part = bar.add_task("checking", total=None, note=""), None

        def begin(words: str, count: int) -> None:
            bar.update(task, completed=len(found), total=count, note=words)

        for finding in check_modality(name, given, only, begin):
            found.append(finding)
            if quiet:
                continue
            if finding.part != part:
                show(f"{'' if part is None else chr(10)}{finding.part}")
                part = finding.part
            show(_line(finding))
    return found


def _line(finding: Finding) -> str:
    reason = "" if finding.skipped is None else f" ({finding.skipped})"
    took = f"  {finding.seconds:.1f} s" if finding.seconds >= 1 else ""
    line = f"  {_state(finding):<4}  {finding.check}{reason}{took}"
    return line if finding.problem is None else f"{line}\n        {finding.problem}"


def _state(finding: Finding) -> str:
    if finding.problem is not None:
        return "FAIL"
    return "ok" if finding.skipped is None else "skip"


def _refuse(name: str, findings: list[Finding]) -> None:
    failed = sum(finding.problem is not None for finding in findings)
    if failed:
        ran = sum(finding.skipped is None for finding in findings)
        raise Failure(f"{name}: {failed} of {ran} checks failed", 1)
