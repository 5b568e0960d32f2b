#!/bin/sh
# Before anything is installed: Python and its venv, which make needs, and the system libraries that Open3D needs.
# What is missing is installed where that asks no question (root with apt-get), else named with the command that does;
# without Python or venv this fails, without the libraries it does not: what needs them is skipped or done without.
#
#     tools/machine.sh PYTHON
set -u
cd "$(dirname "$0")/.." || exit 1
python=$1

if ! command -v "$python" >/dev/null; then
    echo "ptdiff needs Python 3.11 or newer, and there is no $python here: make PYTHON=/path/to/python3" >&2
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
    "$python" -I ptdiff/libraries.py
}

packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing what is missing of the system: $packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { apt-get update -q && apt-get install -q -y --no-install-recommends $packages; } </dev/null >/dev/null 2>&1
    packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
fi
[ -n "$packages" ] || exit 0
if ! has_venv; then
    echo "$python cannot make virtual environments; on Debian and Ubuntu: sudo apt-get install $packages" >&2
    exit 1
fi
echo "Open3D cannot be used: tests of it are skipped, pictures and meshes are made without it." >&2
echo "Debian and Ubuntu have what it needs: sudo apt-get install $packages" >&2
