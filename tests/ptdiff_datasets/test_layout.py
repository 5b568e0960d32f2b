"""`ptdiff_datasets.clouds.layout`: which files are shapes, of which class, in which split."""

import os
import sys
from pathlib import Path

import pytest

from ptdiff_datasets.clouds.files import PREFERRED
from ptdiff_datasets.clouds.layout import Layout, existing, only, scan
from ptdiff_datasets.clouds.synsets import SHAPENET
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.formats.catalog import SUFFIXES


def tree(root: Path, *names: str) -> Layout:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return scan(root)


def places(layout: Layout) -> dict[str, tuple[str, str | None]]:
    return {shape.id: (shape.label, shape.split) for shape in layout.shapes}


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    layout = tree(tmp_path, "a.obj", "b.PLY", "c.Npy", "d.glb", "e.stl", "f.off", "g.npz", "notes.txt", "a.mtl")
    assert layout.kind == "flat"
    assert set(places(layout).values()) == {("", None)}
    assert [shape.id[0] for shape in layout.shapes] == list("abcdefg")
    assert layout.other == 2


def test_class_folders_may_be_nested_and_hidden_names_do_not_count(tmp_path: Path) -> None:
    layout = tree(
        tmp_path,
        "chair/a.obj",
        "chair/old/oak/b.stl",
        "lamp/c.glb",
        ".git/d.obj",
        "lamp/.e.obj",
        "lamp/.f/g.obj",
    )
    assert layout.kind == "classes"
    assert places(layout) == {
        "chair/a.obj": ("chair", None),
        "chair/old/oak/b.stl": ("chair", None),
        "lamp/c.glb": ("lamp", None),
    }
    assert layout.other == 0
    assert layout.skipped == ()


def test_a_shape_in_several_formats_is_one_shape(tmp_path: Path) -> None:
    layout = tree(tmp_path, "chair/a.stl", "chair/a.OBJ", "chair/a.npy", "chair/b.npy", "chair/b.glb", "lamp/a.ply")
    assert list(places(layout)) == ["chair/a.OBJ", "chair/b.glb", "lamp/a.ply"]
    assert layout.skipped == (
        ("chair/a.npy", "the same shape as chair/a.OBJ"),
        ("chair/a.stl", "the same shape as chair/a.OBJ"),
        ("chair/b.npy", "the same shape as chair/b.glb"),
    )


def test_every_format_has_its_rank() -> None:
    assert set(PREFERRED) == SUFFIXES


def test_shapenet_trees_have_names_and_splits(tmp_path: Path) -> None:
    layout = tree(
        tmp_path, "04379243/train/a.npy", "04379243/val/b.npy", "02691156/test/c.npy", "99999999/train/d.npy",
        "04379243/stray.npy", "04379243/extra/e.npy",
    )  # fmt: skip
    assert layout.kind == "splits"
    assert places(layout) == {
        "04379243/train/a.npy": ("table", "train"),
        "04379243/val/b.npy": ("table", "val"),
        "02691156/test/c.npy": ("airplane", "test"),
        "99999999/train/d.npy": ("99999999", "train"),
    }
    assert [reason for _, reason in layout.skipped] == ["not in a train, val or test folder"] * 2


def test_one_class_folder_of_a_shapenet_tree_is_a_data_set(tmp_path: Path) -> None:
    layout = tree(tmp_path / "03001627", "train/a.npy", "val/b.npy", "test/c.npy")
    assert places(layout) == {
        "train/a.npy": ("chair", "train"),
        "val/b.npy": ("chair", "val"),
        "test/c.npy": ("chair", "test"),
    }


def test_splits_may_stand_above_the_classes(tmp_path: Path) -> None:
    layout = tree(tmp_path, "Train/chair/a.off", "Train/lamp/b.off", "validation/chair/c.off", "train.obj")
    assert places(layout) == {
        "Train/chair/a.off": ("chair", "train"),
        "Train/lamp/b.off": ("lamp", "train"),
        "validation/chair/c.off": ("chair", "val"),
    }


def test_a_class_called_train_is_no_split(tmp_path: Path) -> None:
    layout = tree(tmp_path, "train/a.obj", "car/b.obj", "bus/c.obj")
    assert layout.kind == "classes"
    assert places(layout)["train/a.obj"] == ("train", None)


def test_files_beside_class_folders_are_skipped_with_the_reason(tmp_path: Path) -> None:
    layout = tree(tmp_path, "chair/a.obj", "stray.obj")
    assert list(places(layout)) == ["chair/a.obj"]
    assert layout.skipped == (("stray.obj", "lies beside the class folders, so it has no class"),)


def test_a_few_nested_files_do_not_turn_a_flat_folder_into_classes(tmp_path: Path) -> None:
    layout = tree(tmp_path, "a.obj", "b.obj", "c.obj", "old/d.obj", "old/older/e.obj")
    assert layout.kind == "flat"
    assert places(layout) == {f"{name}.obj": ("", None) for name in "abc"}
    assert {path for path, _ in layout.skipped} == {"old/d.obj", "old/older/e.obj"}
    assert {reason for _, reason in layout.skipped} == {"lies in a subfolder of a flat folder"}
    # as many beside as inside: classes
    assert tree(tmp_path, "old/f.obj").kind == "classes"


def test_class_folders_may_lie_inside_folders_that_hold_everything(tmp_path: Path) -> None:
    names = [f"set/models/{name}/{i}.obj" for name in ("chair", "lamp") for i in range(2)]
    layout = tree(tmp_path, *names)
    assert (layout.kind, layout.inside) == ("classes", "set/models")
    assert places(layout) == {name: (name.split("/")[2], None) for name in names}


def test_splits_may_lie_inside_a_folder_that_holds_everything(tmp_path: Path) -> None:
    names = [f"PC15k/{id}/{split}/a.npy" for id in ("03001627", "04379243") for split in ("train", "val")]
    layout = tree(tmp_path / "many", *names)
    assert (layout.kind, layout.inside) == ("splits", "PC15k")
    assert set(places(layout).values()) == {(c, s) for c in ("chair", "table") for s in ("train", "val")}
    one = tree(tmp_path / "one", "ModelNet/sofa/train/a.off", "ModelNet/sofa/test/b.off")
    assert (one.kind, one.inside) == ("splits", "ModelNet")
    assert set(places(one).values()) == {("sofa", "train"), ("sofa", "test")}
    above = tree(tmp_path / "above", "data/train/sofa/a.off", "data/train/bed/b.off")
    assert (above.kind, above.inside) == ("splits", "data")
    assert set(places(above).values()) == {("sofa", "train"), ("bed", "train")}
    alone = tree(tmp_path / "alone", "data/03001627/train/a.npy", "data/03001627/train/b.npy")
    assert set(places(alone).values()) == {("chair", "train")}


@pytest.mark.parametrize(
    "names",
    [
        ("chair/1a/models/a.obj", "chair/2b/models/a.obj", "chair/3c/models/a.obj"),  # a folder for every shape
        ("chair/a.obj", "chair/b.obj"),
        ("chair/a.obj", "chair/old/b.obj", "chair/old/c.obj"),
        ("03001627/1a/a.obj", "03001627/1a/b.obj", "03001627/2b/a.obj", "03001627/2b/b.obj"),  # a class by its id
    ],
)
def test_a_single_class_folder_stays_a_class(tmp_path: Path, names: tuple[str, ...]) -> None:
    layout = tree(tmp_path, *names)
    assert (layout.kind, layout.inside) == ("classes", "")
    assert places(layout) == dict.fromkeys(names, ("chair", None))


@pytest.mark.skipif(sys.platform == "win32", reason="only administrators make links there")
def test_links_are_not_followed_out_of_the_folder_or_into_folders(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree(root, "chair/a.obj")
    outside = tmp_path / "outside"
    tree(outside, "secret.obj")
    (root / "chair/link.obj").symlink_to(outside / "secret.obj")
    (root / "chair/inside.obj").symlink_to("a.obj")
    (root / "chair/broken.obj").symlink_to("nothing.obj")
    (root / "chair/itself.obj").symlink_to("itself.obj")
    (root / "lamp").symlink_to(outside)
    (root / "chair/again").symlink_to(root)
    layout = scan(root)
    assert list(places(layout)) == ["chair/a.obj", "chair/inside.obj"]
    assert {path for path, _ in layout.skipped} == {
        "chair/link.obj", "chair/broken.obj", "chair/itself.obj", "lamp", "chair/again",
    }  # fmt: skip
    assert dict(layout.skipped)["chair/link.obj"] == "a link out of the folder"


def test_a_pipe_is_no_shape(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.obj")
    assert scan(tmp_path).skipped == (("a.obj", "not a regular file"),)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_entered_is_named(tmp_path: Path) -> None:
    tree(tmp_path, "chair/a.obj", "lamp/b.obj")
    (tmp_path / "lamp").chmod(0)
    assert scan(tmp_path).skipped == (("lamp/", "Permission denied"),)
    (tmp_path / "lamp").chmod(0o700)


def test_a_missing_folder_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "kaykit").mkdir()
    (tmp_path / "file.obj").touch()
    with pytest.raises(DataError, match=r"kaykti does not exist; did you mean .*kaykit\?"):
        existing(tmp_path / "kaykti")
    with pytest.raises(DataError, match=r"quite-different does not exist$"):
        existing(tmp_path / "quite-different")
    with pytest.raises(DataError, match=r"does not exist$"):
        existing(tmp_path / "no" / "parent")
    with pytest.raises(DataError, match="no-such-user"):
        existing("~no-such-user/data")
    assert existing(tmp_path / "file.obj").is_file()


def test_classes_are_chosen_by_name_or_by_id(tmp_path: Path) -> None:
    layout = tree(tmp_path, "04379243/train/a.npy", "03001627/train/b.npy", "02691156/train/c.npy")
    assert [s.label for s in only(layout, ["chair", "04379243"]).shapes] == ["chair", "table"]
    with pytest.raises(DataError, match=r"no class 'chiar' .* did you mean chair\?"):
        only(layout, ["chiar"])
    with pytest.raises(DataError, match="choose from airplane, chair, table"):
        only(layout, ["xyz"])
    with pytest.raises(DataError, match="no class folders"):
        only(tree(tmp_path / "flat", "a.obj"), ["chair"])


def test_the_55_classes_of_shapenet_have_ids_of_their_own() -> None:
    assert len(SHAPENET) == len(set(SHAPENET.values())) == 55
    assert all(len(id) == 8 and id.isdigit() for id in SHAPENET)
