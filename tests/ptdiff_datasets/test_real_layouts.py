"""The layouts in which data sets of shapes are published, each as a tiny tree of the same files."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from file_examples import mesh

from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.formats.catalog import WRITERS

RANDOM = np.random.default_rng(5)
AIRPLANE, CHAIR = "02691156", "03001627"
Found = set[tuple[str, str, str]]


def cloud(count: int = 16) -> np.ndarray:
    return RANDOM.standard_normal((count, 3)).astype(np.float32)


def unit(count: int = 16) -> np.ndarray:
    vectors = RANDOM.standard_normal((count, 3))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def put(path: Path, content: bytes | str | np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def pc15k(root: Path) -> Found:
    found = set()
    for synset, name in ((AIRPLANE, "airplane"), (CHAIR, "chair")):
        for split in ("train", "val", "test"):
            put(root / synset / split / f"{split[:2]}.npy", cloud())
            found.add((f"{synset}/{split}/{split[:2]}.npy", name, split))
    return found


def luost26(root: Path) -> Found:
    root.mkdir()
    with h5py.File(root / "shapenet.hdf5", "w") as file:
        for synset in (AIRPLANE, CHAIR):
            for split, count in (("train", 3), ("val", 1), ("test", 2)):
                file[f"{synset}/{split}"] = np.stack([cloud(2048) for _ in range(count)])
    return {
        (f"shapenet.hdf5#{synset}/{split}/{i}", name, split)
        for synset, name in ((AIRPLANE, "airplane"), (CHAIR, "chair"))
        for split, count in (("train", 3), ("val", 1), ("test", 2))
        for i in range(count)
    }


def antao97(root: Path) -> Found:
    for split, names in (("train", ["chair", "lamp"]), ("val", ["lamp"]), ("test", ["chair"])):
        root.mkdir(exist_ok=True)
        with h5py.File(root / f"{split}0.h5", "w") as file:
            file["data"] = np.stack([cloud() for _ in names])
            file["label"] = np.array([[18 if n == "chair" else 30] for n in names], np.uint8)
        put(root / f"{split}0_id2name.json", json.dumps(names))
        put(root / f"{split}0_id2file.json", json.dumps([f"x/{n}" for n in names]))
    return {
        ("train0.h5#data/0", "chair", "train"),
        ("train0.h5#data/1", "lamp", "train"),
        ("val0.h5#data/0", "lamp", "val"),
        ("test0.h5#data/0", "chair", "test"),
    }


def modelnet_hdf5(root: Path) -> Found:
    root.mkdir()
    for name, labels in (("ply_data_train0", [1, 0]), ("ply_data_train1", [1]), ("ply_data_test0", [0])):
        with h5py.File(root / f"{name}.h5", "w") as file:
            file.create_dataset("data", data=np.stack([cloud(20) for _ in labels]), compression="gzip")
            file["normal"] = np.stack([unit(20) for _ in labels])
            file["label"] = np.array(labels, np.uint8)[:, None]
            file["faceId"] = np.zeros((len(labels), 20), np.int32)
    put(root / "shape_names.txt", "airplane\nbathtub\n")
    put(root / "train_files.txt", "data/modelnet40_ply_hdf5_2048/ply_data_train0.h5\n")
    return {
        ("ply_data_train0.h5#data/0", "bathtub", "train"),
        ("ply_data_train0.h5#data/1", "airplane", "train"),
        ("ply_data_train1.h5#data/0", "bathtub", "train"),
        ("ply_data_test0.h5#data/0", "airplane", "test"),
    }


def modelnet_resampled(root: Path) -> Found:
    names = ["flower_pot_0001", "flower_pot_0002", "night_stand_0001"]
    for name in names:
        rows = np.concatenate([cloud(), unit()], axis=1)
        put(root / name.rpartition("_")[0] / f"{name}.txt", "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    put(root / "modelnet40_shape_names.txt", "flower_pot\nnight_stand\n")
    put(root / "modelnet40_train.txt", "flower_pot_0001\nnight_stand_0001\n")
    put(root / "modelnet40_test.txt", "flower_pot_0002\n")
    put(root / "filelist.txt", "flower_pot/flower_pot_0001.txt\n")
    return {
        ("flower_pot/flower_pot_0001.txt", "flower_pot", "train"),
        ("flower_pot/flower_pot_0002.txt", "flower_pot", "test"),
        ("night_stand/night_stand_0001.txt", "night_stand", "train"),
    }


def modelnet_off(root: Path) -> Found:
    text = mesh("off").decode()
    counts = text.split("\n")[1] if text.startswith("OFF\n") else ""
    broken = text.replace(f"OFF\n{counts}", f"OFF{counts}")
    assert broken != text
    put(root / "ModelNet40/chair/train/chair_0001.off", broken)
    put(root / "ModelNet40/chair/test/chair_0002.off", text + "# another\n")
    put(root / "ModelNet40/sofa/train/sofa_0001.off", text + "# one more\n")
    put(root / "ModelNet40/sofa/test/sofa_0002.off", text + "# and the last\n")
    return {
        ("ModelNet40/chair/train/chair_0001.off", "chair", "train"),
        ("ModelNet40/chair/test/chair_0002.off", "chair", "test"),
        ("ModelNet40/sofa/train/sofa_0001.off", "sofa", "train"),
        ("ModelNet40/sofa/test/sofa_0002.off", "sofa", "test"),
    }


def modelnet_pc15k(root: Path) -> Found:
    for i, split in enumerate(("train", "test")):
        put(root / "bathtub" / split / f"bathtub_000{i}.npy", cloud())
        put(root / "night_stand" / split / f"night_stand_000{i}.npy", cloud())
    return {
        (f"{c}/{s}/{c}_000{i}.npy", c, s) for c in ("bathtub", "night_stand") for i, s in ((0, "train"), (1, "test"))
    }


def shapenet_part_text(root: Path) -> Found:
    found = set()
    for synset, name in ((AIRPLANE, "airplane"), (CHAIR, "chair")):
        for i, split in enumerate(("train", "val", "test")):
            count = 20 + i
            rows = np.concatenate([cloud(count), unit(count), np.full((count, 1), 3.0)], axis=1)
            put(root / synset / f"1{i}ab.txt", "\n".join(" ".join(map(str, row)) for row in rows) + "\n")
            found.add((f"{synset}/1{i}ab.txt", name, split))
    put(root / "synsetoffset2category.txt", f"Airplane\t{AIRPLANE}\nChair\t{CHAIR}\n")
    for i, split in enumerate(("train", "val", "test")):
        names = [f"shape_data/{synset}/1{i}ab" for synset in (AIRPLANE, CHAIR)]
        put(root / "train_test_split" / f"shuffled_{split}_file_list.json", json.dumps(names))
    return found


def shapenet_part_hdf5(root: Path) -> Found:
    (root / "hdf5_data").mkdir(parents=True)
    for name, labels in (("train0", [0, 1]), ("val0", [1]), ("test0", [0])):
        with h5py.File(root / "hdf5_data" / f"ply_data_{name}.h5", "w") as file:
            file["data"] = np.stack([cloud() for _ in labels])
            file["label"] = np.array(labels, np.uint8)[:, None]
            file["pid"] = np.zeros((len(labels), 16), np.uint8)
    put(root / "hdf5_data/all_object_categories.txt", f"Airplane\t{AIRPLANE}\nChair\t{CHAIR}\n")
    return {
        ("hdf5_data/ply_data_train0.h5#data/0", "airplane", "train"),
        ("hdf5_data/ply_data_train0.h5#data/1", "chair", "train"),
        ("hdf5_data/ply_data_val0.h5#data/0", "chair", "val"),
        ("hdf5_data/ply_data_test0.h5#data/0", "airplane", "test"),
    }


def shapenet55(root: Path) -> Found:
    for synset in (AIRPLANE, CHAIR):
        for name in ("a-1", "b-2"):
            put(root / "shapenet_pc" / f"{synset}-{name}.npy", cloud())
    put(root / "ShapeNet-55/train.txt", f"{AIRPLANE}-a-1.npy\n{CHAIR}-a-1.npy\n{CHAIR}-b-2.npy\n")
    put(root / "ShapeNet-55/test.txt", f"{AIRPLANE}-b-2.npy\n")
    return {
        (f"shapenet_pc/{AIRPLANE}-a-1.npy", "airplane", "train"),
        (f"shapenet_pc/{CHAIR}-a-1.npy", "chair", "train"),
        (f"shapenet_pc/{AIRPLANE}-b-2.npy", "airplane", "test"),
    }


def pcn(root: Path) -> Found:
    found = set()
    for split in ("train", "val", "test"):
        for synset, name in ((AIRPLANE, "airplane"), (CHAIR, "chair")):
            (root / split / "complete" / synset).mkdir(parents=True)
            (root / split / "partial" / synset / "ab1").mkdir(parents=True)
            WRITERS[".pcd"](root / split / "complete" / synset / "ab1.pcd", cloud(), None, None)
            for i in range(2):
                WRITERS[".pcd"](root / split / "partial" / synset / "ab1" / f"0{i}.pcd", cloud(), None, None)
            found.add((f"{split}/complete/{synset}/ab1.pcd", name, split))
    return found


def onet(root: Path) -> Found:
    found = set()
    for synset, name in ((AIRPLANE, "airplane"), (CHAIR, "chair")):
        for i, split in enumerate(("train", "val", "test")):
            shape = root / "ShapeNet" / synset / f"m{i}"
            shape.mkdir(parents=True)
            half = {"points": cloud().astype(np.float16), "normals": unit().astype(np.float16)}
            np.savez(shape / "pointcloud.npz", **half, loc=np.zeros(3), scale=1.0)
            np.savez(
                shape / "points.npz", points=cloud(), occupancies=np.zeros(2, np.uint8), loc=np.zeros(3), scale=1.0
            )
            put(root / "ShapeNet" / synset / f"{split}.lst", f"m{i}\n")
            found.add((f"ShapeNet/{synset}/m{i}/pointcloud.npz", name, split))
    put(root / "ShapeNet/metadata.yaml", f"'{AIRPLANE}':\n  name: airplane,aeroplane\n")
    return found


def objects(root: Path) -> Found:
    """A folder of one's own: every format, in class folders."""
    (root / "scan").mkdir(parents=True)
    for suffix, write in WRITERS.items():
        write(root / "scan" / f"from{suffix[1:]}{suffix}", cloud(), None, None)
    for kind in ("obj", "ply", "stl", "off", "glb"):
        put(root / "mesh" / f"{kind}.{kind}", mesh(kind))
    return {(f"scan/from{suffix[1:]}{suffix}", "scan", "") for suffix in WRITERS} | {
        (f"mesh/{kind}.{kind}", "mesh", "") for kind in ("obj", "ply", "stl", "off", "glb")
    }


LAYOUTS: dict[str, Callable[[Path], Found]] = {
    f.__name__: f
    for f in (
        pc15k, luost26, antao97, modelnet_hdf5, modelnet_resampled, modelnet_off, modelnet_pc15k,
        shapenet_part_text, shapenet_part_hdf5, shapenet55, pcn, onet, objects,
    )
}  # fmt: skip


def loaded(root: Path, cache: Path) -> CloudSet:
    return load_folder(root, points=64, cache=cache)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_layout_is_read_with_its_classes_and_splits(name: str, tmp_path: Path) -> None:
    expected = LAYOUTS[name](tmp_path / "data")
    clouds = loaded(tmp_path / "data", tmp_path / "cache")
    assert clouds.summary.skipped == ()
    labels = [clouds.classes[i] for i in clouds.labels]
    splits = clouds.splits if name != "objects" else [""] * len(clouds)
    found = set(zip(clouds.ids, labels, splits, strict=True))
    # where nothing is to validate on, a shape or two of those to train on is taken for it
    held = {(id, label, "train") for id, label, split in found if split == "val"} if name in NO_VAL else set()
    assert expected <= found | held
    assert {id for id, _, _ in expected} <= set(clouds.ids)
    assert len(clouds) == len(expected) + (1 if name == "shapenet55" else 0)
    assert "train" in clouds.splits


NO_VAL = ("modelnet_hdf5", "modelnet_resampled", "modelnet_off", "modelnet_pc15k", "shapenet55")


@pytest.mark.parametrize("name", ["modelnet_hdf5", "modelnet_resampled", "shapenet_part_text", "onet", "modelnet_off"])
def test_normals_of_the_files_are_read(name: str, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path / "data")
    clouds = loaded(tmp_path / "data", tmp_path / "cache")
    np.testing.assert_allclose(np.linalg.norm(clouds.store.shards[0]["normals"], axis=1), 1, atol=2e-3)


def test_clouds_of_a_file_are_those_of_its_arrays(tmp_path: Path) -> None:
    luost26(tmp_path / "data")
    clouds = loaded(tmp_path / "data", tmp_path / "cache")
    assert clouds.summary.layout == "sets"
    assert clouds.summary.normalize == "global"
    whole = load_folder(tmp_path / "data" / "shapenet.hdf5", points=2048, cache=tmp_path / "cache")
    with h5py.File(tmp_path / "data" / "shapenet.hdf5") as file:
        for i, id in enumerate(whole.ids):
            name, _, place = id.partition("#")[2].rpartition("/")
            np.testing.assert_array_equal(whole.cloud(i), file[name][int(place)])


def test_an_array_of_many_clouds_is_a_data_set(tmp_path: Path) -> None:
    many = np.stack([cloud(), cloud(), cloud()])
    put(tmp_path / "all.npy", many)
    np.savez(tmp_path / "drawn.npz", samples=many * 2, label=np.array([1, 0, 1]))
    for file, factor, classes in (("all.npy", 1, ()), ("drawn.npz", 2, ("000", "001"))):
        clouds = load_folder(tmp_path / file, cache=tmp_path / "cache", normalize="none")
        assert clouds.ids == tuple(f"{file}#{i}" for i in range(3))
        assert clouds.classes == classes
        np.testing.assert_array_equal(clouds.cloud(1), factor * many[1])


def test_a_copy_inside_a_file_is_left_out(tmp_path: Path) -> None:
    one = cloud()
    put(tmp_path / "all.npy", np.stack([one, cloud(), one]))
    clouds = load_folder(tmp_path / "all.npy", cache=tmp_path / "cache")
    assert clouds.summary.skipped == (("all.npy#2", "a copy of all.npy#0"),)


def test_a_list_holds_for_its_folder_alone(tmp_path: Path) -> None:
    """Numbers as names: shape 1 of one class is not shape 1 of the other."""
    for synset in (AIRPLANE, CHAIR):
        for i in range(4):
            put(tmp_path / "data" / synset / str(i) / "pointcloud.npz", b"")
            np.savez(tmp_path / "data" / synset / str(i) / "pointcloud.npz", points=cloud())
    put(tmp_path / "data" / AIRPLANE / "train.lst", "0\n1\n")
    put(tmp_path / "data" / AIRPLANE / "val.lst", "2\n3\n")
    put(tmp_path / "data" / CHAIR / "train.lst", "2\n3\n")
    put(tmp_path / "data" / CHAIR / "val.lst", "0\n1\n")
    clouds = loaded(tmp_path / "data", tmp_path / "cache")
    splits = dict(zip(clouds.ids, clouds.splits, strict=True))
    assert [splits[f"{AIRPLANE}/{i}/pointcloud.npz"] for i in range(4)] == ["train", "train", "val", "val"]
    assert [splits[f"{CHAIR}/{i}/pointcloud.npz"] for i in range(4)] == ["val", "val", "train", "train"]
