"""docs/api.txt lists everything public with its signature, so that nothing changes by accident."""

import difflib
import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_public_names_and_signatures_are_those_on_record() -> None:
    spec = importlib.util.spec_from_file_location("public_api", ROOT / "tools" / "public_api.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    recorded = (ROOT / "docs" / "api.txt").read_text(encoding="utf-8").splitlines()
    changed = [
        line
        for line in difflib.unified_diff(recorded, list(tool.lines()), lineterm="", n=0)
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changed == [], "public names changed: if that is meant, python tools/public_api.py > docs/api.txt"
