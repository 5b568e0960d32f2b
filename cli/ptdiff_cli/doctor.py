"""``ptdiff doctor``: checks what works on this machine, and says what to install for the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

from ptdiff.machine.libraries import advice, missing
from ptdiff_cli.shared import options
from ptdiff_cli.shared.finding import Finding
from ptdiff_cli.shared.terminal import Failure, show, show_json


def doctor(
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Check this machine: ptdiff doctor.

    Checks libraries, rendering and plugins, and measures the training speed.
    Takes about 15 seconds.
    """
    findings = []
    for finding in _looked_at(device):
        findings.append(finding)
        if not as_json:
            show(f"{finding.state:8} {finding.what:18} {finding.detail}")
    if as_json:
        show_json([asdict(finding) for finding in findings])
    if any(finding.state == "broken" for finding in findings):
        raise Failure("a requirement of ptdiff is broken; see the lines above", 1)


def _looked_at(device: str) -> Iterator[Finding]:
    yield _python()
    yield from _packages()
    for look in (_open3d, _display, _video):
        yield look()
    yield from _plugins()
    try:
        from ptdiff_cli.shared.machine import machine

        yield from machine(device)
    except (ImportError, OSError) as error:
        yield Finding("torch", "broken", f"cannot be loaded: {error}")


def _python() -> Finding:
    return Finding("python", "ok", f"{sys.version.split()[0]}, {os.cpu_count()} cores")


def _packages() -> list[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in (
        "ptdiff",
        "torch",
        "pytorch-lightning",
        "torch-geometric",
        "trimesh",
        "scikit-learn",
        "pykdtree",
        "safetensors",
    ):
        try:
            found.append(Finding(name, "ok", version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, "broken", f"not installed: pip install {name}"))
    return found


def _open3d() -> Finding:
    """Import Open3D in a separate process, because a graphics library may crash it."""
    done = _try("import open3d; print(open3d.__version__)")
    if done.returncode == 0:
        return Finding("open3d", "ok", _last(done))
    names = missing()
    detail = advice(names) if names else _last(done)
    return Finding("open3d", "missing", f"{detail} (images and meshes are made without it)")


def _display() -> Finding:
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform in ("win32", "darwin"):
        return Finding("display", "ok", "available for render --show")
    return Finding("display", "missing", "none: render --show cannot open a window; render --out works")


def _video() -> Finding:
    done = _try("import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_version())")
    if done.returncode == 0:
        return Finding("mp4", "ok", f"ffmpeg {_last(done)}")
    return Finding("mp4", "missing", "for .mp4 files: pip install 'ptdiff[video]' (.gif works without it)")


def _plugins() -> list[Finding]:
    from ptdiff.errors import PluginError
    from ptdiff.modality import registry

    found = []
    for item in registry.modalities():
        try:
            registry.modality_class(item.name)
            found.append(Finding(f"modality {item.name}", "ok", item.target))
        except PluginError as error:
            found.append(Finding(f"modality {item.name}", "broken", str(error)))
    return found


def _try(code: str) -> subprocess.CompletedProcess[str]:
    # -P: without it, a module in the current folder would be run
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout.strip() or done.stderr.strip() or f"exit code {done.returncode}").splitlines()
    return lines[-1]
