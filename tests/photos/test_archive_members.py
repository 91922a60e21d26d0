"""Tests of archive members: checksums, sizes, names and classes, on archives written byte by byte."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.archive_members import Member, read_member
from poets_edge.photos.archives import read_archive
from poets_edge.photos.folder import scan
from poets_edge.photos.open_photo import read_contents


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tar_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_read_contents_checks_the_crc_of_a_zip_member(tmp_path: Path, method: int) -> None:
    """One byte of the photo is changed, and its length is not."""
    members = {"daisy/1.jpg": b"first photo", "roses/1.jpg": b"second photo"}
    data = zip_of(members, method)
    (tmp_path / "good.zip").write_bytes(data)
    assert [read_contents(photo) for photo in scan(tmp_path / "good.zip").photos] == [*members.values()]
    if method == zipfile.ZIP_DEFLATED:  # the checksum is changed instead
        changed = data.replace(zlib.crc32(b"first photo").to_bytes(4, "little"), b"\1\2\3\4")
    else:
        changed = data.replace(b"first photo", b"first phot0")
    assert changed != data
    (tmp_path / "bad.zip").write_bytes(changed)
    first, second = scan(tmp_path / "bad.zip").photos
    with pytest.raises(PhotoError, match="damaged in its archive"):
        read_contents(first)
    assert read_contents(second) == b"second photo"


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=5).map(lambda name: f"daisy/{name}.jpg"),
        st.binary(max_size=2000),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["stored", "deflated", "tar"]),
)
@settings(max_examples=40, deadline=None)
def test_read_member_returns_the_archived_contents(members: dict[str, bytes], kind: str) -> None:
    methods = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}
    data = tar_of(members) if kind == "tar" else zip_of(members, methods[kind])
    archive = read_archive(io.BytesIO(data), "a.tar" if kind == "tar" else "a.zip")
    assert archive.names == sorted(members) and archive.labels is None
    for name, content in members.items():
        member = archive.find(name)
        assert member is not None
        assert read_member(member, lambda start, end: data[start:end], 2000) == content
    assert archive.find("daisy/none.jpg") is None and archive.find("zzz") is None and archive.find("") is None


def test_read_member_finds_data_after_a_long_header() -> None:
    """The local header of a zip member contains a name and an extra field; the latter has 40,000 bytes here."""
    info = zipfile.ZipInfo("daisy/1.jpg")
    info.extra = b"\x01\xfa" + (40_000).to_bytes(2, "little") + bytes(40_000)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, b"photo")
    data = file.getvalue()
    member = read_archive(io.BytesIO(data), "a.zip").find("daisy/1.jpg")
    assert member is not None and member.length == 5
    assert read_member(member, lambda start, end: data[start:end], 5) == b"photo"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Member(0, 5, 5), ""),
        (Member(0, 6, 6), "larger"),
        (Member(0, 6, 5), "larger"),
        (Member(0, 5, 4), "damaged"),
        (Member(1, 5, 5), "damaged"),
    ],
)
def test_read_member_rejects_missing_headers_and_contents_of_the_wrong_length(member: Member, message: str) -> None:
    def read(start: int, end: int) -> bytes:
        return b"photo"[start:end]

    if not message:
        assert read_member(member, read, 5) == b"photo"
        return
    with pytest.raises(OSError, match=message):
        read_member(member, read, 5)


def test_read_member_rejects_contents_with_a_wrong_declared_size() -> None:
    raw = zlib.compressobj(wbits=-15)
    packed = raw.compress(bytes(1000)) + raw.flush()
    name = b"a/1.jpg"
    header = b"PK\3\4" + bytes(22) + len(name).to_bytes(2, "little") + bytes(2) + name
    data = header + packed

    def read(start: int, end: int) -> bytes:
        return data[start:end]

    for length, good in ((1000, True), (999, False), (1001, False)):
        member = Member(0, len(packed), length, zipfile.ZIP_DEFLATED, zlib.crc32(bytes(length)))
        if good:
            assert read_member(member, read, 2000) == bytes(1000)
        else:
            with pytest.raises(OSError, match="damaged"):
                read_member(member, read, 2000)


def test_archive_names_omit_a_top_folder_that_contains_all_photos() -> None:
    inside = read_archive(io.BytesIO(zip_of({"x/y/a/1.jpg": b"1", "x/y/b/1.jpg": b"2"})), "a.zip")
    assert inside.names == ["a/1.jpg", "b/1.jpg"]
    one = read_archive(io.BytesIO(zip_of({"x/a/1.jpg": b"1", "x/a/2.jpg": b"2"})), "a.zip")
    assert one.names == ["a/1.jpg", "a/2.jpg"], "the class is not dropped"
    mixed = read_archive(io.BytesIO(zip_of({"x/a/1.jpg": b"1", "x/2.jpg": b"2"})), "a.zip")
    assert mixed.names == ["x/2.jpg", "x/a/1.jpg"]


def test_archive_skips_hidden_files_and_macos_metadata() -> None:
    members = {"a/1.jpg": b"1", "a/.2.jpg": b"2", ".b/3.jpg": b"3", "__MACOSX/a/1.jpg": b"4", "a/notes.txt": b"5"}
    members |= {"a/": b"", "b/1.jpg": b"6"}
    assert read_archive(io.BytesIO(zip_of(members)), "a.ZIP").names == ["a/1.jpg", "b/1.jpg"]
    del members["a/"]
    assert read_archive(io.BytesIO(tar_of(members)), "a.tar").names == ["a/1.jpg", "b/1.jpg"]


def test_read_archive_assigns_the_correct_label_to_each_photo_in_a_shard() -> None:
    """The names are sorted, and their order differs from that of the classes in the shard."""
    members = {"2.jpg": b"x", "2.cls": b"tulips\n", "1.png": b"y", "1.seg.png": b"z", "1.cls": b" roses "}
    archive = read_archive(io.BytesIO(tar_of(members)), "a.tar")
    assert archive.names == ["1.png", "1.seg.png", "2.jpg"] and archive.labels == ["roses", "roses", "tulips"]


@pytest.mark.parametrize("place", ["a.zip", "a.tar"])
def test_number_of_archive_members_is_limited(place: str) -> None:
    data = (zip_of if place == "a.zip" else tar_of)({f"a/{number}.jpg": b"x" for number in range(9)})
    assert len(read_archive(io.BytesIO(data), place, 9).names) == 9
    with pytest.raises(DatasetError, match="more than 8 members"):
        read_archive(io.BytesIO(data), place, 8)


@pytest.mark.parametrize("name", ["../1.jpg", "a/../../1.jpg", "/a/1.jpg", "a/..", "..", "a/../1.jpg"])
def test_read_archive_rejects_names_that_lead_out_of_the_archive(name: str) -> None:
    for make, place in ((zip_of, "a.zip"), (tar_of, "a.tar")):
        whole = name if name.endswith(".jpg") else f"{name}/1.jpg"
        with pytest.raises(DatasetError, match="leads out of the archive"):
            read_archive(io.BytesIO(make({"b/1.jpg": b"x", whole: b"x"})), place)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_read_member_keeps_only_one_copy_of_a_large_member_in_memory(method: int) -> None:
    content = np.random.default_rng(1).bytes(24 << 20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a/1.jpg", b"\xff\xd8\xff" + content)
    data = memoryview(file.getvalue())
    member = read_archive(file, "x.zip").find("a/1.jpg")
    assert member is not None
    tracemalloc.start()
    try:
        read = read_member(member, lambda start, end: bytes(data[start:end]), 1 << 26)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == b"\xff\xd8\xff" + content
    assert peak < 1.6 * len(content), f"{peak / len(content):.1f} times its bytes"


def zip_entry(name: str, content: bytes = b"photo", *, mode: int = 0o100644, flags: int = 0) -> bytes:
    """Return a zip with one member that has a Unix mode, and flags in both headers."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)
    data = bytearray(file.getvalue())
    data[6:8] = flags.to_bytes(2, "little")
    at = data.rindex(b"PK\x01\x02") + 8
    data[at : at + 2] = flags.to_bytes(2, "little")
    return bytes(data)


def duplicated() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a/1.jpg", b"one")
        archive.writestr("a/1.jpg", b"two")
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zip_entry("a/1.jpg", b"/etc/passwd", mode=0o120777), "is a link"),
        (lambda: zip_entry("a/1.jpg", flags=1), "encrypted"),
        (lambda: zip_entry("a/\x1b[2J.jpg"), "control characters"),
        (duplicated, "is in it twice"),
    ],
    ids=["link", "encrypted", "control characters", "twice"],
)
def test_read_archive_rejects_links_and_encrypted_or_duplicate_members(make: Callable[[], bytes], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_archive(io.BytesIO(make()), "photos.zip")


def test_declared_length_of_an_archive_member_is_limited() -> None:
    """A small member that declares a large size is rejected before it is decompressed."""
    content = zlib.compress(bytes(5000))[2:-4]
    member = Member(0, len(content), 5000, zipfile.ZIP_DEFLATED, zlib.crc32(bytes(5000)))

    def read(start: int, end: int) -> bytes:
        raise AssertionError("nothing is read")

    with pytest.raises(OSError, match="larger than"):
        read_member(member, read, 4999)


def test_memory_for_an_archive_member_longer_than_declared_is_limited() -> None:
    """The header declares 1,000 bytes, and the data are 40 MB of zeros."""
    raw = zlib.compressobj(wbits=-15)
    packed = raw.compress(bytes(40 << 20)) + raw.flush()
    data = b"PK\3\4" + bytes(26) + packed
    member = Member(0, len(packed), 1000, zipfile.ZIP_DEFLATED, zlib.crc32(bytes(1000)))
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="damaged"):
            read_member(member, lambda start, end: data[start:end], 1 << 26)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_read_member_requests_no_bytes_after_the_member() -> None:
    """The member has 5 MB, which are read in two parts; the header is read with the first part."""
    content = bytes(range(256)) * 20_480
    data = zip_of({"a/1.jpg": content, "a/2.jpg": b"other"})
    asked: list[tuple[int, int]] = []

    def read(start: int, end: int) -> bytes:
        asked.append((start, end))
        return data[start:end]

    [first, _] = [read_archive(io.BytesIO(data), "x.zip").find(name) for name in ("a/1.jpg", "a/2.jpg")]
    assert first is not None and read_member(first, read, len(content)) == content
    end = 30 + len("a/1.jpg") + len(content)
    assert asked == [(0, 30 + 1024 + (4 << 20)), (30 + 1024 + (4 << 20), end)]


@pytest.mark.parametrize("place", ["x.ZIP", "x.zip", "x.tar"])
@pytest.mark.parametrize("most", [None, 10])
def test_read_archive_recognizes_suffixes_in_any_case(place: str, most: int | None) -> None:
    """Without a photo's suffix, a file of a zip at an address is not a photo."""
    members = {"a/1.JPG": b"one", "b/2.Jpeg": b"two", "b/3": b"\xff\xd8\xff\xe0" + bytes(40), "b/n.txt": b"text"}
    data = tar_of(members) if place.endswith("tar") else zip_of(members)
    found = read_archive(io.BytesIO(data), place, most)
    sniffed = most is None or place.endswith("tar")
    assert found.names == ["a/1.JPG", "b/2.Jpeg", *(["b/3"] if sniffed else [])]
    assert sum(found.others.values()) == (1 if sniffed else 2)


def test_read_archive_ignores_other_files_outside_the_common_folder_of_all_photos() -> None:
    names = ["top/x/a/1.jpg", "top/x/b/1.jpg", "top/x/note.txt", "top/x/a/note.txt", "top/note.txt", "topx/note.txt"]
    found = read_archive(io.BytesIO(zip_of(dict.fromkeys(names, b"x"))), "x.zip")
    assert found.names == ["a/1.jpg", "b/1.jpg"]
    assert dict(found.others) == {("", ".txt"): 1, ("a", ".txt"): 1}


def test_read_archive_requires_exactly_one_class_file_per_photo_of_a_shard() -> None:
    files = {"x/1.jpg": b"p", "x/1.cls": b"roses\n", "x/1.json": b"{}", "x/1.txt": b"t", "x/1.csv": b"c"}
    found = read_archive(io.BytesIO(tar_of(files)), "x.tar")
    assert (found.names, found.labels, dict(found.others)) == (["x/1.jpg"], ["roses"], {("x", ".csv"): 1})
    with pytest.raises(DatasetError, match=r"x/1 has two \.cls files"):
        read_archive(io.BytesIO(tar_of({**files, "x/1.b.cls": b"daisy"})), "x.tar")
    with pytest.raises(DatasetError, match=r"x/2\.jpg has no class: there is no x/2\.cls"):
        read_archive(io.BytesIO(tar_of({**files, "x/2.jpg": b"p"})), "x.tar")
    for content in (b"", b" \n", b"x" * 1025, b"\xff", b"a\nb"):
        with pytest.raises(DatasetError, match="holds no class"):
            read_archive(io.BytesIO(tar_of({"1.cls": content})), "x.tar")
    assert read_archive(io.BytesIO(tar_of({"1.jpg": b"", "1.cls": b"x" * 1024})), "x.tar").labels == ["x" * 1024]


def test_read_archive_rejects_a_tar_without_an_end_marker() -> None:
    data = tar_of({"a/1.jpg": b"one"})
    assert read_archive(io.BytesIO(data), "x.tar").find("a/1.jpg") == Member(512, 3, 3)
    with pytest.raises(DatasetError, match="truncated"):
        read_archive(io.BytesIO(data[: 2 * 512]), "x.tar")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_read_archive_recognizes_photos_without_a_suffix(method: int) -> None:
    content = b"\xff\xd8\xff\xe0" + bytes(5000)
    data = zip_of({"a/1": content, "b/2": b"text" * 2000}, method)
    found = read_archive(io.BytesIO(data), "x.zip")
    assert found.names == ["a/1"]
    member = found.find("a/1")
    assert member is not None and read_member(member, lambda start, end: data[start:end], 9000) == content


def test_size_of_the_directory_of_a_remote_zip_file_is_limited() -> None:
    """At an address, the directory may have 128 bytes for each of the most members; here it has about 2,500."""
    data = zip_of({f"a/{'x' * 190}{number}.jpg": b"p" for number in range(10)})
    assert len(read_archive(io.BytesIO(data), "x.zip").names) == 10
    assert len(read_archive(io.BytesIO(data), "x.zip", 20).names) == 10
    with pytest.raises(DatasetError, match="damaged, truncated, or not an archive"):
        read_archive(io.BytesIO(data), "x.zip", 10)


def test_read_archive_counts_other_files_only_inside_the_folder_with_the_classes() -> None:
    files = {"f/daisy/1.jpg": b"p", "f/roses/1.jpg": b"p", "f/a.txt": b"t", "f/daisy/b.csv": b"c", "LICENSE.md": b"t"}
    found = read_archive(io.BytesIO(zip_of(files)), "x.zip")
    assert found.names == ["daisy/1.jpg", "roses/1.jpg"]
    assert dict(found.others) == {("", ".txt"): 1, ("daisy", ".csv"): 1}


def test_read_archive_rejects_a_tar_member_with_a_negative_size() -> None:
    """The stored size of a sparse member is -512 bytes, so that the next header would be its own."""
    size = b"\xff" + (256**11 - 512).to_bytes(11, "big")
    fields = (b"a/1.txt".ljust(100, b"\0"), b"0000644\0" + b"0000000\0" * 2, size, b"00000000000\0", b" " * 8, b"S")
    header = b"".join(fields).ljust(257, b"\0") + b"ustar  \0"
    header = header.ljust(483, b"\0") + b"00000000005\0"
    block = bytearray(header.ljust(512, b"\0"))
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(DatasetError, match="damaged, truncated"):
        read_archive(io.BytesIO(tar_of({"a/1.jpg": b"p"})[:1024] + bytes(block) + bytes(2048)), "x.tar", most=50)


def test_read_member_rejects_members_without_a_local_header() -> None:
    header = b"PK\3\4" + bytes(26)
    member = Member(0, 5, 5, zipfile.ZIP_STORED, zlib.crc32(b"photo"))
    assert read_member(member, lambda start, end: (header + b"photo")[start:end], 9) == b"photo"
    for data in (b"PK\1\2" + header[4:] + b"photo", header[:29], b""):
        with pytest.raises(OSError, match="damaged"):
            read_member(member, lambda start, end, data=data: data[start:end], 9)  # type: ignore[misc]


def test_error_for_a_large_archive_member_states_the_limit_in_megabytes() -> None:
    with pytest.raises(OSError, match="larger than 1,500 MB"):
        read_member(Member(0, 5, 1_500_000_001), lambda start, end: b"", 1_500_000_000)


def test_read_member_stops_reading_when_the_declared_size_is_exceeded() -> None:
    """Nothing more of a stored member of 12 MB is read once the declared 5 bytes are exceeded."""
    data = b"PK\3\4" + bytes(26) + bytes(12 << 20)
    asked: list[int] = []

    def read(start: int, end: int) -> bytes:
        asked.append(start)
        return data[start:end]

    member = Member(0, 12 << 20, 5, zipfile.ZIP_STORED, zlib.crc32(bytes(5)))
    with pytest.raises(OSError, match="damaged"):
        read_member(member, read, 1 << 26)
    assert asked == [0]


def zip_without_suffix(*, name: str = "b/2", method: int = zipfile.ZIP_STORED) -> bytearray:
    """Return a zip with a photo, and a second file that has a photo's content and no suffix."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/1.jpg", b"photo")
        archive.writestr(name, b"\xff\xd8\xff\xe0" + bytes(40), method)
    return bytearray(file.getvalue())


@pytest.mark.parametrize("damage", ["encrypted", "method", "local header", "deflate stream", "end of the archive"])
def test_unreadable_files_without_a_suffix_do_not_count_as_photos(damage: str) -> None:
    data = zip_without_suffix(method=zipfile.ZIP_DEFLATED if damage == "deflate stream" else zipfile.ZIP_STORED)
    assert read_archive(io.BytesIO(bytes(data)), "x.zip").names == ["a/1.jpg", "b/2"]
    central, local = data.rindex(b"PK\1\2"), data.rindex(b"PK\3\4")
    if damage == "encrypted":
        data[central + 8] |= 1
    elif damage == "method":
        data[central + 10] = 12
    elif damage == "local header":
        data[local : local + 2] = b"XX"
    elif damage == "deflate stream":
        data[local + 33] = 0xFF
    else:
        data[central + 42 : central + 46] = (len(data) - 20).to_bytes(4, "little")
    found = read_archive(io.BytesIO(bytes(data)), "x.zip")
    assert found.names == ["a/1.jpg"] and dict(found.others) == {("b", "no suffix"): 1}
