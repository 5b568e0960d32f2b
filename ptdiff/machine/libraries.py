"""Shared libraries that Open3D needs from the system and its wheel does not contain.

Imports only the standard library, so that it runs before anything is installed:

    python3 -I ptdiff/machine/libraries.py      prints the missing Debian packages on one line
"""

from __future__ import annotations

import ctypes
import shutil
import sys

OPEN3D = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libX11.so.6": "libx11-6",
}
"""Shared libraries that Open3D needs on Linux, and the packages of Debian and Ubuntu that contain them."""


def missing() -> list[str]:
    """Libraries in OPEN3D that cannot be loaded here, whether Open3D itself is installed or not.

    Empty on systems other than Linux, where Open3D needs none of them.
    """
    if not sys.platform.startswith("linux"):
        return []
    return [name for name in OPEN3D if not _loads(name)]


def advice(names: list[str]) -> str:
    """A one-line message that names the missing libraries and the command that installs them."""
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    text = f"Open3D needs {listed}, which this system lacks"
    if shutil.which("apt-get"):
        return f"{text}: sudo apt-get install {' '.join(OPEN3D[name] for name in names)}"
    return f"{text}: install the package that contains {'it' if len(names) == 1 else 'them'}"


def why_no_open3d(error: Exception) -> str:
    """A one-line message about why Open3D cannot be imported, and how to fix it."""
    if isinstance(error, ModuleNotFoundError) and error.name == "open3d":
        return "Open3D is not installed: pip install open3d"
    if names := missing():
        return advice(names)
    return f"Open3D cannot be imported ({error})"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    print(" ".join(OPEN3D[name] for name in missing()))
