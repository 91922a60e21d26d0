"""`--image_dir` as an archive, as WebDataset shards, and as an address: the photos, and the bits, of a folder."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos import elsewhere
from poets_edge.photos.address import Address, photo_path
from poets_edge.photos.folder import read_contents, scan
from tests.conftest import poets_edge

FEW = ("--how_many_training_steps", "50", "--weights", "embedded", "--architecture", "mobilenet_0.25_128")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "photos"
    poets_edge("draw-photos", folder, "--per_class", "8", "--quiet").ok()
    for path in [*folder.glob("*/*.jpg")]:  # or they would be read again: they could change within the clock's tick
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return folder


@pytest.fixture(scope="module")
def alone(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return trained(photos, tmp_path_factory.mktemp("alone"))


def trained(place: Path | str, folder: Path, *more: str) -> bytes:
    folder.mkdir(exist_ok=True)
    poets_edge("train", "--image_dir", place, *FEW, *more, cwd=folder).ok()
    return (folder / "tf_files/retrained_graph.pb").read_bytes()


def make_zip(path: Path, photos: Path, above: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/daisy/._1.jpg", b"no photo")
        archive.writestr(f"{above}LICENSE.txt", b"text")
        for photo in sorted(photos.glob("*/*.jpg"), reverse=True):
            archive.write(photo, above + photo.relative_to(photos).as_posix())
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def contents_of(photos: Path) -> dict[str, bytes]:
    return {path.relative_to(photos).as_posix(): path.read_bytes() for path in sorted(photos.glob("*/*.jpg"))}


def test_an_archive_gives_the_bits_of_its_folder(photos: Path, alone: bytes, tmp_path: Path) -> None:
    zipped, inside = make_zip(tmp_path / "a.zip", photos), make_zip(tmp_path / "b.zip", photos, "flower_photos/")
    tarred = make_tar(tmp_path / "c.tar", {f"./{name}": content for name, content in contents_of(photos).items()})
    assert [photo.name for photo in scan(zipped).photos] == [photo.name for photo in scan(photos).photos]
    assert [read_contents(photo) for photo in scan(inside).photos] == [*contents_of(photos).values()]
    assert trained(zipped, tmp_path / "zip") == trained(tarred, tmp_path / "tar") == alone


def test_a_model_of_an_archive_is_exported_and_evaluated(photos: Path, tmp_path: Path) -> None:
    zipped = make_zip(tmp_path / "photos.zip", photos, "flower_photos/")
    trained(zipped, tmp_path)
    exported = poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok()
    assert "test photos" in exported.stdout + exported.stderr
    model = "tf_files/retrained_graph_int8.tflite"
    found = json.loads(poets_edge("evaluate", model, "--image_dir", zipped, "--json", cwd=tmp_path).ok().stdout)
    same = json.loads(poets_edge("evaluate", model, "--image_dir", photos, "--json", cwd=tmp_path).ok().stdout)
    assert found == same and found["set"] == "test", "the archive is recognised as what it was trained on"
    page = (tmp_path / "tf_files/retrained_graph.html").read_text()
    assert "data:image/jpeg" in page
    poets_edge("audit", zipped, *FEW[2:], cwd=tmp_path).ok()
    (tmp_path / "photos.zip").unlink()
    assert "photos.zip" in poets_edge("export", "--quantize", "int8", cwd=tmp_path).failed().stderr


def test_an_unchanged_archive_is_not_read_again(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = make_zip(tmp_path / "photos.zip", photos)
    os.utime(zipped, (1_000_000_000, 1_000_000_000))
    monkeypatch.setattr("poets_edge.photos.digests.RACY_SECONDS", -1e9)  # its change time is now
    first = trained(zipped, tmp_path, "--not-calibrated")
    read: list[str] = []
    real = elsewhere.read

    def counted(path: str, most: int) -> bytes:
        read.append(path)
        return real(path, most)

    monkeypatch.setattr(elsewhere, "read", counted)
    assert trained(zipped, tmp_path, "--not-calibrated") == first
    several = len([*photos.glob("*/*.jpg")])
    assert len(read) < several, "thumbnails only"
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr("daisy/more.jpg", next(photos.glob("roses/*.jpg")).read_bytes())
    read.clear()
    trained(zipped, tmp_path, "--not-calibrated")
    assert len(read) > several, "it has changed"


def shards(folder: Path, photos: Path, count: int = 3) -> None:
    contents = [*contents_of(photos).items()]
    for number in range(count):
        files: dict[str, bytes] = {}
        for place, (name, content) in enumerate(contents[number::count]):
            files |= {f"{place:04}.jpg": content, f"{place:04}.cls": name.partition("/")[0].encode() + b"\n"}
            files[f"{place:04}.json"] = b"{}"
        make_tar(folder / f"flowers-{number:03}.tar", files)


@pytest.mark.parametrize("pattern", ["flowers-{000..002}.tar", "flowers-*.tar", "flowers-00{0,1,2}.tar"])
def test_webdataset_shards(photos: Path, tmp_path: Path, pattern: str) -> None:
    shards(tmp_path, photos)
    found = scan(tmp_path / pattern)
    assert len(found.photos) == 40 and found.classes == scan(photos).classes
    assert found.photos[0].name == "flowers-000.tar/0000.jpg" and found.photos[0].label == "daisy"
    by_content = {content: name.partition("/")[0] for name, content in contents_of(photos).items()}
    assert all(by_content[read_contents(photo)] == photo.label for photo in found.photos)
    one = scan(tmp_path / "flowers-001.tar").photos
    assert {photo.name for photo in one} < {f"{place:04}.jpg" for place in range(20)}
    assert elsewhere.photo_at(tmp_path / pattern, found.photos[0].name) == found.photos[0].path


def test_shards_train(photos: Path, tmp_path: Path) -> None:
    shards(tmp_path, photos)
    graph = trained(tmp_path / "flowers-{000..002}.tar", tmp_path, "--cluster", "local:1")
    assert trained(tmp_path / "flowers-{000..002}.tar", tmp_path / "alone") == graph
    poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok()


def test_archives_of_sets(photos: Path, tmp_path: Path) -> None:
    contents = contents_of(photos)
    names = {name: ("train/", "val/", "test/")[place % 3] for place, name in enumerate(contents)}
    path = make_tar(tmp_path / "sets.tar", {names[name] + name: content for name, content in contents.items()})
    found = scan(path)
    assert found.set_folders == ("test", "train", "val") and found.photos[0].given_set == "test"
    assert found.classes == scan(photos).classes


def _link(name: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(info)
    return file.getvalue()


def _tar(**files: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _zip(name: str, content: bytes = b"x", **facts: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo(name)
        for fact, value in facts.items():
            setattr(info, fact, value)
        archive.writestr(info, content)
    return file.getvalue()


def _encrypted() -> bytes:
    data = bytearray(_zip("a/1.jpg"))
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


BAD: dict[str, tuple[str, bytes, str]] = {
    "empty zip": ("x.zip", b"", "damaged, cut short"),
    "cut zip": ("x.zip", _zip("a/1.jpg")[:-30], "damaged, cut short"),
    "no zip": ("x.zip", b"x" * 5000, "damaged, cut short"),
    "empty tar": ("x.tar", b"", "damaged, cut short"),
    "cut tar": ("x.tar", _tar(**{"a/1.jpg": b"x" * 5000})[:3000], "damaged, cut short"),
    "tar without its end": ("x.tar", _tar(**{"a/1.jpg": b"x" * 512})[:1024], "damaged, cut short"),
    "tar garbled behind its first member": ("x.tar", _tar(**{"a/1.jpg": b"x"})[:1024] + b"y" * 4096, "damaged"),
    "compressed tar": ("x.tar.gz", b"\x1f\x8b", "Make a .zip or .tar"),
    "outside, zip": ("x.zip", _zip("../1.jpg"), "leads out of the archive"),
    "outside, tar": ("x.tar", _tar(**{"a/../../1.jpg": b"x"}), "leads out of the archive"),
    "absolute": ("x.tar", _tar(**{"/etc/a/1.jpg": b"x"}), "leads out of the archive"),
    "symbolic link": ("x.tar", _link("a/1.jpg"), "--dereference"),
    "hard link": ("x.tar", _link("a/1.jpg", tarfile.LNKTYPE), "--hard-dereference"),
    "link in a zip": ("x.zip", _zip("a/1.jpg", external_attr=0o120777 << 16), "--symlinks"),
    "encrypted": ("x.zip", _encrypted(), "encrypted"),
    "another compression": ("x.zip", _zip("a/1.jpg", compress_type=zipfile.ZIP_BZIP2), "Use deflate"),
    "control characters": ("x.zip", _zip("a/\x1b[2J.jpg"), "control characters"),
    "control characters in a folder": ("x.tar", _tar(**{"a\n/1.jpg": b"x"}), "control characters"),
    "no class": ("x.tar", _tar(**{"1.jpg": b"x", "2.jpg": b"x", "2.cls": b"0"}), "there is no 1.cls"),
    "empty class": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b" \n"}), "holds no class"),
    "class of two lines": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b"a\nb"}), "holds no class"),
    "class that is no text": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b"\xff\xfe"}), "holds no class"),
    "huge class": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b"a" * 5000}), "holds no class"),
    "no photos": ("x.zip", _zip("a/1.txt"), "no class folders"),
    "no folders": ("x.zip", _zip("1.jpg"), "no class folders"),
    "no such archive": ("y-{0..3}.tar", b"", "no such file"),
    "no match": ("y-*.tar", b"", "no archive has such a name"),
    "too many": ("y-{0..999999999999}.tar", b"", "archives"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_archives_are_one_line(tmp_path: Path, case: str) -> None:
    name, content, told = BAD[case]
    if "{" not in name and "*" not in name:
        (tmp_path / name).write_bytes(content)
    failed = poets_edge("train", "--image_dir", tmp_path / name, *FEW, cwd=tmp_path).failed()
    [line] = [line for line in failed.stderr.splitlines() if line.startswith("Error: ")]
    assert told in line and "Traceback" not in failed.stderr and "\x1b" not in failed.stderr


def test_what_an_archive_says_of_a_size_is_checked_before_and_after(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.jpg", bytes(300 << 20))
        archive.writestr("b/1.jpg", bytes(1 << 20))
    data = bytearray(bomb.getvalue())
    (tmp_path / "bomb.zip").write_bytes(data)
    first, second = scan(tmp_path / "bomb.zip").photos
    with pytest.raises(PhotoError, match="larger than"):
        read_contents(first)
    assert read_contents(second) == bytes(1 << 20)
    at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4) + 24
    data[at : at + 4] = struct.pack("<I", 1000)  # it says that it is a small one
    (tmp_path / "liar.zip").write_bytes(data)
    with pytest.raises(PhotoError, match="damaged in its archive"):
        read_contents(scan(tmp_path / "liar.zip").photos[1])


def test_archives_of_any_bytes(tmp_path: Path, photos: Path) -> None:
    import random

    chance = random.Random(0)
    whole = {".zip": make_zip(tmp_path / "a.zip", photos).read_bytes(),
             ".tar": make_tar(tmp_path / "a.tar", contents_of(photos)).read_bytes()}  # fmt: skip
    for turn in range(60):
        suffix = (".zip", ".tar")[turn % 2]
        data = bytearray(whole[suffix])
        for _ in range(chance.choice((1, 8, 64))):
            place = chance.choice((chance.randrange(len(data)), len(data) - 1 - chance.randrange(3000)))
            data[place] = chance.randrange(256)
        path = tmp_path / f"{turn}{suffix}"
        path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
        try:
            for photo in scan(path).photos:
                read_contents(photo)
        except (DatasetError, PhotoError):
            pass


class _Server(SimpleHTTPRequestHandler):
    """Files with ETags, in parts where that is asked for."""

    asked: list[tuple[str, str]]
    broken: set[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def _answer(self, with_a_folder: Callable[[], None]) -> None:
        self.asked.append((self.command, self.path))
        path = Path(self.translate_path(self.path))
        if self.path in self.broken:
            self.send_error(503)
        elif path.is_file():
            self._send(path)
        else:
            with_a_folder()

    def _send(self, path: Path) -> None:
        content = path.read_bytes()
        start, end = 0, len(content)
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last or end) + 1, end)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[start:end])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, type[_Server]]]:
    """An address, the folder behind it, and what was asked for."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    kind = type("Server", (_Server,), {"asked": [], "broken": set()})
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(folder))) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder, kind
        running.shutdown()


def test_a_folder_at_an_address(
    photos: Path, alone: bytes, tmp_path: Path, server: tuple[str, Path, type[_Server]]
) -> None:
    address, folder, kind = server
    (folder / "flowers").symlink_to(photos)
    [one, *_] = sorted(path.name for path in (photos / "roses").iterdir())
    kind.broken.add(f"/flowers/roses/{one}")
    failed = poets_edge("train", f"{address}/flowers", *FEW, cwd=tmp_path).failed()
    assert "run again" in failed.stderr.splitlines()[-1] and "Traceback" not in failed.stderr
    kind.broken.clear()
    assert trained(f"{address}/flowers", tmp_path) == alone
    kind.asked.clear()
    assert trained(f"{address}/flowers", tmp_path) == alone
    again = {path for method, path in kind.asked if method == "GET" and path.endswith(".jpg")}
    assert len(again) < 40, "pictures of the report, and no more"
    record = json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())
    assert record["image_dir"] == f"{address}/flowers"
    assert "test photos" in poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok().stdout


@pytest.mark.parametrize("name", ["flowers.zip", "flowers.tar"])
def test_an_archive_at_an_address(
    photos: Path, alone: bytes, tmp_path: Path, server: tuple[str, Path, type[_Server]], name: str
) -> None:
    address, folder, kind = server
    if name.endswith(".zip"):
        make_zip(folder / name, photos, "flower_photos/")
    else:
        make_tar(folder / name, contents_of(photos))
    assert trained(f"{address}/{name}", tmp_path) == alone
    kind.asked.clear()
    assert trained(f"{address}/{name}", tmp_path) == alone
    assert sum(method == "GET" for method, _ in kind.asked) < 40
    missing = poets_edge("train", f"{address}/no-{name}", *FEW, cwd=tmp_path).failed()
    assert missing.stderr.splitlines()[-1].startswith("Error: ") and "Traceback" not in missing.stderr


def test_shards_in_a_store(photos: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    shards(tmp_path, photos)
    for path in tmp_path.glob("*.tar"):
        store.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    for pattern in ("flowers-{000..002}.tar", "flowers-*.tar"):
        found = scan(photo_path(f"memory://bucket/{pattern}")).photos
        assert len(found) == 40 and str(found[0].path) == "memory://bucket/flowers-000.tar/0000.jpg"
        assert read_contents(found[3])[:2] == b"\xff\xd8"
    for name, content in contents_of(photos).items():
        store.pipe_file(f"/folder/{name}", content)
    found = scan(Address("memory://folder")).photos
    assert [photo.name for photo in found] == [*contents_of(photos)]
    assert [read_contents(photo) for photo in found] == [*contents_of(photos).values()]
    store.rm_file("/folder/" + found[0].name)
    with pytest.raises(PhotoError, match=f"^memory://folder/{found[0].name}: nothing is there.$"):
        read_contents(found[0])
    assert [photo.name for photo in scan(photo_path(photos.resolve().as_uri())).photos] == [*contents_of(photos)]


def test_nothing_at_an_address_that_raises_an_error_where_others_find_nothing() -> None:
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    class Strict(MemoryFileSystem):  # type: ignore[misc]  # as gcsfs is about a bucket that is not there
        protocol = "strict"

        def find(self, path: str, *_: Any, **__: Any) -> list[str]:
            raise FileNotFoundError(path)

        def glob(self, path: str, *_: Any, **__: Any) -> list[str]:
            raise FileNotFoundError(path)

    fsspec.register_implementation("strict", Strict)
    for address in ("strict://bucket/photos", "strict://bucket/*.tar"):
        with pytest.raises(DatasetError, match=f"^{re.escape(address)}: n"):
            scan(photo_path(address))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.startswith("fsspec"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    for address, extra in (("https://host.invalid/photos", "remote"), ("s3://bucket/photos.tar", "s3")):
        failed = poets_edge("train", address, *FEW, cwd=tmp_path).failed()
        assert f"pip install 'poets-edge[{extra}]'" in failed.stderr.splitlines()[-1]


def test_an_unknown_kind_of_address(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    failed = poets_edge("train", "nonsense://host/photos", *FEW, cwd=tmp_path).failed()
    assert "no kind of address" in failed.stderr.splitlines()[-1]


def test_folders_with_such_names_are_folders(photos: Path, tmp_path: Path) -> None:
    for name in ("photos.zip", "photos{0..1}.tar", "a*"):
        (tmp_path / name).symlink_to(photos)
        assert len(scan(tmp_path / name).photos) == 40
    for name in ("b*", "{0..1}"):
        with pytest.raises(DatasetError, match="no such folder"):
            scan(tmp_path / name)


def test_an_address_that_nobody_answers(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    for name in ("photos.zip", "photos.tar", "photos"):
        poets_edge("train", f"http://127.0.0.1:9/{name}", *FEW, cwd=tmp_path).failed(f"http://127.0.0.1:9/{name}: ")


def test_an_address_is_put_together_like_a_path() -> None:
    address = Address("https://host/photos.tar")
    assert str(address / "daisy/1.jpg") == "https://host/photos.tar/daisy/1.jpg" and address.name == "photos.tar"
    assert str(photo_path("file:///data/photos") / "a") == "file:///data/photos/a"
    assert address.resolve() == address == photo_path(str(address)) and not address.exists()
    assert str(address.parent) == "https://host" and not isinstance(photo_path("photos"), Address)
