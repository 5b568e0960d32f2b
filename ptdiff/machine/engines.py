"""Engines: where independent pieces of work run.

    for result in engine.map(function, items): ...        in any order, one result for each item

``function`` is sent to each worker once and may be large; ``items`` are sent one by one.  A worker may be killed at any
moment: its item is done again by another one.  So ``function`` should leave its result in a file, atomically, and do
nothing twice.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ptdiff.choices import Catalog
from ptdiff.errors import Unsupported
from ptdiff.plugins.doors import Door

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 5
"""How often workers may die in a row without finishing anything before the work is given up."""


class Engine(Protocol):
    """Runs a function on items, somewhere."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield the results in the order in which they are done; the first exception of the function is raised."""
        ...


@dataclass(frozen=True)
class Processes:
    """Processes on this machine; with one worker, this process."""

    workers: int = 1

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield the results; raises ChildProcessError if workers die ATTEMPTS times without finishing an item."""
        if self.workers == 1 or len(items) < 2:
            yield from map(function, items)
            return
        import multiprocessing
        from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
        from concurrent.futures.process import BrokenProcessPool

        left, idle = dict(enumerate(items)), 0
        while left:
            # spawned, because a process with threads cannot be forked safely
            context = multiprocessing.get_context("spawn")
            count = min(self.workers, len(left))
            pool = ProcessPoolExecutor(count, mp_context=context, initializer=_keep, initargs=(function,))
            try:
                sent: dict[Future[R], int] = {pool.submit(_work, item): i for i, item in left.items()}
                while sent:
                    done, _ = wait(sent, return_when=FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        del left[sent.pop(future)]
                        idle = 0
                        yield result
            except BrokenProcessPool as error:
                idle += 1
                if idle == ATTEMPTS:
                    raise ChildProcessError(
                        f"worker processes died {ATTEMPTS} times in a row: is there enough memory for {self.workers}?"
                    ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Ray:
    """Workers of a Ray cluster: a local one of ``workers`` processes, or that of RAY_ADDRESS.

    All machines need the same version of ptdiff, and a shared disk for the run and the results.
    """

    workers: int = 1

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield the results; Unsupported without the package ray, ChildProcessError if workers keep dying."""
        ray = _ray()
        started = not ray.is_initialized()
        if started:
            ray.init(**_cluster(self.workers))
        try:
            # a worker that dies is replaced, and its item done again
            remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(_apply)
            shared = ray.put(function)
            left = [remote.remote(shared, item) for item in items]
            while left:
                (done,), left = ray.wait(left, num_returns=1)
                try:
                    result = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    # Ray's own exception has the traceback of the worker in its text
                    raise error.cause from None
                except ray.exceptions.RayError as error:
                    raise ChildProcessError(f"a worker of Ray failed: {str(error).strip().splitlines()[0]}") from None
                yield result
        finally:
            if started:
                ray.shutdown()


_WORK: list[Callable[[Any], Any]] = []
"""In a worker process: the function that it applies, so that it is not sent with every item."""


def _keep(function: Callable[[Any], Any]) -> None:
    # by default, Python's workers take Ctrl-C for the result of an item and begin the next one
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _WORK.append(function)


def _work(item: Any) -> Any:
    return _WORK[-1](item)


def _apply(function: Callable[[T], R], item: T) -> R:
    return function(item)


def _cluster(workers: int) -> dict[str, Any]:
    import logging
    import os

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        return quiet
    # without an address, Ray would join a cluster that somebody else started on this machine
    return quiet | {"address": "local", "num_cpus": workers, "include_dashboard": False}


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise Unsupported("--engine ray needs the package ray: pip install 'ptdiff[ray]'") from None
    return ray


ENGINES: Catalog[Callable[[int], Engine]] = Catalog(
    "engine", {"processes": Processes, "ray": Ray}, Door("engines", "engine", methods=("map",), options=False)
)
"""Engines by name, for a number of workers."""
