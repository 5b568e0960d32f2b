"""Every notebook runs from its first cell to its last, at small size, in a kernel of its own."""

import os
import re
from pathlib import Path
from unittest import mock

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def test_every_notebook_is_here() -> None:
    assert {path.stem for path in NOTEBOOKS} == {
        "intro_ddpm",
        "intro_ddim",
        "edm_preconditioning",
        "flow_matching",
        "guidance",
        "swissroll",
        "mnist",
        "point_clouds",
        "write_a_plugin",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_a_title_and_says_what_it_shows(path: Path) -> None:
    cells = jupytext.read(path).cells
    assert cells[0].cell_type == "markdown"
    assert re.match(r"# \w", cells[0].source)
    assert sum(cell.cell_type == "markdown" for cell in cells) >= 4


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_draws(path: Path, tmp_path: Path) -> None:
    notebook = jupytext.read(path)
    settings = {"PTDIFF_NOTEBOOK_SIZE": "small", "OMP_NUM_THREADS": "1"}
    with mock.patch.dict(os.environ, settings):
        client = NotebookClient(
            notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        # an error in a cell is raised with its traceback
        client.execute()
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
