"""Run the commands of docs/gallery.md from top to bottom: python docs/build_gallery.py [--again].

Trained runs, and images that are newer than their run, are kept, so an interrupted build continues where it stopped.
With --again, all images are made again from the existing runs.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRAINED = ".trained"
"""Marks the folder of a finished run; a run without this file is resumed."""


def commands(page: str) -> list[list[str]]:
    """Commands of a page in order, each as its words after ``ptdiff``."""
    blocks = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines() if line.startswith("ptdiff ")]


def target(words: list[str]) -> Path:
    """File or folder that a command makes: the value of --out."""
    return ROOT / words[words.index("--out") + 1]


def up_to_date(words: list[str]) -> bool:
    """True if the image of a command exists and is newer than its run."""
    made = target(words)
    runs = [ROOT / word / TRAINED for word in words if word.startswith("runs/")]
    return made.exists() and all(run.exists() and made.stat().st_mtime >= run.stat().st_mtime for run in runs)


def main() -> None:
    """Train the missing runs and make the missing images."""
    parser = argparse.ArgumentParser(description="Build the images of docs/gallery.md.")
    parser.add_argument("--again", action="store_true", help="make all images again")
    again = parser.parse_args().again
    ptdiff = [str(Path(sys.executable).with_name("ptdiff"))]
    began = time.monotonic()
    for words in commands((ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")):
        out = target(words)
        if words[0] == "train":
            if (out / TRAINED).exists():
                continue
            begun = (out / "config.yaml").exists()
            subprocess.run([*ptdiff, *(["resume", str(out)] if begun else words)], check=True, cwd=ROOT)
            (out / TRAINED).touch()
        elif again or not up_to_date(words):
            subprocess.run([*ptdiff, *words], check=True, cwd=ROOT)
    print(f"docs/gallery.md is up to date, {(time.monotonic() - began) / 60:.1f} min")


if __name__ == "__main__":
    main()
