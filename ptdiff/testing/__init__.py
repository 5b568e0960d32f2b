"""The conformance kit: checks that every modality must pass.

option_checks.py       options, recipes, help texts
data_checks.py         facts, batches, splits, scale
backbone_checks.py     the network: shapes, types, symmetries, states, copies
condition_checks.py    labels and other conditions of the network
training_checks.py     gradients, the loss, a short run and its continuation
sampling_checks.py     samples and likelihoods of that run
visualizer_checks.py   images, animations, pages
file_checks.py         writers and readers
metric_checks.py       protocols, scores, the gallery
package_checks.py      imports, side effects, metadata
probe.py               a plugin in a process of its own, for these
catalog.py             all of these, and which need which others
subject.py             the modality under test, with its data, network and run
mps.py                 Apple's GPU, emulated on a machine without one

``ptdiff plugin check NAME`` runs them on the command line; in your own test suite::

    from ptdiff.testing import CHECKS, Subject

    subject = Subject(MyModality(count=64))

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_modality_conforms(check):
        check(subject)

A check returns, or raises AssertionError with a message that says what to fix, or unittest.SkipTest with the reason
why it does not apply.  Its name says what is true of a good modality, its docstring what is checked.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import SkipTest

from ptdiff.modality import registry
from ptdiff.testing.catalog import CHECKS, PARTS, Check, proves, selected, words
from ptdiff.testing.subject import Subject

__all__ = ["CHECKS", "PARTS", "Check", "Finding", "Subject", "check_modality", "findings"]


@dataclass(frozen=True)
class Finding:
    """Outcome of one check.

    ``check``: its name in words.  ``part``: the key of :data:`PARTS`.
    ``proves``: one line about what it checks.
    ``problem``: what to fix; None if it passed or was skipped.
    ``skipped``: the reason why it does not apply to this modality; None if it ran.
    ``seconds``: how long it took, with what it made for the checks after it.
    """

    check: str
    part: str
    proves: str
    problem: str | None
    skipped: str | None
    seconds: float


def check_modality(
    name: str,
    options: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    begin: Callable[[str, int], None] | None = None,
) -> Iterator[Finding]:
    """Run the checks on a modality, given by name or as ``module:Class``.

    ``only``: parts of PARTS or names of checks; default: all.
    ``begin``: called before each check with its name and the number of all checks.

    Raises UnknownName for an unknown name or option, ValueError for a wrong value, and PluginError for a broken class.
    """
    chosen = selected(only)
    registry.trust(name)
    subject = Subject(registry.load(name, options))
    return (_finding(subject, part, check, len(chosen), begin) for part, check in chosen)


def findings(subject: Subject, only: Sequence[str] = ()) -> Iterator[Finding]:
    """Run the checks on a subject; ``only`` as for :func:`check_modality`."""
    chosen = selected(only)
    return (_finding(subject, part, check, len(chosen)) for part, check in chosen)


def _finding(
    subject: Subject, part: str, check: Check, count: int, begin: Callable[[str, int], None] | None = None
) -> Finding:
    if begin is not None:
        begin(words(check), count)
    began, problem, skipped = time.perf_counter(), None, None
    try:
        check(subject)
    except SkipTest as reason:
        skipped = str(reason)
    except Exception as error:
        # a plugin may fail in any way; the kit reports it and continues with the next check
        problem = _problem(error)
    return Finding(words(check), part, proves(check), problem, skipped, time.perf_counter() - began)


def _problem(error: Exception) -> str:
    if isinstance(error, AssertionError) and str(error):
        return str(error)
    # the innermost line outside of the kit, which is that of the plugin or of what it called
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
