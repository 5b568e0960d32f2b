"""`ptdiff_datasets.formats.hdf5`: sets of clouds in one file, and files that reach for more than they hold."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from file_examples import CLOUDS, NORMALS, POINTS

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.hdf5 import open_hdf5


@pytest.mark.parametrize("kind", ["hdf5", "hdf5 packed"])
def test_clouds_have_their_normals_and_labels(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(CLOUDS[kind][1](tmp_path))
    with open_hdf5(path) as file:
        assert file.sets == {"data": (3, 24, 3)}
        labels = file.labels("data")
        assert labels == [2, 0, 1]
        for i, factor in enumerate((1, 2, -1)):
            cloud = file.read("data", i).cloud(path)
            np.testing.assert_array_equal(cloud.points, factor * POINTS)
            assert cloud.normals is not None
            np.testing.assert_array_equal(cloud.normals, NORMALS * (-1 if i == 2 else 1))


def test_sets_in_groups_are_found_and_other_arrays_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for synset in ("03001627", "02691156"):
            for split in ("train", "test"):
                file[f"{synset}/{split}"] = np.zeros((2, 5, 3), np.float32)
        file["faceId"] = np.zeros((2, 5), np.int32)
        file["data"] = np.zeros((2, 5, 2), np.float32)
        file["pid"] = np.zeros((2, 5, 3), np.int32)
    with open_hdf5(path) as found:
        assert set(found.sets) == {f"{s}/{t}" for s in ("03001627", "02691156") for t in ("train", "test")}
        assert found.labels("03001627/train") is None


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = np.ones((1, 4, 3), np.float32)
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("secret.h5", "data")
        file["soft"] = h5py.SoftLink("/linked")
        file.create_dataset("outside", (1, 4, 3), "f4", external=[(str(tmp_path / "secret.bin"), 0, 48)])
        layout = h5py.VirtualLayout((1, 4, 3), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "data", (1, 4, 3))
        file.create_virtual_dataset("virtual", layout)
    with open_hdf5(tmp_path / "a.h5") as found:
        assert found.sets == {}


def test_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (10**6, 2048, 3), "f4", chunks=(1, 2048, 3))  # nothing is stored
    with pytest.raises(FormatError, match="claims 24576000000 bytes, but 0 are stored"), open_hdf5(path):
        pass
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (40, 2048, 3), "f4", chunks=(1, 2048, 3), compression="gzip")[:3] = 1.0
    with pytest.raises(FormatError, match="data claims 983040 bytes"), open_hdf5(path):
        pass


@pytest.mark.parametrize("data", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_what_is_no_hdf5_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(data)
    with pytest.raises(FormatError), open_hdf5(tmp_path / "a.h5"):
        pass
