"""Every promise on the reliability page links a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
LINK = re.compile(r"\[`(test_\w+)`\]\((\S+)\)")


def test_every_promise_links_a_test_that_exists() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Promises")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        links = LINK.findall(row)
        assert links, f"no test: {row}"
        for name, file in links:
            text = (PAGE.parent / file).read_text(encoding="utf-8")
            assert f"def {name}(" in text, f"{file} has no {name}"
