"""A `.zip` or `.tar` -> the photos in it, which are read one by one where they lie. Nothing is unpacked onto the disk.

Archives hold class folders, as a folder of photos does, perhaps all inside one more folder; or a tar is a WebDataset
shard, `name.jpg` beside `name.cls`, which holds the class. Of each photo is known where it begins and how long it is,
packed and unpacked, so that its size is checked before it is unpacked.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import BinaryIO

import numpy as np

from poets_edge.errors import DatasetError
from poets_edge.photos.folder import PHOTO_SUFFIXES
from poets_edge.photos.table import Rows

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_NO_CRC = -1
_LARGEST_CLASS = 1024
"""Bytes of a .cls file."""
_BLOCK = 512
"""Bytes of a tar's unit."""
_ZIP_HEADER = 30
_NAME_AND_MORE = 1024
"""Bytes between the header of a zip's member and its data, mostly."""


@dataclass(frozen=True)
class Member:
    """A photo in an archive.

    Attributes:
        start: where its bytes begin; in a zip the header before them.
        stored, length: bytes, packed and unpacked.
        method: how it is packed, by zip's numbers.
        crc: of what is unpacked; -1 in a tar, which has none.
    """

    start: int
    stored: int
    length: int
    method: int = _STORED
    crc: int = _NO_CRC


class Archive:
    """The photos of an archive.

    Attributes:
        names: of the photos, sorted, without the folder that all of them lie in.
        labels: the class of each, in a WebDataset shard; else None.
    """

    def __init__(self, members: dict[str, Member], labels: dict[str, str] | None) -> None:
        ordered = sorted(members)
        self.names = list(ordered)
        self.labels = None if labels is None else [labels[name] for name in ordered]
        numbers = np.array([astuple(members[name]) for name in ordered], np.int64)
        self._numbers: Rows = numbers.reshape(len(ordered), 5)

    def find(self, name: str) -> Member | None:
        """A photo by its name."""
        place = bisect_left(self.names, name)
        found = place < len(self.names) and self.names[place] == name
        return Member(*self._numbers[place].tolist()) if found else None


def read_archive(file: BinaryIO, place: str) -> Archive:
    """List the photos of an archive.

    Args:
        file: can be sought in.
        place: what it is called.

    Raises:
        DatasetError: it is damaged, cut short or encrypted, or a photo in it lies outside, is a link, or has no class.
        OSError: it cannot be read.
    """
    members: dict[str, Member] = {}
    classes: dict[str, str] = {}
    try:
        if place.lower().endswith(".zip"):
            members.update(_zip_members(file, place))
        else:
            for name, member, label in _tar_members(file, place):
                if member is None:
                    classes[name] = label
                else:
                    members[name] = member
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, ValueError, OverflowError, struct.error,
            EOFError, zlib.error) as error:  # fmt: skip
        raise DatasetError(f"{place}: damaged, cut short, or no archive of its kind ({_line(error)}).") from None
    if not classes:
        return Archive(_without_common_folder(members), None)
    labels = {}
    for name in members:
        key = _key(name)
        if key not in classes:
            raise DatasetError(f"{place}: {name} has no class: there is no {key}.cls beside it.")
        labels[name] = classes[key]
    return Archive(members, labels)


def read_member(member: Member, read: Callable[[int, int], bytes], most: int) -> bytes:
    """A photo's bytes.

    Args:
        read: gives the archive's bytes from one place up to another, or as many as there are.
        most: bytes.

    Raises:
        OSError: it is larger, or damaged.
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
        # One byte more than there should be shows that the size is a lie, and is all that is unpacked of it.
        data = zlib.decompressobj(-15).decompress(packed, member.length + 1) if member.method == _DEFLATED else packed
    except zlib.error:
        raise _damaged() from None
    if len(data) != member.length or (member.crc != _NO_CRC and zlib.crc32(data) != member.crc):
        raise _damaged()
    return data


def _damaged() -> OSError:
    return OSError(errno.EIO, "damaged in its archive, or the archive has changed")


def _zip_members(file: BinaryIO, place: str) -> Iterator[tuple[str, Member]]:
    with zipfile.ZipFile(file) as archive:
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
            yield name, Member(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)


def _tar_members(file: BinaryIO, place: str) -> Iterator[tuple[str, Member | None, str]]:
    """Photos, and the classes that .cls files name, these without a member."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
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


def _class_in(file: BinaryIO, info: tarfile.TarInfo, place: str) -> str:
    file.seek(info.offset_data)
    text = file.read(info.size).decode("utf-8", "replace").strip() if info.size <= _LARGEST_CLASS else ""
    if not text or "�" in text or _has_controls(text):
        raise DatasetError(f"{place}: {info.name!r} holds no class: a name, or a number, in one line.")
    return text


def _photo_name(name: str, place: str) -> str | None:
    """A member's name with no more in it than it needs, or None where it is no photo, or hidden."""
    if os.path.splitext(name)[1].lower() not in PHOTO_SUFFIXES:  # noqa: PTH122 - a million times
        return None
    parts = _checked(name, place).split("/")
    return None if parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts) else "/".join(parts)


def _checked(name: str, place: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise DatasetError(f"{place}: {name!r} in it leads out of the archive. Make it anew, from inside the folder.")
    if _has_controls(name):
        raise DatasetError(f"{place}: the name {name!r} in it has control characters. Rename that file.")
    return "/".join(parts)


def _has_controls(text: str) -> bool:
    return not text.isprintable() and any(
        ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u2028\u2029" for one in text
    )


def _link(place: str, name: str, way: str) -> DatasetError:
    return DatasetError(f"{place}: {name} is a link, or not a whole file. Make it anew with {way}.")


def _key(name: str) -> str:
    """The part of a name that the files of one photo in a shard share: up to its first point."""
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
