"""Tests of photos in archives and at addresses: patterns, positions of photos, and metadata reported by servers."""

from __future__ import annotations

import email.utils
import errno
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from poets_edge.errors import DatasetError, RemoteError, RuntimeMissingError, UsageError
from poets_edge.photos import folder_names, remote, sources
from poets_edge.photos.address import Address
from poets_edge.photos.folder import scan
from poets_edge.photos.sources import FileStamp, is_archive_or_address, photo_at, with_encoding
from tests.photos.archive_files import make_tar


def _zip(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("x", ["x"]),
        ("a{1..3}b", ["a1b", "a2b", "a3b"]),
        ("a{08..11}", ["a08", "a09", "a10", "a11"]),
        ("a{9..11}", ["a9", "a10", "a11"]),
        ("a{5..5}", ["a5"]),
        ("{x,y}{1..2}", ["x1", "x2", "y1", "y2"]),
        ("{a,b,c}", ["a", "b", "c"]),
    ],
)
def test_patterns_are_expanded_as_in_a_shell(pattern: str, expected: list[str]) -> None:
    assert sources._expanded(pattern) == expected


def test_photos_of_several_archives_are_combined_and_sorted_by_name(tmp_path: Path) -> None:
    for number in (1, 2):
        _zip(tmp_path / f"p{number}.zip", f"top/a/{number}.jpg", f"top/b/{number}.jpg")
    found = scan(tmp_path / "p{1..2}.zip")
    names = ["p1.zip/a/1.jpg", "p1.zip/b/1.jpg", "p2.zip/a/2.jpg", "p2.zip/b/2.jpg"]
    assert [photo.name for photo in found.photos] == names
    assert [photo.label for photo in found.photos] == ["a", "b", "a", "b"] and found.classes == ("a", "b")
    for place in ("p*.zip", "p?.zip", "p{2,1}.zip"):
        assert [photo.name for photo in scan(tmp_path / place).photos] == names
    for name in names:
        assert photo_at(tmp_path / "p{1..2}.zip", name) == tmp_path / name
    assert photo_at(tmp_path / "p1.zip", "a/1.jpg") == tmp_path / "p1.zip/a/1.jpg"
    assert [sources.size(str(tmp_path / name)) for name in names] == [11] * 4
    with pytest.raises(DatasetError, match=r"p3\.zip: no such file"):
        scan(tmp_path / "p{1..4}.zip")
    with pytest.raises(DatasetError, match="no archive has such a name"):
        scan(tmp_path / "q*.zip")


def test_mixtures_of_shards_and_archives_with_class_folders_are_rejected(tmp_path: Path) -> None:
    for number, names in enumerate((("a/1.jpg", "b/1.jpg"), ("1.jpg", "1.cls")), 1):
        make_tar(tmp_path / f"p{number}.tar", dict.fromkeys(names, b"x"))
    with pytest.raises(DatasetError, match="some of these are WebDataset shards and some are not"):
        scan(tmp_path / "p{1..2}.tar")
    make_tar(tmp_path / "p1.tar", {})
    assert [photo.label for photo in scan(tmp_path / "p{1..2}.tar").photos] == ["x"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.zip", True), ("x.ZIP@gbk", True), ("x.tar", True), ("x.tgz", True), ("x.tar.gz", True), ("x.zipped", False),
        ("https://example.org/x", True), ("x", False),
    ],
)  # fmt: skip
def test_archives_are_recognized_by_their_suffix(name: str, expected: bool, tmp_path: Path) -> None:
    place = name if "://" in name else str(tmp_path / name)
    assert is_archive_or_address(place) is expected
    if "://" not in name and "@" not in name:
        (tmp_path / name).mkdir()
        assert not is_archive_or_address(place)


def test_encoding_of_names_is_accepted_only_for_zip_archives() -> None:
    assert str(with_encoding(Path("a.ZIP"), "cp932")) == "a.ZIP@cp932"
    found = with_encoding(Address("https://example.org/a.zip"), "gbk")
    assert isinstance(found, Address) and str(found) == "https://example.org/a.zip@gbk"
    with pytest.raises(UsageError, match=r"is for a \.zip, not a\.tar"):
        with_encoding(Path("a.tar"), "gbk")
    with pytest.raises(UsageError, match="klingon: not an encoding of Python"):
        with_encoding(Path("a.zip"), "klingon")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand-in for the HTTP client; each test sets the functions that it needs."""
    module = SimpleNamespace(is_allowed=lambda address: True)
    monkeypatch.setattr(remote, "_web", lambda: module)
    remote.forget()
    yield module
    remote.forget()


def test_wildcards_in_an_address_do_not_match_slashes(web: Any) -> None:
    listed = ["p1.tar", "p2.tar", "P3.tar", "x/p4.tar", "x/p5.zip", "y/z/p6.tar"]
    web.listing = lambda address: listed if address == "https://h/d" else []
    assert remote.matching("https://h/d/p*.tar") == ["https://h/d/p1.tar", "https://h/d/p2.tar"]
    assert remote.matching("https://h/d/*/p*.tar") == ["https://h/d/x/p4.tar"]
    assert remote.matching("https://h/d/?2.tar") == ["https://h/d/p2.tar"]
    assert remote.matching("https://h/d/q*") == []


_DATE, _LATER = "Wed, 01 Jan 2020 00:00:00 GMT", "Wed, 01 Jan 2020 00:10:00 GMT"


@pytest.mark.parametrize(
    ("said", "identity", "age", "size"),
    [
        ({"ETag": '"x"', "Content-Length": "7"}, 'size=7 ETag="x"', None, 7),
        ({"Content-Length": "7"}, None, None, 7),
        ({"Content-Length": "0"}, None, None, 0),
        ({"ETag": '"x"'}, 'size=None ETag="x"', None, None),
        ({"ETag": '"x"', "Content-Length": "-7"}, 'size=None ETag="x"', None, None),
        ({"Last-Modified": _DATE, "Date": _LATER, "Content-Length": "7"}, f"size=7 Last-Modified={_DATE}", 600, 7),
        ({"Last-Modified": _DATE, "Content-Length": "7"}, f"size=7 Last-Modified={_DATE}", float("-inf"), 7),
        ({"Last-Modified": "never", "ETag": "x"}, "size=None ETag=x Last-Modified=never", None, None),
    ],
)
def test_files_on_a_server_are_identified_by_their_response_headers(
    said: dict[str, str], identity: str | None, age: float | None, size: int | None, web: Any
) -> None:
    """The age of a file is the difference of two times of the server's clock, which need not be right."""
    web.facts = lambda address: said
    found = remote.facts("https://h/x")
    assert (found.identity, found.size) == (identity, size)
    if age is None:
        assert found.changed == 0
    else:
        assert time.time() - found.changed == pytest.approx(age, abs=5) or found.changed == -age == float("inf")
    assert sources.size("https://h/x") == (-1 if size is None else size)
    stamp = sources.stamp("https://h/x")
    assert (stamp is None) == (identity is None)


def test_file_facts_are_requested_only_once_per_scan(web: Any) -> None:
    asked: list[str] = []

    def facts(address: str) -> dict[str, str]:
        asked.append(address)
        return {"Content-Length": "3"}

    web.facts = facts
    assert [remote.size("https://h/x") for _ in range(3)] == [3, 3, 3] and asked == ["https://h/x"]
    remote.forget()
    remote.prefetch_facts(["https://h/x", "https://h/y"])
    assert sorted(asked[1:]) == ["https://h/x", "https://h/y"] and remote.size("https://h/y") == 3


def test_scan_refreshes_the_stamps_of_remote_photos(web: Any) -> None:
    web.listing, web.facts = lambda address: ["a/1.jpg", "b/1.jpg"], lambda address: {"ETag": "old"}
    before = sources.stamp("https://h/d/a/1.jpg")
    web.facts = lambda address: {"ETag": "new"}
    scan(Address("https://h/d"))
    after = sources.stamp("https://h/d/a/1.jpg")
    assert before is not None and after is not None
    assert (before.identity, after.identity) == ("size=None ETag=old", "size=None ETag=new")


def test_remote_file_can_be_read_from_any_position(web: Any) -> None:
    content = bytes(range(200))
    web.facts = lambda address: {"Content-Length": "200"}
    web.read = lambda address, start, end, *, most: content[start:end]
    file = remote._RangeFile("https://h/x", 200)
    assert file.seek(10) == 10 and file.read(3) == content[10:13]
    assert file.seek(5, io.SEEK_CUR) == 18 and file.read(2) == content[18:20]
    assert file.seek(-4, io.SEEK_END) == 196 and file.read(9) == content[196:] and file.read(1) == b""
    assert file.seek(-190, io.SEEK_CUR) == 10 and file.readable() and file.seekable()
    assert file.seek(0) == 0 and file.read(1) == content[:1] and file.seek(-200, io.SEEK_END) == 0
    with pytest.raises(ValueError, match="before the beginning"):
        file.seek(-1)
    with remote.opened("https://h/x") as whole:
        assert whole.read() == content
    web.facts = lambda address: {}
    remote.forget()
    with pytest.raises(DatasetError, match="its server does not say its size"):
        remote.opened("https://h/x")


def _raises(error: BaseException) -> Callable[[str], Any]:
    def run(address: str) -> Any:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            ConnectionError("reset\n by  peer"),
            RemoteError,
            r"https://h/x: reset by peer\. The computed results are kept",
        ),
        (ValueError(), RemoteError, "https://h/x: ValueError"),
        (ValueError("see https://me:secret@h/x"), RemoteError, "https://h/x: see https://h/x"),
        (ValueError("y" * 300 + "\x1b"), RemoteError, "https://h/x: y{200}\\. The"),
        (FileNotFoundError(2, "x"), FileNotFoundError, "nothing is there"),
        (OSError(errno.EFBIG, "larger than 3 MB"), OSError, "larger than 3 MB"),
        (DatasetError("own"), DatasetError, "own"),
    ],
)
def test_server_errors_are_reported_in_one_line_without_secrets(
    error: BaseException, kind: type[BaseException], message: str, web: Any
) -> None:
    web.facts = _raises(error)
    with pytest.raises(kind, match=f"^.*{message}") as raised:
        remote.facts("https://h/x")
    assert "secret" not in str(raised.value) and "\n" not in str(raised.value)


def test_errors_for_object_stores_name_the_required_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme, extra in (("s3", "s3"), ("s3a", "s3"), ("gs", "gs"), ("gcs", "gs")):
        with (
            pytest.raises(RuntimeMissingError, match=rf"pip install 'poets-edge\[{extra}\]'"),
            remote.readable_errors(f"{scheme}://b/x"),
        ):
            raise ImportError
    for address in ("ftp://h/x", "s3://b/x::file://y"):
        with pytest.raises(DatasetError, match="no kind of address that photos are read from"):
            remote.read(address, most=1)


class _System:
    """Object store with one file."""

    def cat_file(self, path: str, *, start: int, end: int) -> bytes:
        return b"0123456789"[start:end]


def test_size_of_a_file_read_from_an_object_store_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_system", lambda address: (_System(), address))
    assert remote.read("s3://b/x", most=10) == b"0123456789" and remote.read("s3://b/x", 2, 5, most=3) == b"234"
    for most, limits in ((9, ()), (2, (2, 5))):
        with pytest.raises(OSError, match="larger than") as raised:
            remote.read("s3://b/x", *limits, most=most)
        assert raised.value.errno == errno.EFBIG


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("class", False), ("class 1", False), ("object", False), ("SegmentationClass", True), ("masks", True),
        ("images", True), ("train", True), ("test_images", True), ("predictions", True), ("roses", False),
        ("predict", True), ("pred 1", True), ("prediction", True), ("Unlabeled", True), ("unlabelled", True),
        ("infer", True), ("inference", True), ("my_submission", True), ("predicate", False), ("label", False),
        ("rose images", False), ("gt", True),
    ],
)  # fmt: skip
def test_folder_names_that_do_not_look_like_class_names_are_recognized(name: str, expected: bool) -> None:
    assert folder_names.is_no_class(name) is expected


def test_unusual_class_names_are_returned_with_reasons() -> None:
    labels = ("roses", "roses copy", "Roses (2)", "tulips copy", "trainA", "testA", "trainB", "images", "daisy_aug")
    assert folder_names.unusual_classes(labels) == {
        "roses copy": "is named like a copy of roses",
        "Roses (2)": "is named like a copy of Roses",
        "trainA": "is named like a split of A",
        "testA": "is named like a split of A",
        "images": "is named like photos without a class",
    }
    assert folder_names.unusual_classes(("daisy", "daisy_aug")) == {"daisy_aug": "is named like a copy of daisy"}


def test_folders_for_splits_requires_several_classes_and_splits() -> None:
    assert folder_names.folders_for_splits(["trainA", "testA", "trainB", "valB"]) == {
        "trainA": "train/A", "testA": "test/A", "trainB": "train/B", "valB": "val/B"
    }  # fmt: skip
    named = ["Train_Images_Cats", "test set cats", "TrainPhotosDogs", "Test_Dogs"]
    assert folder_names.folders_for_splits(named) == {
        "Train_Images_Cats": "train/Cats", "test set cats": "test/cats", "TrainPhotosDogs": "train/Dogs",
        "Test_Dogs": "test/Dogs",
    }  # fmt: skip
    for names in (["trainA", "testA"], ["train station", "test tube"], ["trainA", "testA", "trainB", "roses"]):
        assert folder_names.folders_for_splits(names) == {}


def test_dates_from_servers_are_converted_to_seconds_since_the_epoch() -> None:
    assert remote._seconds(_DATE) == email.utils.parsedate_to_datetime(_DATE).timestamp() == 1577836800
    assert remote._seconds("") is remote._seconds(None) is remote._seconds("yesterday") is None


def test_files_other_than_photos_are_counted_across_all_archives(tmp_path: Path) -> None:
    _zip(tmp_path / "p1.zip", "a/1.jpg", "a/x.txt", "a/y.txt", "b/1.jpg")
    _zip(tmp_path / "p2.zip", "a/2.jpg", "a/z.txt", "b/2.jpg", "b/w.md")
    found = sources.find_photos(str(tmp_path / "p{1..2}.zip"))
    assert dict(found.others) == {("a", ".txt"): 3, ("b", ".md"): 1}


def test_each_scan_reads_the_index_of_a_changed_remote_archive_again(web: Any, tmp_path: Path) -> None:
    """The server reports no ETag, so only a new scan can notice the change."""
    content = [_zip(tmp_path / "1.zip", "a/1.jpg", "b/1.jpg").read_bytes()]
    web.facts = lambda address: {"Content-Length": str(len(content[-1]))}
    web.read = lambda address, start, end, *, most: content[-1][start:end]
    assert [photo.name for photo in scan(Address("https://h/p.zip")).photos] == ["a/1.jpg", "b/1.jpg"]
    content.append(_zip(tmp_path / "2.zip", "a/2.jpg", "b/3.jpg").read_bytes())
    assert [photo.name for photo in scan(Address("https://h/p.zip")).photos] == ["a/2.jpg", "b/3.jpg"]


def test_size_of_a_photo_in_an_archive_is_its_size_after_decompression(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.jpg", bytes(5000))
    path = str(tmp_path / "p.zip/a/1.jpg")
    stamp = sources.stamp(path)
    assert sources.size(path) == 5000 and stamp is not None and stamp.size == 5000
    assert sources.size(str(tmp_path / "p.zip/a/2.jpg")) == -1


def test_photo_in_a_remote_archive_has_no_stamp_if_changes_cannot_be_detected(web: Any, tmp_path: Path) -> None:
    content = _zip(tmp_path / "1.zip", "a/1.jpg").read_bytes()
    web.read = lambda address, start, end, *, most: content[start:end]
    for said, known in (({}, False), ({"ETag": "x"}, True)):
        web.facts = lambda address, said=said: {"Content-Length": str(len(content)), **said}
        scan(Address("https://h/p.zip"))
        assert (sources.stamp("https://h/p.zip/a/1.jpg") is not None) == known


@pytest.mark.parametrize("changed", ["st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"])
def test_stamp_of_a_file_depends_on_its_size_times_and_inode(changed: str) -> None:
    status = {"st_size": 7, "st_mtime_ns": 2_000_000_000, "st_ctime_ns": 3_000_000_000, "st_ino": 5}
    times = {"st_mtime": 2.0, "st_ctime": 3.0}
    one, other = (FileStamp.of(cast(Any, SimpleNamespace(**times, **fields)))
                  for fields in (status, {**status, changed: status[changed] + 1}))  # fmt: skip
    assert one.identity != other.identity and one.changed == 3.0 and one.size == 7


def test_prefetching_stamps_skips_local_photos_and_photos_in_archives(web: Any) -> None:
    asked: list[str] = []

    def facts(address: str) -> dict[str, str]:
        asked.append(address)
        return {}

    web.facts = facts
    sources.prefetch_stamps(["https://h/a/1.jpg", "a/2.jpg", "https://h/p.zip/a/3.jpg", "https://h/p.tar/4.jpg"])
    assert asked == ["https://h/a/1.jpg"]


def test_archive_that_matches_a_pattern_twice_is_read_once(tmp_path: Path) -> None:
    _zip(tmp_path / "p1.zip", "a/1.jpg")
    _zip(tmp_path / "p2.zip", "b/1.jpg")
    found = scan(tmp_path / "p{1,2,1}.zip")
    assert [photo.name for photo in found.photos] == ["p1.zip/a/1.jpg", "p2.zip/b/1.jpg"]


def test_files_of_an_object_store_outside_the_folder_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Object stores have no folders: what begins with the address is found, too."""
    files = ["b/photos/a/1.jpg", "b/photos/b/2.jpg", "b/photos2/c/3.jpg", "b/photos"]
    store = SimpleNamespace(
        _strip_protocol=lambda path: path.removeprefix("s3://"), find=lambda path: [f"s3://{name}" for name in files]
    )
    monkeypatch.setattr(remote, "_system", lambda address: (store, address))
    assert remote.listed("s3://b/photos/") == ["a/1.jpg", "b/2.jpg"]


def test_classes_of_shards_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    files = {"1.jpg": b"p", "1.cls": b"daisy", "2.jpg": b"p", "2.cls": b"Daisy"}
    with pytest.raises(DatasetError, match="the classes 'daisy' and 'Daisy' differ only in case"):
        scan(make_tar(tmp_path / "x.tar", files))


def test_file_and_missing_folder_are_refused_as_photo_folders(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(DatasetError, match=r"a\.txt: a file, not a folder\. Give the one that holds"):
        scan(tmp_path / "a.txt")
    with pytest.raises(DatasetError, match=r"b: no such folder\. Give the one that holds"):
        scan(tmp_path / "b")
