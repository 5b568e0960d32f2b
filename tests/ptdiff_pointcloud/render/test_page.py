"""The page of clouds: whole, quiet, and with what it says drawn where the pictures draw it."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ptdiff_pointcloud.render import page
from ptdiff_pointcloud.render.camera import orbit
from ptdiff_pointcloud.render.page_parts import SCRIPT, STYLE

CLOUDS = np.random.default_rng(0).normal(size=(3, 2, 40, 3)) * (3, 1, 2) + (100, -7, 0)
COLORS = np.random.default_rng(1).random((2, 40, 3))

DOM = """
const fs = require("fs"), [, , place, size, moves] = process.argv, parts = JSON.parse(fs.readFileSync(place));
const queue = [], keys = {};
const canvases = parts.names.map(() => ({ width: 1, height: 1, clientWidth: +size, on: {}, getContext() { return {
  createImageData: (w, h) => ({ data: new Uint8ClampedArray(4 * w * h) }),
  putImageData: image => { this.image = image; }
}; }, addEventListener(name, f) { this.on[name] = f; } }));
canvases.forEach(c => { c.getContext = c.getContext.bind(c); });
const slider = { value: parts.states - 1, addEventListener() {} };
globalThis.document = { getElementById: id => ({ content: { textContent: parts[id] } }),
  querySelectorAll: () => canvases, querySelector: () => slider, addEventListener: (name, f) => { keys[name] = f; } };
globalThis.addEventListener = () => {}; globalThis.devicePixelRatio = 1;
globalThis.requestAnimationFrame = f => queue.push(f);
const run = () => { while (queue.length) queue.shift()(); };
eval(parts.script); run();
for (const move of JSON.parse(moves)) { canvases[0].on.pointermove({ buttons: 1, ...move }); run(); }
process.stdout.write(JSON.stringify(canvases.map(c => Buffer.from(c.image.data).toString("base64"))));
"""


def parts(text: str) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in re.findall(r'<template id="(\w+)">([^<]*)</template>', text)}


def test_a_page_loads_nothing_and_its_hashes_are_those_of_what_it_holds() -> None:
    text = page(CLOUDS, COLORS, ["a <b>", "b"])
    assert not re.search(r"(src|href)=|https?:|url\(|import", text)
    for part in (STYLE, SCRIPT):
        assert f"sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}" in html.unescape(text)
    assert "a &lt;b&gt;" in text and "prefers-color-scheme: dark" in text
    assert text.count("<canvas>") == 2
    assert 'type="range"' in text and 'type="range"' not in page(CLOUDS[:1], COLORS, [])
    with pytest.raises(ValueError, match="1 titles for 2 clouds"):
        page(CLOUDS, COLORS, ["one"])


def test_what_a_page_holds_are_the_clouds() -> None:
    found = parts(page(CLOUDS, COLORS, []))
    facts = json.loads(found["facts"])
    raw = np.frombuffer(base64.b64decode(found["positions"]), "<u2").reshape(3, 2, 40, 3)
    places = raw * (2 * facts["reach"] / 65535) - facts["reach"]
    # the last state lies in the unit sphere, and all of them are the clouds up to a center and a scale of each cloud
    assert np.linalg.norm(places[-1], axis=-1).max() == pytest.approx(1 - facts["radii"][0], abs=0.05)
    for i in range(2):
        flat, true = places[-1, i] - places[-1, i].mean(0), CLOUDS[-1, i] - CLOUDS[-1, i].mean(0)
        scale = (flat * true).sum() / (true * true).sum()
        assert flat == pytest.approx(true * scale, abs=2e-4)
    colors = np.frombuffer(base64.b64decode(found["colors"]), np.uint8).reshape(2, 40, 3)
    assert np.abs(colors / 255 - COLORS).max() < 0.5 / 255 + 1e-9
    assert json.loads(parts(page(np.repeat(CLOUDS, 30, 0), COLORS, []))["facts"])["states"] == 25


def drawn(tmp_path: Path, text: str, size: int, moves: list[dict[str, float]]) -> list[np.ndarray]:
    """What the page's own script draws, by Node with as much of a browser as it asks for: (size, size, 4) each."""
    found = parts(text)
    facts = json.loads(found["facts"])
    place = tmp_path / "parts.json"
    place.write_text(
        json.dumps({**found, "script": SCRIPT, "names": [""] * facts["clouds"], "states": facts["states"]})
    )
    (tmp_path / "dom.js").write_text(DOM)
    command = ["node", tmp_path / "dom.js", place, str(size), json.dumps(moves)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    pictures = [np.frombuffer(base64.b64decode(p), np.uint8) for p in json.loads(done.stdout)]
    return [picture.reshape(size, size, 4) for picture in pictures]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node runs the page's script here, and is not installed")
def test_the_script_draws_points_where_the_camera_sees_them_and_turns_them(tmp_path: Path) -> None:
    # three far points of their own colors, the first of which lies in front of a fourth
    points = np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0], [0, 0, 0.2]])
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    text = page(points[None, None], colors[None], [])
    facts = json.loads(parts(text)["facts"])
    raw = np.frombuffer(base64.b64decode(parts(text)["positions"]), "<u2").reshape(4, 3)
    places = raw * (2 * facts["reach"] / 65535) - facts["reach"]
    for across, down in ((0.0, 0.0), (100.0, -20.0), (-140.0, 60.0)):
        (picture,) = drawn(tmp_path, text, 200, [{"movementX": across, "movementY": down}])
        view = orbit(38 + 0.5 * across, 26 + 0.5 * down, 200)
        for k in range(3):
            others = np.delete(np.arange(3), k)
            mine = (picture[..., 3] > 0) & (picture[..., k] > 60) & (picture[..., others] < 40).all(axis=-1)
            row, column = np.argwhere(mine).mean(0)
            # seen from afar, without perspective
            right, up = (92 * float(places[k] @ view.axes[i]) for i in (0, 1))
            assert (column, row) == pytest.approx((100 + right, 100 - up), abs=6)
