"""The gallery: pictures of the theory and of trained runs, each a function that returns pixels.

``THEORY`` needs no run.  ``OF_RUN`` draws a :class:`ptdiff.gallery.subject.Subject`; a list of pictures is an
animation.  A modality adds what only it can draw (:meth:`ptdiff.modality.Modality.gallery`).  The first line of a
function's docstring is what ``ptdiff gallery`` prints.
"""

from __future__ import annotations

from collections.abc import Callable

from ptdiff.gallery import schedules
from ptdiff.pictures import Picture

THEORY: dict[str, Callable[[], Picture]] = {
    "schedules": schedules.schedules,
    "processes": schedules.processes,
    "shifts": schedules.shifts,
}
