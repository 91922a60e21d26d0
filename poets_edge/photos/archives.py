"""Index of the photos in a `.zip` or `.tar`. Photos are read one by one; nothing is unpacked onto the disk.

An archive contains class folders, optionally inside one top folder; a tar may also be a WebDataset shard, with the
class of `name.jpg` in `name.cls`. The index has the offset and the packed and unpacked sizes of each photo, so a size
is checked before anything is unpacked.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from poets_edge.errors import DatasetError
from poets_edge.photos.names import PHOTO_SUFFIXES, has_controls

if TYPE_CHECKING:
    import tarfile

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_NO_CRC = -1
_LARGEST_CLASS = 1024
"""Largest .cls file in bytes."""
_LARGEST_HEADER = 1 << 20
"""Largest extended header of a tar in bytes."""
_LARGEST_DIRECTORY = 256 << 20
"""Largest central directory of a zip in bytes."""
MOST_REMOTE_MEMBERS = 1 << 18
_BYTES_A_MEMBER = 128
"""Average bytes of an entry in the central directory of a zip."""
_BLOCK = 512
"""Bytes of a tar block."""
_ZIP_HEADER = 30
_NAME_AND_MORE = 1024
"""Typical number of bytes between the header of a zip member and its data."""


class Member(NamedTuple):
    """A photo in an archive.

    Attributes:
        start: offset of the photo's bytes; in a zip, offset of the header before them.
        stored: bytes in the archive.
        length: bytes when unpacked.
        method: compression, by the numbers of the zip format.
        crc: CRC-32 of the unpacked bytes; -1 in a tar, which has none.
    """

    start: int
    stored: int
    length: int
    method: int = _STORED
    crc: int = _NO_CRC


class Archive:
    """The photos of an archive.

    Attributes:
        names: sorted names, without a common top folder.
        labels: the class of each photo of a WebDataset shard; None for class folders.
    """

    def __init__(self, members: dict[str, Member], labels: dict[str, str] | None) -> None:
        self.names = sorted(members)
        self.labels = None if labels is None else [labels[name] for name in self.names]
        # As columns: a tuple of numbers for each of a million photos would take 400 MB.
        rows = np.array([members[name] for name in self.names], np.int64)
        self._rows: npt.NDArray[np.int64] = rows.reshape(len(self.names), len(Member._fields))

    def find(self, name: str) -> Member | None:
        """Return a photo by its name; None if there is none."""
        row = bisect_left(self.names, name)
        found = row < len(self.names) and self.names[row] == name
        return Member(*self._rows[row].tolist()) if found else None


def read_archive(file: BinaryIO, place: str, most: int | None = None) -> Archive:
    """List the photos of an archive.

    Args:
        file: seekable.
        place: path or address, for its suffix and for messages.
        most: maximum number of members.

    Raises:
        DatasetError: it is damaged, cut short or encrypted, has more than `most` members, or a photo in it lies
            outside, is a link, is there twice, or has no class.
        OSError: it cannot be read.
    """
    import tarfile
    import zipfile

    members: dict[str, Member] = {}
    classes: dict[str, str] = {}
    is_zip = place.lower().endswith(".zip")
    list_members = _zip_members if is_zip else _tar_members
    largest = _LARGEST_DIRECTORY if most is None else most * _BYTES_A_MEMBER
    bounded: Any = _BoundedReads(file, largest if is_zip else _LARGEST_HEADER)
    try:
        for name, member, label in list_members(bounded, place, most):
            if name in (classes if member is None else members):
                raise DatasetError(
                    f"{place}: {name} is in it twice. Make it anew."
                    if member
                    else f"{place}: {name} has two .cls files. Keep one class for each photo."
                )
            if member is None:
                classes[name] = label
            else:
                members[name] = member
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, ValueError, OverflowError, struct.error,
            EOFError, zlib.error, LookupError, RecursionError, MemoryError) as error:  # fmt: skip
        raise DatasetError(f"{place}: damaged, cut short, or not an archive of its kind ({_line(error)}).") from None
    if not classes:
        return Archive(_without_common_folder(members), None)
    labels = {}
    for name in members:
        key = _key(name)
        if key not in classes:
            raise DatasetError(f"{place}: {name} has no class: there is no {key}.cls beside it.")
        labels[name] = classes[key]
    return Archive(members, labels)


class _BoundedReads:
    """File with a limit on the size of a read, since a header may claim any length."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read bytes. Raises ValueError: the size exceeds the limit."""
        if size > self._most:
            raise ValueError(f"a header of {size:,} bytes")
        data = self._file.read(self._most + 1 if size < 0 else size)
        if len(data) > self._most:
            raise ValueError(f"a header of more than {self._most:,} bytes")
        return data


def read_member(member: Member, read: Callable[[int, int], bytes], most: int) -> bytes:
    """Return a photo's bytes.

    Args:
        read: returns the archive's bytes from one offset up to another, or fewer at its end.
        most: maximum number of bytes.

    Raises:
        OSError: the photo is larger, or damaged.
    """
    if member.length > most or member.stored > most:
        raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB")
    if member.crc == _NO_CRC:
        packed = read(member.start, member.start + member.stored)
    else:
        part = read(member.start, member.start + _ZIP_HEADER + _NAME_AND_MORE + member.stored)
        if len(part) < _ZIP_HEADER or part[:4] != b"PK\3\4":
            raise _damaged()
        begin = _ZIP_HEADER + sum(struct.unpack("<HH", part[26:30]))
        packed = part[begin : begin + member.stored]
        if len(packed) < member.stored:
            packed = read(member.start + begin, member.start + begin + member.stored)
    try:
        # At most one byte more than the stated size is unpacked; it reveals a wrong size.
        data = zlib.decompressobj(-15).decompress(packed, member.length + 1) if member.method == _DEFLATED else packed
    except zlib.error:
        raise _damaged() from None
    if len(data) != member.length or (member.crc != _NO_CRC and zlib.crc32(data) != member.crc):
        raise _damaged()
    return data


def _damaged() -> OSError:
    return OSError(errno.EIO, "damaged in its archive, or the archive has changed")


def _zip_members(file: BinaryIO, place: str, most: int | None) -> Iterator[tuple[str, Member | None, str]]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        _check_count(len(archive.infolist()), place, most)
        for info in archive.infolist():
            name = _photo_name(info.filename, place)
            if name is None or info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _link(place, name, "zip without --symlinks")
            if info.flag_bits & _ENCRYPTED:
                raise DatasetError(f"{place}: encrypted. Make it anew without a password.")
            if info.compress_type not in (_STORED, _DEFLATED):
                raise DatasetError(f"{place}: {name} is packed in a way that few programs read. Use deflate, or store.")
            if not 0 <= max(info.header_offset, info.compress_size, info.file_size) < 1 << 62:
                raise zipfile.BadZipFile(f"a size of {info.file_size} bytes")
            yield name, Member(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC), ""


def _tar_members(file: BinaryIO, place: str, most: int | None) -> Iterator[tuple[str, Member | None, str]]:
    """Yield photos, and the classes that .cls files name; a class has no member."""
    import tarfile

    count, offset = 0, -1
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
            count += 1
            _check_count(count, place, most)
            if info.size < 0 or info.offset <= offset:
                raise tarfile.ReadError(f"a size of {info.size} bytes")
            offset = info.offset
            if info.isfile() and info.name.endswith(".cls") and "/." not in f"/{info.name.removeprefix('./')}":
                yield _key(_checked(info.name, place)), None, _class_in(file, info, place)
                continue
            name = _photo_name(info.name, place)
            if name is None or info.isdir():
                continue
            if not info.isfile() or info.issparse():
                raise _link(place, name, "tar --dereference --hard-dereference")
            yield name, Member(info.offset_data, info.size, info.size), ""
        file.seek(archive.offset)
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError("it has no end")


def _check_count(count: int, place: str, most: int | None) -> None:
    if most is not None and count > most:
        raise DatasetError(f"{place}: more than {most:,} members. Divide it into several archives, or download it.")


def _class_in(file: BinaryIO, info: tarfile.TarInfo, place: str) -> str:
    file.seek(info.offset_data)
    text = file.read(info.size).decode("utf-8", "replace").strip() if info.size <= _LARGEST_CLASS else ""
    if not text or "�" in text or has_controls(text):
        raise DatasetError(f"{place}: {info.name!r} holds no class: a name, or a number, in one line.")
    return text


def _photo_name(name: str, place: str) -> str | None:
    """Return a member's name in its shortest form; None if it is not a photo, or hidden."""
    if os.path.splitext(name)[1].lower() not in PHOTO_SUFFIXES:  # noqa: PTH122 - a million times
        return None
    parts = _checked(name, place).split("/")
    return None if parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts) else "/".join(parts)


def _checked(name: str, place: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise DatasetError(f"{place}: {name!r} in it leads out of the archive. Make it anew, from inside the folder.")
    if has_controls(name):
        raise DatasetError(f"{place}: the name {name!r} in it has control characters. Rename that file.")
    return "/".join(parts)


def _link(place: str, name: str, way: str) -> DatasetError:
    return DatasetError(f"{place}: {name} is a link, or not a whole file. Make it anew with {way}.")


def _key(name: str) -> str:
    """Return the key of a sample in a shard: the name up to its first point."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _without_common_folder(members: dict[str, Member]) -> dict[str, Member]:
    while len(tops := {name.partition("/")[0] for name in members}) == 1:
        if any(name.count("/") < 2 for name in members):
            break
        [top] = tops
        members = {name[len(top) + 1 :]: member for name, member in members.items()}
    return members


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
