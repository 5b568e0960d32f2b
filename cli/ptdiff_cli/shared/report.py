"""``ptdiff eval --report``: an evaluation as one HTML page that loads nothing else.

It shows samples, scores, nearest training samples, failures, losses and the configuration.  It needs only the
visualizer and nearest neighbors of a modality, so it works for all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.documents.jsons import json_lines
from ptdiff.pictures.media import STYLE, html_page, players, png
from ptdiff_cli.shared.charts import interval, lines

if TYPE_CHECKING:
    from ptdiff.evaluation import Evaluation, Nearest
    from ptdiff.modality.types import Array
    from ptdiff.modality.visualizer import Visualizer

ALONE = 64
"""If a visualizer shows more samples than this in one image, they are points, not things, and are shown together."""

SHOWN = 8
"""Number of things shown as neighbors and as failures."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #667; --paper: #fff; --line: #ccd; --band: #f4f5f8;
  --a: #2563c9; --b: #c2410c; --c: #15803d; --d: #9333ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ec; --soft: #a0a4b0; --paper: #15171b; --line: #3a3d45;
  --band: #1e2127; --a: #7aa9ff; --b: #ff9d66; --c: #6fd08c; --d: #cf9bff; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 68rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } p { color: var(--soft); }
table { border-collapse: collapse; } td, th { padding: .25rem .9rem .25rem 0; text-align: left;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: #fff; border-radius: 6px; } figure { margin: 0; }
pre { background: var(--band); padding: .8rem; overflow-x: auto; font-size: .85rem; border-radius: 6px; }
svg { max-width: 42rem; } svg.mini { width: 160px; height: 20px; } text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--line); } polyline { fill: none; stroke-width: 2; } .range { stroke: var(--a); stroke-width: 3; }
.floor { stroke: var(--b); stroke-width: 2; } .dot { fill: var(--a); } circle.s0 { fill: var(--a); }
circle.s1 { fill: var(--b); } circle.s2 { fill: var(--c); } circle.s3 { fill: var(--d); }
polyline.s0 { stroke: var(--a); } polyline.s1 { stroke: var(--b); } polyline.s2 { stroke: var(--c); }
polyline.s3 { stroke: var(--d); } .key { margin-right: 1rem; } .k0 { color: var(--a); } .k1 { color: var(--b); }
.k2 { color: var(--c); } .k3 { color: var(--d); }
"""


def write_report(path: Path, evaluation: Evaluation, call: str) -> None:
    """Write the page of an evaluation to ``path``; ``call`` is the command line shown on it."""
    from ptdiff.documents.atomic import write_atomic

    run, result = evaluation.run, evaluation.to_json()
    samples, titles = evaluation.samples.stored.samples, evaluation.samples.stored.titles
    visualizer = run.modality().visualizer()
    name = run.path.resolve().name
    body = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{escape(run.config.modality)}, step {result['step']:,}; {result['n']} samples against "
        f"{result['n']} of the {escape(result['reference']['split'])} split, by the protocol "
        f"{escape(result['protocol'])}: {escape(result['measures'])}.</p>",
        _section(
            "Scores", _figures(result), "Dot and bar: value and 95 % interval. Tick: floor, the score of real samples."
        ),
        *_pictures(visualizer, samples, titles, evaluation.copies, evaluation.misses),
        _section("Loss by noise level", _losses(run.path / "metrics.jsonl"), "The last recorded loss of each kind."),
        _section("How it was made", _pre(call) + _pre(_json({k: v for k, v in result.items() if k != "metrics"}))),
        _section("Configuration", _pre(run.config.to_yaml()) + _pre(_text(run.path / "env.json"))),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, html_page(name, _STYLE + STYLE, chr(10).join(body)))


def _section(title: str, body: str, text: str = "") -> str:
    return f"<section><h2>{escape(title)}</h2>{f'<p>{escape(text)}</p>' if text else ''}{body}</section>"


def _pre(text: str) -> str:
    return f"<pre>{escape(text.strip())}</pre>"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else f"{path.name} does not exist"


def _figures(result: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{escape(name)}</td><td>{s['value']:.4g}</td><td>{s['low']:.4g} – {s['high']:.4g}</td>"
        f"<td>{s['floor']:.4g}</td><td>{interval(s['value'], s['low'], s['high'], s['floor'])}</td></tr>"
        for name, s in result["metrics"].items()
    ]
    return (
        f"<table><tr><th></th><th>value</th><th>95 % interval</th><th>floor</th><th></th></tr>{''.join(rows)}</table>"
    )


def _pictures(
    visualizer: Visualizer, samples: Array, titles: Sequence[str], training: Nearest, reference: Nearest
) -> list[str]:
    from ptdiff.modality.ragged import sets_of

    many = min(visualizer.many, len(samples))
    first = _shown(visualizer, sets_of(samples[:many]), titles[:many])
    sections = [_section("Samples", first, f"The first {many}.")]
    near, far = _order(training), _order(reference)[::-1]
    if visualizer.many > ALONE:
        neighbors = png(visualizer.sheet(sets_of(training.samples[:many].numpy()), []))
        farthest = far[: max(2, len(far) // 20)]
        failures = png(visualizer.sheet(sets_of(samples[farthest]), []))
        about = ("The nearest training sample of each.", "The 5 % farthest from the reference.")
    else:
        neighbors = _shown(visualizer, *_pairs(samples, training, near[:SHOWN], "training"))
        failures = _shown(visualizer, *_pairs(samples, reference, far[:SHOWN], "reference"))
        about = (
            "The samples nearest to a training sample, each beside it; copies would show here.",
            "The samples farthest from the reference, each beside its nearest reference sample.",
        )
    return [
        *sections,
        _section("Nearest training samples", neighbors, f"{about[0]} {_spread(training)}"),
        _section("Failures", failures, f"{about[1]} {_spread(reference)}"),
    ]


def _shown(visualizer: Visualizer, samples: Array, titles: Sequence[str]) -> str:
    """The image of samples, and players if they can be heard or played."""
    image = png(visualizer.sheet(samples, titles))
    return image + players([visualizer.media(x) for x in samples], titles) if visualizer.has_media else image


def _order(near: Nearest) -> list[int]:
    distance = near.distance.tolist()
    return sorted(range(len(distance)), key=distance.__getitem__)


def _spread(near: Nearest) -> str:
    ranked = sorted(near.distance.tolist())
    at: Callable[[float], float] = lambda share: ranked[min(len(ranked) - 1, int(share * len(ranked)))]  # noqa: E731
    return f"Distances: minimum {ranked[0]:.3g}, median {at(0.5):.3g}, maximum {ranked[-1]:.3g}."


def _pairs(samples: Array, near: Nearest, chosen: Sequence[int], what: str) -> tuple[Any, list[str]]:
    """Each chosen sample, then its nearest neighbor, with titles.

    Clouds of one size next to those of another are cut to the smaller one.
    """
    import numpy as np

    from ptdiff.modality.ragged import is_ragged

    nearest = near.samples.numpy()
    if is_ragged(samples) or is_ragged(nearest):
        whole = [x[i][~np.isnan(x[i]).reshape(x.shape[1], -1).all(1)] for i in chosen for x in (samples, nearest)]
        pairs = np.empty(len(whole), dtype=object)
        pairs[:] = whole
        return pairs, _beside(near, chosen, what)
    size = min(samples.shape[1], nearest.shape[1])
    both = [x for i in chosen for x in (samples[i, :size], nearest[i, :size])]
    return np.stack(both), _beside(near, chosen, what)


def _beside(near: Nearest, chosen: Sequence[int], what: str) -> list[str]:
    return [title for i in chosen for title in (f"sample {i}", f"{what}, {near.distance[i]:.3g}")]


def _losses(path: Path) -> str:
    """Charts of the last list of each kind in metrics.jsonl, over bands of equal width in the angle."""
    found: dict[str, list[float | None]] = {}
    for values in json_lines(path):
        found |= {k: v for k, v in values.items() if isinstance(v, list) and any(isinstance(x, float) for x in v)}
    positive = {k: v for k, v in found.items() if all(x is None or x > 0 for x in v)}
    rest = {k: v for k, v in found.items() if k not in positive}
    ends = ("clean data", "noise")
    across = f"noise level as an angle, 0 to {math.pi / 2:.3g}"
    return lines(positive, across, ends) + (lines(rest, across, ends) if rest else "")
