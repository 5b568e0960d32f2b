"""Put the results of results/*.json into the documents, between the markers that name them.

    python benchmarks/figures.py

A test fails if a document does not agree with the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {"1nna_cd": "1-NNA-CD, %", "cov_cd": "COV-CD, %", "mmd_cd": "MMD-CD"}


def demo(result: dict[str, Any]) -> str:
    """Main scores of an eval.json of point clouds."""
    rows = ["| metric | value | 95 % interval | floor |", "|---|---|---|---|"]
    for key, name in NAMES.items():
        score = result["metrics"][key]
        rows.append(
            f"| {name} | {score['value']:.4g} | {score['low']:.4g} to {score['high']:.4g} | {score['floor']:.4g} |"
        )
    sampling = result["sampling"]
    rows.append("")
    rows.append(
        f"n = {result['n']} held-out shapes of {sampling['shape'][0]} points, {result['step']} training steps, "
        f"{sampling['solver']['name']} with {sampling['calls']:g} network calls per sample."
    )
    return "\n".join(rows)


def demos(result: dict[str, Any]) -> str:
    """Runs of the demo, one machine per row."""
    rows = ["| machine | steps in 8 minutes | 1-NNA-CD, % | 95 % interval | floor |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        score = row["scores"]["1nna_cd"]
        interval = f"{score['low']:.1f} to {score['high']:.1f}"
        cells = [row["machine"], f"{row['steps']:,}", f"{score['value']:.1f}", interval, f"{score['floor']:.1f}"]
        rows.append(f"| {' | '.join(cells)} |")
    first = result["rows"][0]
    rows += ["", f"n = {first['n']} held-out shapes of {first['shape'][0]} points, one seed each."]
    return "\n".join(rows)


def processes_and_solvers(result: dict[str, Any]) -> str:
    """1-NNA by process and solver."""
    processes = list(dict.fromkeys(row["process"] for row in result["rows"]))
    solvers = list(dict.fromkeys(row["solver"] for row in result["rows"]))
    value = {(row["process"], row["solver"]): row for row in result["rows"]}
    rows = [f"| solver (calls) | {' | '.join(processes)} |", "|---" * (len(processes) + 1) + "|"]
    for solver in solvers:
        cells = [f"{value[p, solver]['1nna_cd']['value']:.1f}" for p in processes]
        rows.append(f"| {solver} ({value[processes[0], solver]['calls']}) | {' | '.join(cells)} |")
    first = result["rows"][0]["1nna_cd"]
    widest = max(row["1nna_cd"]["high"] - row["1nna_cd"]["low"] for row in result["rows"]) / 2
    rows.append("")
    rows.append(
        f"n = {result['n']}, {result['shape'][0]} points; floor {first['floor']:.1f}; "
        f"95 % intervals reach up to ±{widest:.1f}."
    )
    return "\n".join(rows)


def mnist(result: dict[str, Any]) -> str:
    """Scores of mnist-cond and mnist-ddpm."""
    rows = ["| recipe | sampler | FID-lenet | floor | read as asked |", "|---|---|---|---|---|"]
    for name, found in result.items():
        if "scores" not in found:
            continue
        fid, read = found["scores"]["fid_lenet"], found["scores"].get("read_as_asked")
        asked = "" if read is None else f"{read['value']:.1%} ({read['low']:.1%} to {read['high']:.1%})"
        interval = f"{fid['value']:.3g} ({fid['low']:.3g} to {fid['high']:.3g})"
        rows.append(f"| {name} | {found['sampler']} | {interval} | {fid['floor']:.3g} | {asked} |")
    rows += ["", "| recipe | test bits per dimension | standard error | n | training steps |", "|---|---|---|---|---|"]
    for name in ("mnist-cond", "mnist-ddpm"):
        found, trained = result[f"{name}: likelihood"], result[f"{name}: training"]
        bits = found["bits_per_dimension"]
        cells = [name, f"{bits['value']:.3f}", f"{bits['standard_error']:.3f}", found["n"], f"{trained['steps']:,}"]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    asked, threads = result["asked"], result["environment"]["threads"]
    each = "1 thread" if threads == 1 else f"{threads} threads"
    rows += ["", f"n = {asked['n']} images; each recipe was trained for {asked['minutes']:g} minutes on {each}."]
    return "\n".join(rows)


def metrics_speed(result: dict[str, Any]) -> str:
    """Cost of the metrics for point clouds."""
    rows = ["| measurement | threads | cost |", "|---|---|---|"]
    names = {"chamfer_ms_a_pair": "Chamfer distance", "exact_emd_ms_a_pair": "exact EMD"}
    for key, name in names.items():
        for points, cost in result["one_thread"][key].items():
            rows.append(f"| {name} of one pair, {int(points):,} points | 1 | {cost:.2g} ms |")
    threads = next(int(key.removesuffix("_threads")) for key in result if key.endswith("_threads"))
    several = result[f"{threads}_threads"]
    for key, name in {"1nna_cd": "1-NNA-CD", "1nna_emd_exact": "1-NNA-EMD, exact"}.items():
        for row in several[key]:
            of = "ten classes" if row["classes"] == "ten" else f"only {row['classes']}s"
            what = f"{name}, {row['clouds']} against {row['clouds']} clouds of {row['points']:,} points, {of}"
            share = f"{row['pairs_computed']:.1%} of the pairs computed in full"
            rows.append(f"| {what} | {threads} | {row['seconds']:.0f} s, {share} |")
    whole = several["full_set_with_floor_300_of_2048_seconds"]
    rows.append(f"| `full-set` with its floor, three times 300 clouds of 2,048 points | {threads} | {whole:.0f} s |")
    return "\n".join(rows)


def swissroll(result: dict[str, Any]) -> str:
    """Scores on the swiss roll, one seed per row."""
    rows = ["| seed | training time, s | sliced Wasserstein | floor (training points) |", "|---|---|---|---|"]
    rows += [
        f"| {row['seed']} | {row['seconds']:.1f} | {row['sliced_wasserstein']:.4f} | {row['floor']:.4f} |"
        for row in result["runs"]
    ]
    median = result["median"]
    rows += [
        "",
        f"n = {result['n']:,} on both sides. Medians: {median['seconds']:.1f} s, {median['sliced_wasserstein']:.4f}.",
        f"The distance between two halves of the data is {result['between_halves']:.4f} (root mean square of 20 "
        f"pairs). The median score is {result['ratio_to_mean_halves']:.2f} times that.",
    ]
    return "\n".join(rows)


def machine(result: dict[str, Any]) -> str:
    """Machine that the results were measured on."""
    rows = [row for row in result.get("rows", []) if isinstance(row, dict)]
    facts = result.get("machine") or (rows[0].get("facts") if rows else None)
    if facts is None:
        return "Machine not recorded."
    sets = {row["facts"]["instruction_set"] for row in rows if "facts" in row}
    instructions = facts["instruction_set"] if len(sets) < 2 else "instruction sets as in the table"
    peaks = facts.get("gemm_gflops", {})
    reach = ", ".join(f"{peak:,.0f} in {name}" for name, peak in peaks.items())
    gpu = "" if facts["gpu"] is None else f", {facts['gpu']}"
    products = f"; matrix products reach {reach} (GFLOP/s)" if reach else ""
    return f"Machine: {facts['processor']}, {instructions}, {facts['cores']} cores{gpu}{products}."


def fine_tuning(result: dict[str, Any]) -> str:
    """Scores of a fine-tuned model and of the same network trained from scratch."""
    rows = ["| initial weights | seed | steps | 1-NNA-CD, % | 95 % interval | floor |", "|---|---|---|---|---|---|"]
    for row in result["rows"]:
        score = row["1nna_cd"]
        begun = f"`{result['start']}`" if row["way"] == "fine-tuned" else "random"
        interval = f"{score['low']:.1f} to {score['high']:.1f}"
        cells = [begun, row["seed"], f"{row['steps']:,}", f"{score['value']:.1f}", interval, f"{score['floor']:.1f}"]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    gains = ", ".join(f"{g['value']:.1f} ({g['low']:.1f} to {g['high']:.1f})" for g in result["better_by"])
    rows += [
        "",
        f"{result['shapes']} training shapes of the class {result['class']}, {result['minutes']:g} minutes each; "
        f"n = {result['n']} held-out shapes of {result['points']} points. Fine-tuning lowers 1-NNA by {gains} points.",
    ]
    return "\n".join(rows)


def torture(result: dict[str, Any]) -> str:
    """Kills, damages and faults that were tried, by kind."""
    rows = ["| kind | tried | broken promises | minutes |", "|---|---|---|---|"]
    for kind, found in result["kinds"].items():
        counts = {key: value for key, value in found.items() if key not in ("broken", "minutes", "reasons")}
        words = ", ".join(
            f"{value:,} {key.replace('_', ' ')}" if isinstance(value, int) else f"{key} {value}"
            for key, value in counts.items()
        )
        rows.append(f"| {kind} | {words} | {found['broken']} | {found['minutes']:g} |")
    kills = [found for kind, found in result["kinds"].items() if kind.startswith("kills")]
    inside = sum(found.get("inside_a_save", 0) for found in kills)
    rows += [
        "",
        f"Together {sum(found['kills'] for found in kills):,} kills; {inside:,} of those of whole runs hit a save.",
    ]
    return "\n".join(rows)


def memory(result: dict[str, Any]) -> str:
    """Memory of importing and training, by the number of files."""
    kinds = ("import", "train on the store", "train on the folder")
    rows = [f"| files | points | {' | '.join(kinds)} |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        cells = [
            f"{row[kind]['anonymous MB']:.0f} MB ({row[kind]['resident MB']:.0f})" if kind in row else "not measured"
            for kind in kinds
        ]
        rows.append(f"| {row['files']:,} | {row['points']:,} | {' | '.join(cells)} |")
    rows += [
        "",
        "Peak memory of the process. In parentheses: with the pages of mapped files, which the system takes back when "
        f"it needs them. Files of {result['points a file']} points; training for {result['steps']} steps. The folder "
        "was read with an empty cache, so that column includes its import.",
    ]
    return "\n".join(rows)


def engines(result: dict[str, Any]) -> str:
    """Overhead of the executor, and two workers compared with one."""
    one, two = result["one worker, s"], result["two workers, s"]
    return "\n".join(
        [
            f"| {result['clouds']:,} clouds of {result['points']} points | wall time | processor time |",
            "|---|---|---|",
            f"| one worker | {one['wall']:.0f} s | {one['processor']:.0f} s |",
            f"| two workers | {two['wall']:.0f} s | {two['processor']:.0f} s |",
            f"| two compared with one | {result['two workers to one, wall']:.2f} | "
            f"{two['processor'] / one['processor']:.2f} |",
            f"| overhead of one worker over `model.sample` | {result['overhead of the executor, %']:.2f} % | |",
            "",
            f"Heun, {result['heun steps']} steps. One run each; the two workers had {result['cores had']:.2f} cores.",
        ]
    )


def few_step(result: dict[str, Any]) -> str:
    """Distance to held-out points by the number of network calls."""
    calls = list(next(iter(result["rows"].values())))
    rows = [f"| calls | {' | '.join(calls)} |", "|---|" + "---|" * len(calls)]
    for name, row in result["rows"].items():
        cells = [f"{row[call]['value']:.3f} ({row[call]['low']:.3f} to {row[call]['high']:.3f})" for call in calls]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    floor = next(iter(result["rows"].values()))[calls[0]]["floor"]
    took = result["training, s"]
    return "\n".join(
        [
            *rows,
            "",
            f"Sliced Wasserstein distance of {result['n']:,} samples to held-out points of the swiss roll, floor "
            f"{floor:.3f}. The map started from the shipped model `swissroll` and trained for {result['steps']:,} "
            f"steps, {took['processor']:.0f} s of processor time; the solvers sample the shipped model. One training; "
            f"mean of {result['seeds']} seeds of the samples, and their widest 95 % interval.",
        ]
    )


PLACES: dict[str, tuple[Path, Callable[[dict[str, Any]], str]]] = {
    "demo": (ROOT / "README.md", demos),
    "demo_400": (ROOT / "docs" / "point-clouds.md", demo),
    "tables": (ROOT / "docs" / "point-clouds.md", demo),
    "tables_8_minutes": (ROOT / "docs" / "point-clouds.md", demo),
    "torture": (ROOT / "docs" / "reliability.md", torture),
    "engines": (ROOT / "docs" / "many-machines.md", engines),
    "few_step": (ROOT / "docs" / "few-step.md", few_step),
    "memory": (ROOT / "docs" / "data.md", memory),
    "swissroll": (ROOT / "docs" / "points2d.md", swissroll),
    "metrics_speed": (ROOT / "docs" / "metrics.md", metrics_speed),
    "mnist": (ROOT / "docs" / "images.md", mnist),
    "fine_tuning": (ROOT / "docs" / "fine-tuning.md", fine_tuning),
    "processes_and_solvers": (ROOT / "docs" / "processes-and-solvers.md", processes_and_solvers),
}


def filled(name: str) -> tuple[Path, str]:
    """Document with the results of ``results/<name>.json`` filled in."""
    page, table = PLACES[name]
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    pattern = rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)"
    text, count = re.subn(
        pattern,
        lambda m: f"{m[1]}\n{table(result)}\n\n{machine(result)}\n\n{m[2]}",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{page} has {count} places for the results of {name}, not 1")
    return page, text


def main() -> None:
    """Fill all documents; results that do not exist yet are skipped."""
    for name in PLACES:
        if not (RESULTS / f"{name}.json").is_file():
            print(f"{name}.json does not exist: skipped")
            continue
        page, text = filled(name)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
