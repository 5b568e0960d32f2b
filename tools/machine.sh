#!/bin/sh
# Before anything is installed: Python and its venv, which make needs, and the system libraries that Open3D needs.
# Missing packages are installed where no question need be asked (root with apt-get); otherwise the command is printed.
# Without Python or venv this fails. Without the libraries it does not: pictures and meshes do not depend on them.
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
    "$python" -I ptdiff/machine/libraries.py
}

packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing missing system packages: $packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q </dev/null >/dev/null 2>&1
    # one by one: a package that is not there must not keep the others out
    for package in $packages; do
        apt-get install -q -y --no-install-recommends "$package" </dev/null >/dev/null 2>&1
    done
    packages=$(missing | tr '\n' ' ' | sed 's/ *$//')
fi
[ -n "$packages" ] || exit 0
if ! has_venv; then
    echo "$python cannot make virtual environments; on Debian and Ubuntu: sudo apt-get install $packages" >&2
    exit 1
fi
echo "Open3D cannot be used here: its tests are skipped, and pictures and meshes are made without it." >&2
echo "What it needs, on Debian and Ubuntu: sudo apt-get install $packages" >&2
