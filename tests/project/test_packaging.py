"""What is installed, and what the repository promises about itself."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [p for folder in ("ptdiff", "plugins", "datasets", "cli", "examples") for p in (ROOT / folder).rglob("*.py")]


@pytest.mark.slow
def test_a_wheel_holds_only_names_that_start_with_ptdiff(tmp_path: Path) -> None:
    # built from a copy: a build folder left in the checkout would be packed too
    copy = tmp_path / "source"
    files = (
        subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    )
    for name in filter(None, files):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            target.write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--sdist",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "dist"),
        str(copy),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    packages = {"ptdiff", "ptdiff_cli", "ptdiff_datasets", "ptdiff_images", "ptdiff_pointcloud", "ptdiff_points2d"}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert all(any(name == f"{package}/py.typed" for name in names) for package in packages)
    in_wheel = {name for name in names if name.endswith(".py")}
    in_tree = {
        str(path.relative_to(ROOT if path.is_relative_to(ROOT / "ptdiff") else ROOT / path.relative_to(ROOT).parts[0]))
        for path in SOURCES
        if "examples" not in path.parts
    }
    assert in_wheel == in_tree
    recipes = {str(path.relative_to(ROOT / "plugins")) for path in (ROOT / "plugins").glob("*/recipes/*.yaml")}
    models = {
        str(path.relative_to(ROOT / "plugins")) for path in (ROOT / "plugins").glob("*/models/**/*") if path.is_file()
    }
    assert {name for name in names if name.endswith(".yaml")} == recipes | {m for m in models if m.endswith(".yaml")}
    assert {name for name in names if "/models/" in name} == models
    assert len({name.split("/")[2] for name in models}) == 3
    # in the wheel, which is compressed
    sizes = [info.compress_size for info in zipfile.ZipFile(wheel).infolist() if "/models/" in info.filename]
    assert sum(sizes) <= 3 * 10**6
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        held = {name.partition("/")[2] for name in packed.getnames()}
    assert {f"plugins/{name}" for name in models} <= held


FORBIDDEN = {
    "pickle": r"\bpickle\b(?!d|=False)",
    "eval": r"(?<![\w.])eval\(",
    "exec": r"(?<![\w.])exec\(",
    "yaml.load": r"yaml\.(load|unsafe_load|full_load)\(",
    "extractall": r"extractall",
    "torch.load": r"torch\.load\((?!.*weights_only=True)",
    "np.load without allow_pickle=False": r"np\.load\((?!.*allow_pickle=False)",
    "import of a name from outside": r"import_module\(|__import__\(",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_runs_code_from_files(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(FORBIDDEN[what], line.split("#")[0])
    ]
    # other libraries, by names that stand in the source, to compare with
    code = [place for place in found if not _in_prose(place) and not place.startswith("ptdiff/certify/peers/")]
    assert code == []


def _in_prose(place: str) -> bool:
    """Whether a line belongs to a docstring or a string."""
    import ast

    name, _, number = place.rpartition(":")
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return any(text.lineno <= int(number) <= (text.end_lineno or text.lineno) for text in texts)


def test_files_fit_one_sitting() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    long = {name: length for name, length in lengths.items() if length > 250}
    assert long == {}
    ordered = sorted(length for length in lengths.values() if length > 5)
    assert ordered[len(ordered) // 2] <= 130


def test_versions_agree() -> None:
    import tomllib

    import ptdiff

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ptdiff.__version__
    assert f"## {ptdiff.__version__}" in (ROOT / "CHANGELOG.md").read_text()
