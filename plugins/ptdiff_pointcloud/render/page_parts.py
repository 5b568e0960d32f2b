"""Style and script of the page of clouds.

The script draws spheres into the pixels of a canvas with a depth buffer: a sphere is a stamp of depths and shades that
is computed once for its radius. It avoids WebGL, which limits the number of contexts and is missing on some machines.
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #667; --paper: #fff; --line: #ccd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ec; --soft: #a0a4b0; --paper: #15171b; --line: #3a3d45; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 1rem; outline: none; }
header { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: center; color: var(--soft); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: .5rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; text-align: center; }
canvas { width: 100%; aspect-ratio: 1; display: block; cursor: grab; touch-action: none; }
figcaption { color: var(--soft); padding-bottom: .3rem; min-height: 1.5em; }
"""

SCRIPT = """
"use strict";
const text = name => document.getElementById(name).content.textContent;
const bytes = name => Uint8Array.from(atob(text(name)), c => c.charCodeAt(0));
const facts = JSON.parse(text("facts")), raw = new DataView(bytes("positions").buffer), rgb = bytes("colors");
const total = facts.states * facts.clouds * facts.points * 3, place = new Float32Array(total);
for (let i = 0; i < total; i++) place[i] = raw.getUint16(2 * i, true) * (2 * facts.reach / 65535) - facts.reach;
const canvases = [...document.querySelectorAll("canvas")], slider = document.querySelector("input");
let azimuth = facts.azimuth, elevation = facts.elevation, zoom = 1, asked = false;

// a sphere with this radius in pixels: offsets, height of each pixel toward the eye, and its brightness
function stamp(radius) {
  const found = [], reach = Math.ceil(radius), light = [-0.45, 0.65, 0.61];
  for (let y = -reach; y <= reach; y++) for (let x = -reach; x <= reach; x++) {
    const square = (x * x + y * y) / (radius * radius);
    if (square > 1) continue;
    const out = Math.sqrt(1 - square);
    const lit = Math.max(0, (x * light[0] - y * light[1]) / radius + out * light[2]);
    found.push(x, y, out * radius, 0.5 + 0.6 * lit);
  }
  return found.length ? found : [0, 0, 0, 0.9];
}

function draw(canvas, cloud) {
  const size = canvas.width, pen = canvas.getContext("2d"), image = pen.createImageData(size, size);
  const pixels = image.data, depth = new Float32Array(size * size).fill(-Infinity), scale = 0.46 * size * zoom;
  const sphere = stamp(Math.max(0.8, facts.radii[cloud] * scale)), state = slider ? +slider.value : 0;
  const a = azimuth * Math.PI / 180, e = elevation * Math.PI / 180;
  const right = [-Math.cos(a), 0, -Math.sin(a)];
  const up = [-Math.sin(a) * Math.sin(e), Math.cos(e), Math.cos(a) * Math.sin(e)];
  const near = [Math.sin(a) * Math.cos(e), Math.sin(e), -Math.cos(a) * Math.cos(e)];
  const first = (state * facts.clouds + cloud) * facts.points * 3, tint = cloud * facts.points * 3;
  for (let i = 0; i < 3 * facts.points; i += 3) {
    const p = place.subarray(first + i, first + i + 3);
    const along = axis => p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2];
    const x = Math.round(size / 2 + scale * along(right)), y = Math.round(size / 2 - scale * along(up));
    const z = along(near), fog = 0.86 + 0.14 * Math.max(-1, Math.min(1, z));
    for (let k = 0; k < sphere.length; k += 4) {
      const px = x + sphere[k], py = y + sphere[k + 1];
      if (px < 0 || py < 0 || px >= size || py >= size) continue;
      const at = py * size + px, front = scale * z + sphere[k + 2];
      if (front <= depth[at]) continue;
      depth[at] = front;
      for (let c = 0; c < 3; c++) pixels[4 * at + c] = rgb[tint + i + c] * sphere[k + 3] * fog;
      pixels[4 * at + 3] = 255;
    }
  }
  pen.putImageData(image, 0, 0);
}

function all() {
  asked = false;
  canvases.forEach((canvas, i) => {
    const side = Math.max(1, Math.round(canvas.clientWidth * Math.min(2, devicePixelRatio || 1)));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    draw(canvas, i);
  });
}
function ask() { if (!asked) { asked = true; requestAnimationFrame(all); } }
function turn(across, down) {
  azimuth += across;
  elevation = Math.max(-89, Math.min(89, elevation + down));
  ask();
}
function enlarge(factor) { zoom = Math.max(0.3, Math.min(8, zoom * factor)); ask(); }
function reset() { azimuth = facts.azimuth; elevation = facts.elevation; zoom = 1; ask(); }

for (const canvas of canvases) {
  canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", event => {
    if (event.buttons) turn(0.5 * event.movementX, 0.5 * event.movementY);
  });
  canvas.addEventListener("wheel", event => { event.preventDefault(); enlarge(Math.exp(-0.0015 * event.deltaY)); },
    { passive: false });
  canvas.addEventListener("dblclick", reset);
}
const keys = { ArrowLeft: () => turn(-10, 0), ArrowRight: () => turn(10, 0), ArrowUp: () => turn(0, -10),
  ArrowDown: () => turn(0, 10), "+": () => enlarge(1.2), "-": () => enlarge(1 / 1.2), "0": reset };
document.addEventListener("keydown", event => {
  if (!(event.key in keys) || event.target === slider) return;
  event.preventDefault();
  keys[event.key]();
});
if (slider) slider.addEventListener("input", ask);
addEventListener("resize", ask);
ask();
"""
