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
        raise Failure("a requirement of ptdiff or a plugin is broken; see the lines above", 1)


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
    """Import each plugin in a process of its own: it may exit, crash or hang."""
    from ptdiff.modality.registry import DOOR
    from ptdiff.plugins.claims import claims
    from ptdiff.plugins.trial import tried
    from ptdiff_cli.shared.doors import builtin

    declared = claims(builtin())
    usable = [one.plugin for one in declared if one.state == "ok"]
    problems = dict(zip(usable, tried([[_USE.format(one.door), one.name] for one in usable]), strict=True))
    found = []
    for one in declared:
        plugin = one.plugin
        # the names of modalities have always stood here as they are
        what = f"modality {plugin.name}" if plugin.door == DOOR.name else f"{plugin.door}: {plugin.name}"
        if one.state == "ok":
            problem = problems[plugin]
            detail = plugin.target if plugin.builtin else f"{plugin.target} of {plugin.origin}"
            if problem is not None:
                detail = problem if plugin.origin in problem else f"{plugin.origin} {problem}"
            found.append(Finding(what, "ok" if problem is None else "broken", detail))
        else:
            state = "missing" if one.state == "disabled" else "broken"
            found.append(Finding(what, state, f"{plugin.origin} {one.detail}" if one.state != "clash" else one.detail))
    return found


_USE = "from ptdiff_cli.shared.doors import finder\nuse = finder({!r})"


def _try(code: str) -> subprocess.CompletedProcess[str]:
    # -P: without it, a module in the current folder would be run
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout.strip() or done.stderr.strip() or f"exit code {done.returncode}").splitlines()
    return lines[-1]
