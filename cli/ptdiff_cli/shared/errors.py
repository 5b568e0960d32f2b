"""Any exception as one line for the user, and its exit code."""

from __future__ import annotations

import traceback
from typing import Any

from ptdiff_cli.shared.terminal import BAD_DATA, Failure


def explained(error: BaseException) -> tuple[str, int]:
    """One line about an error, and the exit code of the command.

    Errors of the user and of the machine are said as they are, those of a plugin with its name.  Everything else is a
    bug of ptdiff, and the line says so.
    """
    from ptdiff.modality.fault import plugin_of

    if isinstance(error.__cause__, EOFError):
        # Typer takes the end of any file for the end of a terminal
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Failure):
        return text, error.code
    if _is_usage(error):
        return _usage(error)
    code = _expected(error)
    plugin = plugin_of(error)
    if plugin is not None:
        named = text if code is not None else f"{type(error).__name__}: {text}"
        return f"plugin {plugin}: {named}{'' if code is not None else DEBUG}", code or 1
    if code is not None:
        return text, code
    if _is_lack_of_memory(error):
        return f"not enough memory: {text}", 1
    return f"a bug of ptdiff, please report it: {type(error).__name__}: {text} ({_place(error)}){DEBUG}", 1


DEBUG = "; --debug shows the traceback"


def _expected(error: BaseException) -> int | None:
    """The exit code of an error caused by the user or the machine; None for all others."""
    from ptdiff.errors import CheckpointError, DataError, PluginError, RunError, Unsupported

    if isinstance(error, DataError):
        return BAD_DATA
    if isinstance(error, (ValueError, FileNotFoundError, PluginError, RunError)):
        return 2
    return 1 if isinstance(error, (OSError, CheckpointError, Unsupported)) else None


def _is_lack_of_memory(error: BaseException) -> bool:
    # torch raises RuntimeError on the CPU, and a class of its own, derived from it, on a GPU
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("OutOfMemory" in type(error).__name__ or "not enough memory" in str(error) or "alloc_cpu" in str(error))
    )


def _is_usage(error: BaseException) -> bool:
    # by its attributes, because some versions of Typer contain a Click of their own
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _usage(error: Any) -> tuple[str, int]:
    command = getattr(getattr(error, "ctx", None), "command_path", "ptdiff")
    text = " ".join(error.format_message().split()).removesuffix(".")
    return f"{text}; see '{command} --help'", error.exit_code


def _place(error: BaseException) -> str:
    """The innermost line of ptdiff in the traceback of an error, as module:line."""
    frames = [(frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [f"{name}:{line}" for name, line in frames if str(name).startswith("ptdiff")]
    return ours[-1] if ours else "an unknown place"
