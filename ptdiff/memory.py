"""What becomes of the memory of large tensors on a CPU."""

from __future__ import annotations

import ctypes


def keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks: by default every tensor above 32 MiB is mapped and unmapped anew.

    For the whole process.  Does nothing where the C library is another.  docs/decisions/0012 has what it saves.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)
    mallopt(top_pad, 256 << 20)
