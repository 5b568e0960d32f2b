"""Nothing in the sources runs code from files, and only a few modules write: both are read from the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("ptdiff", "plugins", "datasets", "cli", "examples")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if "tests" not in path.parts]

MODULES = frozenset({"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "runpy", "code", "imp"})
"""Modules whose purpose is to run code or to make objects from bytes."""

CALLS = {
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec"), "runs text"),
    **dict.fromkeys(("importlib.import_module", "importlib.__import__"), "imports a name"),
    **dict.fromkeys(
        ("importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader"), "imports a file"
    ),
    **dict.fromkeys(("torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"), "runs a stored program"),
    **dict.fromkeys(
        ("yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all"), "makes objects"
    ),
    **dict.fromkeys(("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), "runs a shell"),
    **dict.fromkeys(("ctypes.CDLL", "ctypes.cdll.LoadLibrary", "numpy.ctypeslib.load_library"), "loads a library"),
    **dict.fromkeys(("importlib.metadata.EntryPoint", "importlib.metadata.entry_points"), "finds entry points"),
    "tempfile.mktemp": "returns a name that another process may take",
    "shutil.unpack_archive": "extracts without looking",
}
"""Calls that are never needed, by their full names."""

ALLOWED = {
    # names that are constants of the source: the front door, the commands, libraries to compare with
    "ptdiff/__init__.py": {"imports a name"},
    "cli/ptdiff_cli/main.py": {"imports a name"},
    "ptdiff/certify/peers": {"imports a name"},
    # libraries of the system, by names that are constants, to say which one is missing
    "ptdiff/machine/libraries.py": {"loads a library"},
    # what --trust names, and what installed distributions declare: a file chooses among those names
    "ptdiff/plugins/loading.py": {"imports a name"},
    # the installed package that is being checked, in a process of its own
    "ptdiff/testing/package_checks.py": {"finds entry points"},
    "ptdiff/testing/probe.py": {"imports a name"},
}


def _names(tree: ast.AST) -> dict[str, str]:
    """What the names of a module stand for: np -> numpy, load -> torch.load."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _full(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full(node.value, names)}.{node.attr}"
    return ""


def _is(node: ast.expr, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _says(call: ast.Call, name: str, value: bool) -> bool:
    """True if a keyword is given as a constant of the source."""
    return any(keyword.arg == name and _is(keyword.value, value) for keyword in call.keywords)


def dangers(source: str) -> Iterator[tuple[int, str]]:
    """Lines of a module that may run what a file holds, each with the reason."""
    tree = ast.parse(source)
    names = _names(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((node.lineno, f"imports {m}") for m in modules if m.partition(".")[0] in MODULES)
        if isinstance(node, ast.keyword) and node.arg in ("shell", "allow_pickle", "trust_remote_code"):
            yield from () if _is(node.value, False) else [(node.value.lineno, f"says {node.arg}")]
        if not isinstance(node, ast.Call):
            continue
        name = _full(node.func, names)
        if name == "ctypes.CDLL" and isinstance(node.args[0], ast.Constant):
            continue
        if name == "getattr" and ast.unparse(node.args[0]) in ("builtins", "__builtins__"):
            yield node.lineno, CALLS["eval"]
        if name in CALLS:
            yield node.lineno, CALLS[name]
        elif name == "torch.load" and not _says(node, "weights_only", True):
            yield node.lineno, "torch.load without weights_only=True"
        elif name in ("numpy.load", "numpy.lib.format.read_array") and not _says(node, "allow_pickle", False):
            yield node.lineno, "numpy without allow_pickle=False"
        elif name in ("yaml.load", "yaml.load_all"):
            yield node.lineno, "yaml.load instead of safe_load"
        elif name.endswith(".extractall"):
            yield node.lineno, "extracts without looking"
        elif re.match(r"os\.(exec|spawn|startfile)", name):
            yield node.lineno, "starts a program"
        elif name.startswith("subprocess.") and node.args and isinstance(node.args[0], (ast.JoinedStr, ast.Constant)):
            yield node.lineno, "a command as text"


def _allowed(place: str, what: str) -> bool:
    return any(place.startswith(start) and what in reasons for start, reasons in ALLOWED.items())


def test_no_module_runs_code_from_files() -> None:
    found = []
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        lines = dangers(path.read_text(encoding="utf-8"))
        found += [f"{place}:{line}: {what}" for line, what in lines if not _allowed(place, what)]
    assert found == []


SPOILED = [
    'torch.load("w.pt")',
    'torch.load("w.pt", weights_only=False)',
    "torch.load(path, weights_only=trusted)",
    'from torch import load\nload("w.pt")',
    'eval("1+1")',
    'builtins.eval("1+1")',
    'exec("x = 1")',
    'exec(compile("x", "f", "exec"))',
    'getattr(builtins, "eval")(text)',
    "import pickle",
    "import pickle as p; p.loads(data)",
    "from pickle import loads",
    "from cloudpickle import load",
    "import joblib",
    'yaml.load("a: 1")',
    "yaml.load(text, Loader=yaml.Loader)",
    "yaml.unsafe_load(text)",
    '__import__("os")',
    "import importlib\nimportlib.import_module(config['module'])",
    "from importlib import import_module as get\nget(name)",
    "from importlib.util import spec_from_file_location as at\nat('m', path)",
    "import numpy as np\nnp.load(path)",
    'import numpy as np\nnp.load("x.npy", allow_pickle=True)',
    "import numpy as np\nnp.load(path, allow_pickle=allowed)",
    "read(path, allow_pickle=True)",
    'subprocess.run("ls " + path, shell=True)',
    "subprocess.run(command, shell=shell)",
    'subprocess.run(f"ls {path}")',
    'os.system("ls")',
    "from os import system\nsystem(path)",
    "os.popen(path)",
    'os.execv("/bin/sh", ["sh"])',
    "tempfile.mktemp()",
    "from tempfile import mktemp\nmktemp()",
    "tar.extractall(folder)",
    "shutil.unpack_archive(path)",
    "torch.hub.load('a/b', 'c')",
    "torch.jit.load(path)",
    "AutoModel.from_pretrained(name, trust_remote_code=True)",
    "ctypes.CDLL(path)",
]


@pytest.mark.parametrize("source", SPOILED)
def test_code_that_would_run_what_a_file_holds_is_found(source: str) -> None:
    assert list(dangers(source)), source
    # wherever it is, and beside any text
    inside = "\n".join(f"        {line}" for line in source.splitlines())
    assert list(dangers(f'def f():\n    """Text."""\n    if "a" in "b":\n{inside}\n'))


@pytest.mark.parametrize(
    "source",
    [
        "net.eval()",
        "re.compile(text)",
        "net.compile()",
        '"""Never calls eval("x"), torch.load(path) or os.system."""',
        "torch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
        "subprocess.run([sys.executable, path])",
        "# eval(text)",
    ],
)
def test_code_that_only_looks_like_it_is_not(source: str) -> None:
    assert list(dangers(source)) == []


WRITES = frozenset(
    {"write_text", "write_bytes", "unlink", "rmdir", "rename", "touch", "symlink_to", "hardlink_to", "link_to", "chmod"}
)
"""Methods of paths that change the disk; mkdir is none, because it follows no link in the last part of its path."""

WRITERS = {
    "ptdiff/documents/atomic.py": "the door: files are written beside their targets and renamed; leftovers are deleted",
    "ptdiff/run/links.py": "the door: files of a run that grow in place",
    "ptdiff/run/checkpoint.py": "checkpoints: new folders with unpredictable names, renamed",
    "ptdiff/run/exported.py": "runs in the cache: new folders with unpredictable names, renamed",
    "ptdiff/model/export.py": "exported models, where the user said: new folders, renamed",
    "ptdiff/model/sharded.py": "shards in samples/ of a run, which was looked at when it was opened",
    "ptdiff/run/evaluations.py": "evaluations of a run, which was looked at when it was opened",
    "ptdiff/training/backends.py": "identities of trackers in logs/ of a run, which was looked at when it was opened",
    "ptdiff/sampling/files.py": "a temporary file of the atomic door",
    "ptdiff/testing/file_checks.py": "spoiled files in a temporary folder of its own",
    "ptdiff/testing/probe.py": "a report into the pipe of the process that checks",
    "cli/ptdiff_cli/shared/scaffold.py": "a new plugin, into a folder that is new or empty",
    "plugins/ptdiff_images/metrics/classifier.py": "a temporary file of the atomic door",
    "plugins/ptdiff_pointcloud/meshing/surface.py": "a temporary file of the atomic door",
    "plugins/ptdiff_pointcloud/metrics/matrix_store.py": "a temporary file of the atomic door",
    "plugins/ptdiff_pointcloud/metrics/tiles.py": "tiles in distances/ of a run, looked at when it was opened",
}
"""The modules that write, each with what it writes; data sets have a door of their own, in the cache."""


def writes(source: str) -> Iterator[tuple[int, str]]:
    """Lines of a module that write or delete files."""
    tree = ast.parse(source)
    names = _names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = _full(node.func, names)
        method = name.rpartition(".")[2]
        mode = next((word for word in map(_text, node.args[:2]) if re.fullmatch(r"[rwaxbt+]{1,4}", word)), "r")
        mode = next((_text(keyword.value) for keyword in node.keywords if keyword.arg == "mode"), mode)
        if method in ("open", "fdopen") and set(mode) & set("wax+"):
            yield node.lineno, f"opens with mode {mode}"
        elif method in WRITES and isinstance(node.func, ast.Attribute) and not name.startswith("formatter."):
            yield node.lineno, method
        elif method == "replace" and len(node.args) == 1 and not node.keywords and name != "dataclasses.replace":
            yield node.lineno, "replaces a file"
        elif name == "os.open" and not re.search(r"O_RDONLY|devnull", ast.unparse(node)):
            yield node.lineno, "opens for writing"
        elif re.fullmatch(
            r"shutil\.(rmtree|move|copy\w*)|os\.(remove|unlink|rmdir|removedirs|rename|replace|truncate)", name
        ):
            yield node.lineno, name


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_only_the_doors_write() -> None:
    """A module that writes into a run in another way would have to ask again what :mod:`ptdiff.run.links` asked."""
    found = set()
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        if not place.startswith(("datasets/", "examples/")) and list(writes(path.read_text(encoding="utf-8"))):
            found.add(place)
    assert found - set(WRITERS) == set()
    assert set(WRITERS) - found == set()


@pytest.mark.parametrize(
    "source",
    [
        '(run.path / "notes").write_text("x")',
        'open(path, "w")',
        'path.open("ab")',
        'path.open(mode="w")',
        "shutil.rmtree(run.path)",
        "from shutil import rmtree as remove\nremove(path)",
        "path.unlink(missing_ok=True)",
        "part.replace(path)",
        "os.rename(a, b)",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "path.symlink_to(target)",
    ],
)
def test_every_way_to_write_is_found(source: str) -> None:
    assert list(writes(source))


def test_reading_and_replacing_text_are_not_writing() -> None:
    assert (
        list(writes('path.open("rb")\nopen(path)\ntext.replace("a", "b")\nRun.open(path)\nreplace(run, config=c)'))
        == []
    )


def test_the_page_on_security_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)`", text)
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    known = {name for source in sources for name in re.findall(r"^def (test_\w+)\(", source, re.M)}
    assert [name for name in named if name not in known] == []
    # every line of every table has one
    rows = [line for line in text.splitlines() if re.match(r"\| \w", line)]
    assert len(rows) == len(named) > 30
    assert "(docs/security.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
