"""Disk operations that fail: the n-th one raises an OSError."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OPERATIONS = (
    *((os, name) for name in ("mkdir", "open", "fsync", "rename", "replace", "unlink", "rmdir", "listdir", "scandir")),
    (os, "chmod"),
    (io, "open"),
    (shutil, "disk_usage"),
)


@contextlib.contextmanager
def failing(at: int, number: int, within: Path | None = None) -> Iterator[list[int]]:
    """Let the ``at``-th operation on the disk fail with an error number; yields a list with the operations so far.

    ``within``: count only operations on this folder, and on files that are open.  Writes to files that were opened
    through Python count as well.
    """
    import safetensors.torch

    count, inside = [0], None if within is None else os.fspath(within)
    places: list[tuple[Any, str]] = [
        *OPERATIONS,
        (safetensors.torch, "serialize_file"),
        (safetensors.torch, "safe_open"),
    ]
    before = [(module, name, getattr(module, name)) for module, name in places]

    def due(args: tuple[Any, ...]) -> bool:
        named = [os.fspath(each) for each in args if isinstance(each, (str, os.PathLike))]
        if inside is not None and named and not any(str(name).startswith(inside) for name in named):
            return False
        count[0] += 1
        return count[0] == at

    def faulty(operation: Callable[..., Any], name: str) -> Callable[..., Any]:
        def replacement(*args: Any, **kwargs: Any) -> Any:
            if due(args):
                raise OSError(number, os.strerror(number))
            made = operation(*args, **kwargs)
            # standard output and input are no files of a run
            if name == "open" and isinstance(made, io.IOBase) and made.writable() and made.fileno() > 2:
                path = args[0] if isinstance(args[0], (str, os.PathLike)) else inside or "."
                write = made.write

                def torn(data: Any) -> Any:
                    if due((path,)):
                        # a full disk takes the first part of what is written
                        write(data[: len(data) // 2])
                        made.flush()
                        raise OSError(number, os.strerror(number))
                    return write(data)

                with contextlib.suppress(AttributeError):
                    made.write = torn
            return made

        return replacement

    for module, name, operation in before:
        setattr(module, name, faulty(operation, name))
    try:
        yield count
    finally:
        for module, name, operation in before:
            setattr(module, name, operation)
