"""Published sets: downloaded once with their sums, refused when spoiled, and said how to get where there is no line."""

import gzip
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from image_examples import cifar_binary, encoded, idx

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.images import by_name as image_sets
from ptdiff_datasets.images import downloads
from ptdiff_datasets.images.downloads import PUBLISHED, Published, Remote, data_folder, fetch, unpack

IMAGES, LABELS = np.arange(4 * 36, dtype=np.uint8).reshape(4, 6, 6), np.array([0, 9, 1, 1], np.uint8)
FILES = {
    "train-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES), mtime=0),
    "train-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS), mtime=0),
    "t10k-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES + 1), mtime=0),
    "t10k-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS), mtime=0),
}


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Files by name, and what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = dict(FILES)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        name = self.path.strip("/")
        self.server.asked.append(name)
        content = self.server.files.get(name)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PTDIFF_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


def published(url: str) -> Published:
    """The small files as if they were Fashion-MNIST."""
    return downloads._idx(url, PUBLISHED["fashion-mnist"].classes, *(md5(data) for data in FILES.values()))


def set_of(name: str, made: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_sets, "PUBLISHED", {**PUBLISHED, name: made})


def test_a_set_is_downloaded_once_and_has_the_names_of_its_classes(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_of("fashion-mnist", published(server.url), monkeypatch)
    data = image_sets.named("fashion-mnist")
    assert np.array_equal(data.train.pixels[:, 0], IMAGES)
    assert np.array_equal(data.val.pixels[:, 0], IMAGES + 1)
    assert data.classes == ("T-shirt/top", "trouser", "ankle boot")
    assert data.notes == ()
    assert sorted(server.asked) == sorted(FILES)
    again = image_sets.named("fashion-mnist", 8)
    assert len(server.asked) == 4
    assert again.train.pixels.shape == (4, 1, 8, 8)
    assert sorted(path.name for path in (root / "fashion-mnist").iterdir()) == sorted(FILES)


def test_another_sum_is_refused_and_leaves_nothing(server: Server, root: Path) -> None:
    spoiled = bytearray(FILES["train-labels-idx1-ubyte.gz"])
    spoiled[-3] ^= 1
    server.files["train-labels-idx1-ubyte.gz"] = bytes(spoiled)
    with pytest.raises(DataError, match=r"labels-idx1-ubyte\.gz is not the published file") as caught:
        fetch("some", published(server.url), root)
    assert str(root / "some") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert [path.name for path in (root / "some").iterdir()] == ["train-images-idx3-ubyte.gz"]
    server.files = dict(FILES)
    fetch("some", published(server.url), root)
    assert len(list((root / "some").iterdir())) == 4


def test_a_file_that_is_gone_and_no_line_are_told_with_what_to_do(server: Server, root: Path) -> None:
    server.files = {}
    with pytest.raises(DataError, match=r"cannot be downloaded \(the server answered 404\): put the file into") as gone:
        fetch("some", published(server.url), root)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as closed:
        address = f"http://127.0.0.1:{closed.server_address[1]}/"
    with pytest.raises(DataError, match=r"cannot be downloaded \(no connection\): put the file into") as offline:
        fetch("some", published(address), root)
    for caught, url in ((gone, server.url), (offline, address)):
        message = str(caught.value)
        assert f"{url}train-images-idx3-ubyte.gz" in message
        assert str(root / "some") in message
        assert len(message.splitlines()) == 1
    assert list(root.iterdir()) == []


def test_files_put_by_hand_are_used_packed_or_not_and_another_sum_is_told(root: Path) -> None:
    nowhere = published("http://127.0.0.1:1/")
    (root / "some").mkdir(parents=True)
    for name, data in FILES.items():
        (root / "some" / name.removesuffix(".gz")).write_bytes(gzip.decompress(data))
    assert fetch("some", nowhere, root) == (root / "some", ())
    plain = root / "some/train-images-idx3-ubyte"
    other = gzip.compress(plain.read_bytes(), compresslevel=1, mtime=5)
    plain.with_name(plain.name + ".gz").write_bytes(other)
    plain.unlink()
    (note,) = fetch("some", nowhere, root)[1]
    assert note == "MD5 sums differ from the published ones: train-images-idx3-ubyte.gz"


def packed(files: dict[str, bytes], links: tuple[str, ...] = ()) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    return stream.getvalue()


def test_an_archive_is_unpacked_and_thrown_away(server: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = {f"cifar-10-batches-bin/data_batch_{n}.bin": cifar_binary(4, n) for n in range(1, 6)}
    archive = packed({**batches, "cifar-10-batches-bin/test_batch.bin": cifar_binary(3, 6), "readme.html": b"hello"})
    server.files["cifar-10-binary.tar.gz"] = archive
    (remote,) = PUBLISHED["cifar10"].files
    remote = Remote(remote.name, md5(archive), remote.instead, remote.members)
    set_of("cifar10", Published(server.url, (remote,)), monkeypatch)
    data = image_sets.named("cifar10", gray=True)
    assert data.train.pixels.shape == (20, 1, 32, 32)
    assert data.val.pixels.shape == (3, 1, 32, 32)
    assert data.classes[0] == "airplane"
    assert [path.name for path in (root / "cifar10").iterdir()] == ["cifar-10-batches-bin"]
    assert len(list((root / "cifar10/cifar-10-batches-bin").iterdir())) == 6
    image_sets.named("cifar10")
    assert server.asked == ["cifar-10-binary.tar.gz"]


def test_of_an_archive_nothing_but_the_files_of_the_set_is_taken(tmp_path: Path) -> None:
    pattern = re.compile(r"jpg/image_\d{5}\.jpg")
    archive = tmp_path / "a.tgz"
    hostile = {"../jpg/image_00001.jpg": b"out", "/jpg/image_00002.jpg": b"root", "jpg/other.sh": b"no"}
    archive.write_bytes(packed({**hostile, "jpg/image_00003.jpg": b"yes"}, ("jpg/image_00004.jpg",)))
    unpack(archive, pattern, tmp_path / "out/jpg")
    assert [path.name for path in (tmp_path / "out/jpg").iterdir()] == ["image_00003.jpg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tgz", "out"]


def test_damaged_empty_and_oversized_archives_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, pattern = tmp_path / "a.tgz", re.compile(r"jpg/.*")
    noise = np.random.default_rng(0).bytes(20_000)
    whole = packed({"jpg/a": noise, "jpg/b": noise})
    spoiled = bytearray(whole)
    spoiled[len(whole) // 2] ^= 255
    for content in (b"", b"no archive", whole[: len(whole) // 2], bytes(spoiled), packed({"other": b""})):
        archive.write_bytes(content)
        with pytest.raises(FormatError, match="archive"):
            unpack(archive, pattern, tmp_path / "out/jpg")
        assert list((tmp_path / "out").iterdir()) == []
    archive.write_bytes(whole)
    monkeypatch.setattr(downloads, "_LARGEST", 30_000)
    with pytest.raises(FormatError, match="unpacks to more than"):
        unpack(archive, pattern, tmp_path / "out/jpg")


def test_a_folder_is_read_as_what_it_holds(tmp_path: Path, root: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    assert image_sets.read(tmp_path).train.pixels.shape == (4, 1, 6, 6)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n in range(5):
        (pictures / f"{n}.png").write_bytes(encoded(np.full((9, 12, 3), 40 * n, np.uint8), "PNG"))
    assert image_sets.read(pictures).train.pixels.shape == (4, 3, 32, 32)
    assert image_sets.read(pictures, 6, gray=True).val.pixels.shape == (1, 1, 6, 6)
    with pytest.raises(DataError, match="does not exist"):
        image_sets.read(tmp_path / "nowhere")


def test_the_place_of_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PTDIFF_DATA", str(tmp_path / "mine"))
    assert data_folder() == tmp_path / "mine"
    monkeypatch.delenv("PTDIFF_DATA")
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "cache/data"


def test_every_published_file_has_a_sum_and_a_place() -> None:
    for published in PUBLISHED.values():
        assert re.fullmatch(r"https?://.*/", published.url)
        for remote in published.files:
            assert re.fullmatch("[0-9a-f]{32}", remote.md5)
            assert not remote.members or remote.instead
    sums = [remote.md5 for published in PUBLISHED.values() for remote in published.files]
    assert len(set(sums)) == len(sums)
