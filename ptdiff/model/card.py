"""Model cards: Markdown with the metadata that the Hugging Face Hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from ptdiff.run.exported import LIBRARY, PICTURE


def plain(text: object) -> str:
    r"""``text`` on a card as it is: in one line, without meaning in Markdown or HTML.

    Names of classes, files and metrics may come from a stranger's run, and the card is published by whoever exports it.

    >>> plain("chair\n# <b>")
    'chair # \\<b\\>'
    """
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return re.sub(r"([\\`<>\[\]|])", r"\\\1", " ".join(line.split()))


def literal(text: str) -> str:
    """``text`` as a string of Python, in double quotes if it needs no escapes."""
    return f'"{text}"' if text.isprintable() and not set('"\\') & set(text) else repr(text)


def score_table(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The lines of a table of scores, given as in eval.json: value, interval and floor."""
    rows = [
        f"| {plain(name)} | {s['value']:.4g} | {s['low']:.4g} to {s['high']:.4g} | {s['floor']:.4g} |"
        for name, s in scores.items()
    ]
    return ["| metric | value | 95 % interval | floor |", "|---|---|---|---|", *rows]


def measurement(found: Mapping[str, Any]) -> str:
    """A sentence about the measurement in an eval.json: protocol, number and shape of samples, solver and its cost."""
    sampling, measures = found["sampling"], str(found["measures"])
    shape = tuple(map(int, sampling["shape"]))
    return (
        f"{plain(measures[:1].upper() + measures[1:])}; n = {int(found['n'])} held-out samples of shape {shape}, "
        f"{plain(sampling['solver']['name'])} with {sampling['calls']:g} network calls per sample."
    )


def page(
    facts: Mapping[str, Any], name: str, parameters: int, license: str | None, half: bool, *, picture: bool
) -> str:
    """The card of an exported model.

    ``facts``: the contents of config.json.  ``parameters``: their number.  ``half``: weights in float16.
    ``picture``: the folder has an image of samples.
    """
    config, plugin, measured = facts["config"], facts["plugin"], facts.get("eval")
    classes = facts["data"].get("classes") or []
    install = "ptdiff" if plugin["distribution"] == LIBRARY else f"ptdiff {plugin['distribution']}"
    some = f"16, label={literal(str(classes[0]))}" if classes else "16"
    lines = ["---", *_metadata(facts, name, license), "---", "", f"# {name}", ""]
    if picture:
        lines += [f"![Samples]({PICTURE})", ""]
    lines += [
        f"A diffusion model of the modality `{config['modality']}`"
        + (f" with {len(classes)} classes: {', '.join(map(plain, classes))}." if classes else "."),
        "",
        "```",
        f"pip install {install}",
        "```",
        "",
        "```python",
        "import ptdiff",
        "",
        f'model = ptdiff.load("{name}")  # this folder, or hf://owner/{name}@revision',
        f"samples = model.sample({some})",
        'samples.save("samples.npz")',
        "```",
        "",
        "## Scores",
        "",
    ]
    if measured is None:
        lines += ["Not measured.", ""]
    else:
        lines += [*score_table(measured["metrics"]), "", measurement(measured), ""]
        lines += [
            "The floor is the score of training samples in place of generated ones.",
            *([f"Note: {plain(measured['note'])}."] if measured.get("note") else []),
            "",
        ]
    lines += ["## Training", "", *_training(facts, parameters, half), ""]
    return "\n".join(lines)


def _training(facts: Mapping[str, Any], parameters: int, half: bool) -> list[str]:
    config, plugin, elapsed = facts["config"], facts["plugin"], facts.get("elapsed")
    machine = _mapping(facts.get("environment", {}).get("machine"))
    samples = _mapping(facts["data"].get("samples"))
    data = config["options"].get("data")
    where = f" on {plain(machine['processor'])} (torch {plain(machine.get('torch'))})" if "processor" in machine else ""
    splits = ", ".join(f"{n:,} {plain(split)}" for split, n in samples.items() if isinstance(n, int))
    return [
        f"- {parameters:,} parameters, {'float16' if half else 'float32'}; {facts['step']:,} steps"
        + (f" in {elapsed / 60:.1f} minutes" if elapsed else "")
        + where
        + ".",
        *([f"- Data: {plain(data)}, {splits}."] if data else []),
        f"- Process {plain(config['process']['name'])}, prediction {plain(config['prediction'])}, objective "
        f"{plain(config['objective']['name'])}.",
        f"- Plugin `{plugin['distribution']}` {plugin['version']}, ptdiff {facts['ptdiff']}.",
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _metadata(facts: Mapping[str, Any], name: str, license: str | None) -> list[str]:
    """Lines of the YAML block: see huggingface.co/docs/hub/model-cards."""
    modality = facts["config"]["modality"]
    found: dict[str, Any] = {"library_name": LIBRARY, "tags": ["diffusion", modality]}
    if license is not None:
        found["license"] = license
    if modality == "images":
        found["pipeline_tag"] = "unconditional-image-generation"
    if "eval" in facts:
        metrics = [
            {"type": key, "name": key, "value": score["value"]} for key, score in facts["eval"]["metrics"].items()
        ]
        task = {"type": found.get("pipeline_tag", "other"), "name": f"generation ({modality})"}
        data = str(facts["config"]["options"].get("data", modality))
        found["model-index"] = [
            {"name": name, "results": [{"task": task, "dataset": {"name": data, "type": data}, "metrics": metrics}]}
        ]
    return yaml.safe_dump(found, sort_keys=False).strip().splitlines()
