"""``ptdiff data``: a folder becomes a store, a run reads it, and what is broken ends with exit code 3."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve boxes of points in two classes."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for name in ("flat", "tall"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(6):
            sides = [1, 0.2 + 0.1 * i, 1] if name == "flat" else [1, 2 + i, 1]
            points = random.random((200 + i, 3)) * sides
            np.save(tmp_path / "mine" / name / f"{i}.npy", points.astype(np.float32))
    return tmp_path / "mine"


def test_import_check_and_train(ptdiff: Callable, folder: Path, tmp_path: Path) -> None:  # type: ignore[type-arg]
    done = ptdiff("data", "import", folder, tmp_path / "store", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["points"] == sum(2 * (200 + i) for i in range(6))
    done = ptdiff("data", "check", tmp_path / "store", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["kind"], found["ok"], found["damaged"], found["points"]) == ("store", True, [], [200, 202, 205])
    options = ["-o", "points=16", "-o", "size=tiny", "-o", "rotate=true", "--set", "training.batch=4"]
    done = ptdiff(
        "train", "-m", "pointcloud", "--data", tmp_path / "store", "--steps", 2, "--out", tmp_path / "run", *options
    )
    assert done.returncode == 0, done.stderr
    assert "from the store" in done.stderr
    facts = json.loads((tmp_path / "run" / "data.json").read_text())
    assert facts["classes"] == ["flat", "tall"]
    assert facts["summary"]["normalize"] == "box"
    assert not (tmp_path / "cache").exists()  # a store needs no cache


def test_text_for_people_says_what_to_do_next(ptdiff: Callable, folder: Path, tmp_path: Path) -> None:  # type: ignore[type-arg]
    done = ptdiff("data", "import", folder, tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "12 shapes in 2 classes" in done.stdout
    assert f"--data {tmp_path / 'store'}" in done.stderr
    done = ptdiff("data", "check", folder)
    assert done.returncode == 0, done.stderr
    assert "nothing is broken" in done.stdout


def test_what_is_broken_ends_with_exit_code_3(ptdiff: Callable, folder: Path, tmp_path: Path) -> None:  # type: ignore[type-arg]
    ptdiff("data", "import", folder, tmp_path / "store")
    data = bytearray((tmp_path / "store" / "points-00000.npy").read_bytes())
    data[-5] ^= 1
    (tmp_path / "store" / "points-00000.npy").write_bytes(data)
    done = ptdiff("data", "check", tmp_path / "store", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["damaged"] == ["points-00000.npy"]
    (folder / "flat" / "bad.ply").write_text("no")
    done = ptdiff("data", "check", folder)
    assert done.returncode == 3
    assert "flat/bad.ply: not a PLY file" in done.stdout


def test_pictures_are_checked_trained_on_and_drawn(ptdiff: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    from image_examples import encoded, photo

    (tmp_path / "pictures").mkdir()
    for n in range(24):
        kind = ("JPEG", "PNG", "WEBP", "GIF")[n % 4]
        (tmp_path / "pictures" / f"{n}.{kind.lower()}").write_bytes(encoded(photo(20 + n, 60 - n) // (1 + n % 3), kind))
    (tmp_path / "pictures" / "broken.png").write_bytes(b"")
    cache = {"PTDIFF_CACHE": str(tmp_path / "cache")}
    done = ptdiff("data", "check", "pictures", "-m", "images", cwd=tmp_path)
    assert done.returncode == 3
    assert "24 images" in done.stdout
    assert "broken.png: not a readable image: the file is empty" in done.stdout
    options = ["-o", "size=tiny", "-o", "pixels=16", "--set", "training.batch=4"]
    train = ["train", "-m", "images", "--data", "pictures", "--steps", 2, "--out", "run", *options]
    done = ptdiff(*train, cwd=tmp_path, env=cache)
    assert done.returncode == 0, done.stderr
    assert "1 skipped: broken.png" in done.stderr
    done = ptdiff("sample", "run", "-n", 3, "--steps", 2, "--format", "png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "run" / "samples" / "seed-0-png").glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["import", "nowhere", "store"], 3, "nowhere does not exist"),
        (["check", "nowhere"], 3, "-m pointcloud: nowhere does not exist"),
        (["check", "nowhere", "-m", "images"], 3, "nowhere does not exist"),
        (["import", "mine", "store", "-m", "images"], 1, "Images reads its data directly"),
        (["import", "mine", "mine/store"], 3, "lies inside the folder to import"),
        (["check", "mine", "-m", "points2d"], 3, "a folder with no table"),
        (["check", "mine", "-m", "pointclod"], 2, "did you mean 'pointcloud'"),
    ],
)
def test_mistakes_end_with_one_line(  # type: ignore[no-untyped-def]
    ptdiff, folder: Path, arguments: list[str], code: int, words: str
) -> None:
    done = ptdiff("data", *arguments, cwd=folder.parent)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_does_not_overwrite(ptdiff: Callable, folder: Path, tmp_path: Path) -> None:  # type: ignore[type-arg]
    store = tmp_path / "store"
    assert ptdiff("data", "import", folder, store).returncode == 0
    done = ptdiff("data", "import", folder, store)
    assert done.returncode == 3
    assert "--force replaces it" in done.stderr
    assert ptdiff("data", "import", folder, store, "--force", "--points", 64).returncode == 0


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of every fault."""
    from ptdiff_datasets.formats.ply import write_ply

    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    root = tmp_path / "faulty"
    for name, count in (("chair", 30), ("table", 30), ("single", 1), ("empty", 0)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            np.savetxt(root / name / f"{i:02d}.xyz", random.random((100 + i, 3)) * [1, 1 + i / 9, 1 + i / 5])
    chair = root / "chair"
    cloud = random.random((150, 3)).astype(np.float32)
    np.save(chair / "nan.npy", np.where(cloud < 0.2, np.nan, cloud))
    write_ply(chair / "zero-normals.ply", cloud * 0.9, np.zeros_like(cloud))
    (chair / "twin.obj").write_text("v 1 2\nf 1 2 3\n")
    write_ply(chair / "twin.ply", cloud * [1, 0.8, 0.7])
    np.savetxt(chair / "kilometers.xyz", cloud * 1e6)
    write_ply(chair / "outlier.ply", np.concatenate([cloud, [[80, 80, 80]]]))
    (chair / "broken.stl").write_bytes(bytes(90) + b"no")
    np.save(chair / "first.npy", random.random((3, 200)))
    (chair / "header.csv").write_text("x,y,z\n" + "1,2,3,4\n" * 40)
    (chair / "model.blend").write_text("unknown")
    draco = {"asset": {"version": "2.0"}, "extensionsRequired": ["KHR_draco_mesh_compression"], "meshes": []}
    (chair / "draco.gltf").write_text(json.dumps(draco))
    np.savetxt(chair / "constant.xyz", np.ones((100, 3)))
    (chair / "copy.xyz").write_bytes((chair / "01.xyz").read_bytes())
    np.savetxt(chair / "line.xyz", np.outer(np.arange(60), [1, 2, 3]))
    return root


def test_every_fault_of_a_folder_is_named_on_one_screen(ptdiff: Callable, faulty: Path, tmp_path: Path) -> None:  # type: ignore[type-arg]
    done = ptdiff("data", "check", faulty, "--render", tmp_path / "sheet.png")
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for words in (
        "nan.npy",
        "zero-normals.ply: the normals are all zero",
        "twin.obj",
        "kilometers.xyz",
        "outlier.ply: 1 of 151 points",
        "broken.stl",
        "first.npy: an array of shape (3, 200)",
        "header.csv: the header has 3 names",
        "1 file of other types",
        "draco.gltf",
        "constant.xyz",
        "copy.xyz",
        "line.xyz: all points on one line",
        "single (1): very few shapes, none held out",
        "empty: an empty class",
    ):
        assert words in done.stdout, words
    from PIL import Image

    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 400


def test_the_image_of_a_table_and_of_pictures_shows_them(ptdiff: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    from PIL import Image

    random = np.random.default_rng(0)
    np.savetxt(tmp_path / "t.csv", random.random((90, 2)), header="x,y", delimiter=",", comments="")
    for name, color in (("red", (250, 0, 0)), ("blue", (0, 0, 250))):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(9):
            Image.new("RGB", (32, 32), tuple(c and c - 9 * i for c in color)).save(tmp_path / "p" / name / f"{i}.png")
    cache = {"PTDIFF_CACHE": str(tmp_path / "cache")}
    for source, kind, shown in (("t.csv", "points2d", "90"), ("p", "images", "2 of 2 classes")):
        out = tmp_path / f"{kind}.png"
        done = ptdiff("data", "check", source, "-m", kind, "--render", out, cwd=tmp_path, env=cache)
        assert done.returncode == 0, done.stderr
        assert "training samples" in done.stderr
        assert shown in done.stderr + done.stdout
    with Image.open(tmp_path / "images.png") as sheet:
        pixels = np.asarray(sheet).astype(int)
    # classes are in rows of their own: blue above red
    blue, red = (np.argwhere((pixels[..., c] > 150) & (pixels.sum(-1) < 300))[:, 0] for c in (2, 0))
    assert blue.max() < red.min()
    done = ptdiff("data", "check", tmp_path / "t.csv", "-m", "points2d", "--render", tmp_path / "a.csv")
    assert done.returncode == 2
    assert "the suffix must be one of .png" in done.stderr


@pytest.mark.parametrize(("mark", "first"), [(",", "1.043"), (".", "1043")])
def test_the_option_that_an_unclear_number_asks_for_works(  # type: ignore[type-arg]
    ptdiff: Callable, tmp_path: Path, mark: str, first: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x;y;z\n" + "".join(f"{i},043;2,044;{i % 7}\n" for i in range(1, 41)))
    asked = ptdiff("data", "check", str(path), "-m", "pointcloud")
    assert asked.returncode == 3
    assert "-o decimal=," in asked.stderr
    read = ptdiff("data", "check", str(path), "-m", "pointcloud", "-o", f"decimal={mark}")
    assert f" {first} " in read.stdout


def test_workers_import_the_same_store(ptdiff: Callable, folder: Path, tmp_path: Path) -> None:  # type: ignore[type-arg]
    assert ptdiff("data", "import", folder, tmp_path / "plain").returncode == 0
    done = ptdiff("data", "import", folder, tmp_path / "store", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "12 shapes in 2 classes" in done.stdout
    for path in (tmp_path / "plain").iterdir():
        assert (tmp_path / "store" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("engine", "said"), [("ray", "--workers N"), ("rai", "did you mean 'ray'")])
def test_an_engine_needs_workers(ptdiff: Callable, folder: Path, tmp_path: Path, engine: str, said: str) -> None:  # type: ignore[type-arg]
    done = ptdiff("data", "import", folder, tmp_path / "store", "--engine", engine)
    assert done.returncode == 2 and said in done.stderr
