"""CIFAR in both versions; pickles are read as data or refused, never run."""

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from image_examples import cifar_binary, cifar_pickled, cifar_pixels, listed, pickled_array, text

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.images.cifar import cifar, found
from ptdiff_datasets.images.pickled import read_batch
from ptdiff_datasets.images.sets import ImageSet


def ten(folder: Path, pickled: bool, batches: int = 5, test: bool = True) -> ImageSet:
    suffix, write = ("", cifar_pickled) if pickled else (".bin", cifar_binary)
    folder.mkdir(parents=True)
    for n in range(1, batches + 1):
        (folder / f"data_batch_{n}{suffix}").write_bytes(write(20, n))
    if test:
        (folder / f"test_batch{suffix}").write_bytes(write(7, 6))
    layout, place = found(folder) or pytest.fail("not found")
    return cifar(place, layout)


@pytest.mark.parametrize("pickled", [False, True])
def test_ten_classes_come_with_their_names_in_both_versions(tmp_path: Path, pickled: bool) -> None:
    data = ten(tmp_path / "some", pickled)
    assert data.train.pixels.shape == (100, 3, 32, 32)
    assert data.val.pixels.shape == (7, 3, 32, 32)
    assert data.train.pixels.dtype == np.uint8
    assert data.classes[:2] == ("airplane", "automobile")
    assert data.train.label is not None
    assert data.train.label.tolist() == [*(n % 10 for n in range(20))] * 5
    expected = np.concatenate([cifar_pixels(20, n) for n in range(1, 6)])
    assert np.array_equal(data.train.pixels.reshape(100, -1), expected)
    assert np.array_equal(data.val.pixels.reshape(7, -1), cifar_pixels(7, 6))


@pytest.mark.parametrize("pickled", [False, True])
def test_a_hundred_fine_classes_are_named_by_their_file(tmp_path: Path, pickled: bool) -> None:
    names = [b"apple", *(b"class_%d" % n for n in range(1, 100))]
    suffix, write = ("", cifar_pickled) if pickled else (".bin", cifar_binary)
    (tmp_path / f"train{suffix}").write_bytes(write(120, 0, coarse=True))
    (tmp_path / f"test{suffix}").write_bytes(write(110, 1, coarse=True))
    layout, folder = found(tmp_path) or pytest.fail("not found")
    assert cifar(folder, layout).classes[1] == "1"
    if pickled:
        meta = b"\x80\x02}q\x01(" + text(b"fine_label_names") + listed([text(name) for name in names]) + b"u."
        (tmp_path / "meta").write_bytes(meta)
    else:
        (tmp_path / "fine_label_names.txt").write_bytes(b"\n".join(names) + b"\n")
    data = cifar(folder, layout)
    assert data.classes[:2] == ("apple", "class_1")
    assert data.train.label is not None
    assert data.train.label.tolist() == [*range(100), *range(20)]
    assert np.array_equal(data.train.pixels.reshape(120, -1), cifar_pixels(120))


def test_the_folder_of_the_archive_is_stepped_into_and_missing_batches_are_told(tmp_path: Path) -> None:
    ten(tmp_path / "cifar-10-batches-py", True, batches=2, test=False)
    layout, folder = found(tmp_path) or pytest.fail("not found")
    data = cifar(folder, layout)
    assert folder.name == "cifar-10-batches-py"
    assert "data_batch_3" in data.notes[0]
    assert len(data.train) + len(data.val) == 40
    assert len(data.val) == 0 or data.val.label is not None
    assert found(folder.parent / "elsewhere") is None


def test_numbers_of_another_length_or_label_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(cifar_binary()[:-1])
    layout, _ = found(tmp_path) or pytest.fail("not found")
    with pytest.raises(FormatError, match="whole records of 3073"):
        cifar(tmp_path, layout)
    (tmp_path / "data_batch_1.bin").write_bytes(b"\x0a" + bytes(3072))
    with pytest.raises(FormatError, match="image 0 has label 10, but there are 10 classes"):
        cifar(tmp_path, layout)


def test_what_a_pickle_would_run_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    path = tmp_path / "data_batch_1"
    batch = cifar_pickled()
    attacks = {
        "evil": pickle.dumps({b"data": Evil()}, protocol=2),
        "other name": batch.replace(b"cnumpy.core.multiarray\n_reconstruct", b"cposix\nsystem"),
        "other array": batch.replace(b"cnumpy\nndarray", b"cnumpy\nmatrix"),
        "objects": batch.replace(b"U\x02u1", b"U\x02O8"),
        "longer": batch.replace(b"(K\x01K\x0c", b"(K\x01K\x0d"),
        "no end": batch[:-1],
        "more behind": batch + b".",
        "later protocol": pickle.dumps({b"data": 1}, protocol=4),
        "protocol 0": pickle.dumps({b"data": 1}, protocol=0),
        "no dictionary": pickle.dumps([1, 2], protocol=2),
        "float": pickle.dumps({b"a": 1.5}, protocol=2),
        "nested": b"\x80\x02}(" + text(b"a") + listed([listed([])]) + b"u.",
        "itself": b"\x80\x02}q\x00(" + text(b"a") + b"h\x00u.",
        "nothing on the stack": b"\x80\x02R.",
        "no such memory": b"\x80\x02h\x07.",
        "many": b"\x80\x02" + b"}" * 510_000 + b".",
    }
    for name, data in attacks.items():
        path.write_bytes(data)
        with pytest.raises(FormatError) as caught:
            read_batch(path)
        assert len(str(caught.value).splitlines()) == 1, name
    assert not (tmp_path / "ran").exists()
    # what they were made of is read
    path.write_bytes(batch)
    assert np.array_equal(read_batch(path)[b"data"], cifar_pixels())


def test_a_list_within_itself_does_not_hang_the_comparison(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1"
    itself = b"]q\x00h\x00a"
    path.write_bytes(b"\x80\x02cnumpy\ndtype\n" + itself + b"\x85R.")
    with pytest.raises(FormatError, match=r"it calls numpy\.dtype"):
        read_batch(path)


def test_arrays_may_be_stored_by_columns(tmp_path: Path) -> None:
    values = cifar_pixels()
    stored = pickled_array(np.ascontiguousarray(values.T)).replace(b"M\x00\x0cK\x0c\x86", b"K\x0cM\x00\x0c\x86")
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x02}(" + text(b"data") + stored.replace(b"\x89T", b"\x88T") + b"u.")
    assert np.array_equal(read_batch(path)[b"data"], values)


def test_reading_agrees_with_unpickling_and_is_quick(tmp_path: Path) -> None:
    data = cifar_pickled(2000)
    path = tmp_path / "data_batch_1"
    path.write_bytes(data)
    started = time.process_time()
    mine = read_batch(path)
    assert time.process_time() - started < 1
    theirs = pickle.loads(data, encoding="bytes")  # noqa: S301, our own bytes, to compare with
    assert mine.keys() == theirs.keys()
    assert mine[b"labels"] == theirs[b"labels"]
    assert mine[b"filenames"] == theirs[b"filenames"]
    assert np.array_equal(mine[b"data"], theirs[b"data"])
