"""Published image sets: where their authors host them, and how they are downloaded.

A download is accepted only with the MD5 sum published for it. It is stored in a folder named after the set in
``$PTDIFF_DATA``, else in ``data`` inside the cache, where it may also be put by hand. Files found there are used as
they are: a different checksum is reported, not refused, because the readers are strict.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ptdiff_datasets import cache
from ptdiff_datasets.directory_scan import expanded
from ptdiff_datasets.errors import DataError, FormatError, printable

_LARGEST = 2 << 30  # bytes an archive may unpack to; the largest published one needs a sixth of that
_PATIENCE = 30.0  # seconds to wait for an answer


@dataclass(frozen=True)
class Remote:
    """A file, its MD5 sum, and the files or folders that make it unnecessary, its unpacked form first.

    members: for an archive, the pattern of the files to unpack.
    """

    name: str
    md5: str
    instead: tuple[str, ...]
    members: str = ""


@dataclass(frozen=True)
class Published:
    """An image set: the base URL of its files, the files, and the class names if known."""

    url: str
    files: tuple[Remote, ...]
    classes: tuple[str, ...] = ()


def _idx(url: str, classes: tuple[str, ...], *sums: str) -> Published:
    names = [f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
    files = [Remote(f"{name}.gz", md5, (name,)) for name, md5 in zip(names, sums, strict=True)]
    return Published(url, (*files,), classes)


_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

PUBLISHED: Mapping[str, Published] = {
    "mnist": _idx(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (),
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "fashion-mnist": _idx(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        _CLOTHES,
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "kmnist": _idx(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    "cifar10": Published(
        _CIFAR,
        (
            Remote(
                "cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
                ("cifar-10-batches-bin", "cifar-10-batches-py", "data_batch_1.bin", "data_batch_1"),
                r"cifar-10-batches-bin/(data_batch_[1-5]|test_batch)\.bin",
            ),
        ),
    ),
    "cifar100": Published(
        _CIFAR,
        (
            Remote(
                "cifar-100-binary.tar.gz",
                "03b5dce01913d631647c71ecec9e9cb8",
                ("cifar-100-binary", "cifar-100-python", "train.bin", "train"),
                r"cifar-100-binary/(train\.bin|test\.bin|fine_label_names\.txt)",
            ),
        ),
    ),
    "flowers": Published(
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        (
            Remote("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", ("jpg",), r"jpg/image_\d{5}\.jpg"),
            Remote("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", ()),
            Remote("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", ()),
        ),
    ),
}
"""Checksums: MNIST and its relatives as in torchvision and Keras, CIFAR as on its page, the flowers as in torchvision.
"""


def data_folder() -> Path:
    """Return ``$PTDIFF_DATA``, else ``data`` in the cache."""
    return expanded(os.environ.get("PTDIFF_DATA") or cache.default_cache() / "data")


def fetch(name: str, published: Published, root: Path) -> tuple[Path, tuple[str, ...]]:
    """Download the missing files of a set; return its folder and notes on it, one line each.

    DataError, naming the URL and the place to put the file by hand, if a file cannot be downloaded or is not the one
    published.
    """
    folder, other = root / name, []
    for remote in published.files:
        if any((folder / form).exists() for form in remote.instead):
            continue
        path = folder / remote.name
        here = path.is_file()
        if not here:
            _download(name, published.url + remote.name, remote.md5, path)
        elif _md5(path) != remote.md5:
            other.append(remote.name)
        if remote.members:
            unpack(path, re.compile(remote.members), folder / remote.instead[0])
            if not here:
                path.unlink()
    return folder, (f"MD5 sums differ from the published ones: {', '.join(other)}",) if other else ()


def _download(name: str, url: str, md5: str, path: Path) -> None:
    import pooch

    by_hand = f"put the file into {printable(path.parent)}, or give a folder that holds the data"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        where = f"{printable(path.parent)} ({error.strerror or error})"
        raise DataError(f"{name} cannot be saved in {where}: set PTDIFF_DATA to a folder with enough space") from None
    try:
        pooch.retrieve(url, f"md5:{md5}", path.name, path.parent, downloader=pooch.HTTPDownloader(timeout=_PATIENCE))
    except OSError as error:  # requests raises OSErrors, some of which are ValueErrors too
        why = _reason(error)
        raise DataError(f"{name} is not on this machine and {url} cannot be downloaded ({why}): {by_hand}") from None
    except ValueError:
        raise DataError(f"{url} is not the published file (its MD5 sum differs): {by_hand}") from None
    finally:
        with suppress(OSError):  # do not leave an empty folder behind
            path.parent.rmdir()


def _reason(error: OSError) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code}"
    return error.strerror or "no connection"


def unpack(archive: Path, members: re.Pattern[str], folder: Path) -> None:
    """Extract the regular files of a tar archive whose full names match into ``folder``, atomically.

    FormatError for an archive that is damaged, has no such files or is too large.
    """
    room = _LARGEST
    with cache.workplace(folder, "set PTDIFF_DATA to a folder with enough space") as place:
        try:
            with gzip.open(archive) as whole, tarfile.open(fileobj=whole, mode="r:") as tar:
                for member in tar:
                    if not (member.isreg() and members.fullmatch(member.name)):
                        continue
                    room -= member.size
                    if room < 0:
                        raise FormatError(archive, f"it unpacks to more than {_LARGEST >> 30} GB")
                    stream = tar.extractfile(member)
                    assert stream is not None
                    with (place / Path(member.name).name).open("wb") as out:
                        shutil.copyfileobj(stream, out)
                while whole.read(1 << 20):  # read up to the checksum, which follows the end of the archive
                    pass
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FormatError(archive, f"damaged archive: {error}") from None
        if not any(place.iterdir()):
            raise FormatError(archive, "the archive holds none of the files of this set")
        if not folder.exists():
            place.rename(folder)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
