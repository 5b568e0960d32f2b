#!/bin/sh
# Check that Python and venv, which make needs, and the system libraries of Open3D are installed.
# As root with apt-get, missing packages are installed; otherwise the command to install them is printed.
# This fails without Python or venv, but not without the libraries: images and meshes can be made without them.
#
#     tools/machine.sh PYTHON
set -u
cd "$(dirname "$0")/.." || exit 1
python=$1

if ! command -v "$python" >/dev/null; then
    echo "ptdiff needs Python 3.11 or newer, and $python was not found: make PYTHON=/path/to/python3" >&2
    exit 1
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "ptdiff needs Python 3.11 or newer, and $python is $version: make PYTHON=/path/to/a/newer/python3" >&2
    exit 1
fi

has_venv() { "$python" -I -c 'import ensurepip, venv' 2>/dev/null; }
missing() {
    has_venv || echo "python$version-venv"
    "$python" -I ptdiff/machine/libraries.py
}

packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing missing system packages: $packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q </dev/null >/dev/null 2>&1
    # one by one, so that a package that does not exist does not keep the others from being installed
    for package in $packages; do
        apt-get install -q -y --no-install-recommends "$package" </dev/null >/dev/null 2>&1
    done
    packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
fi
[ -n "$packages" ] || exit 0
if ! has_venv; then
    echo "$python cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install $packages" >&2
    exit 1
fi
echo "Open3D does not work on this machine: its tests are skipped, and images and meshes are made without it." >&2
echo "To install what it needs on Debian and Ubuntu: sudo apt-get install $packages" >&2
