"""Index of the photos in a `.zip` or `.tar` file. Photos are read one by one; nothing is extracted to disk.

An archive contains class folders, directly or inside one top folder; a tar file may also be a WebDataset shard, in
which `name.cls` contains the class of `name.jpg`. The index contains the offset and the compressed and uncompressed
sizes of each photo, so that a photo that is too large can be rejected before it is decompressed.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from poets_edge.core.archive_reads import BoundedReads
from poets_edge.errors import DatasetError
from poets_edge.photos.archive_members import _ZIP_HEADER, DEFLATED, STORED, Member
from poets_edge.photos.formats import HEADER_BYTES, PHOTO_SUFFIXES, is_photo_content
from poets_edge.photos.names import has_controls
from poets_edge.photos.tree import is_skipped, kind_of
from poets_edge.photos.zip_names import zip_name

if TYPE_CHECKING:
    import tarfile
    import zipfile

_ENCRYPTED = 1
_LARGEST_CLASS = 1024
"""Maximum size, in bytes, of a `.cls` file, which contains the class of a photo in a WebDataset shard."""
_LARGEST_HEADER = 1 << 20
"""Maximum size of an extended header in a tar file, in bytes."""
_LARGEST_DIRECTORY = 256 << 20
"""Maximum size, in bytes, of the central directory of a zip file on this machine."""
MOST_REMOTE_MEMBERS = 1 << 18
_BYTES_PER_MEMBER = 128
"""Number of bytes per member that the central directory of a zip file at an address may have; its maximum size is this
number times the maximum number of members."""
_BLOCK = 512
"""Size of a tar block in bytes."""
_SNIFFED = 1024
"""Number of compressed bytes that are read from a zip member to determine whether it is a photo."""
_PARTS_OF_SAMPLES = frozenset({".json", ".txt"})
"""Suffixes of files that usually accompany photos in a WebDataset shard; they are not reported as unused files."""


class Archive:
    """The photos in an archive.

    Attributes:
        names: sorted paths of the photos, relative to the folder in the archive that contains the class folders.
        labels: class of each photo if the archive is a WebDataset shard; None if the archive has class folders.
        others: number of files that are not photos, for each pair (folder, file suffix).
        notes: messages about the archive, one line each.
    """

    def __init__(
        self,
        members: dict[str, Member],
        labels: dict[str, str] | None,
        others: Mapping[tuple[str, str], int],
        notes: Sequence[str] = (),
    ) -> None:
        self.names = sorted(members)
        self.others, self.notes = others, tuple(notes)
        self.labels = None if labels is None else [labels[name] for name in self.names]
        # As columns: a tuple of numbers for each of a million photos would take 400 MB.
        rows = np.array([members[name] for name in self.names], np.int64)
        self._rows: npt.NDArray[np.int64] = rows.reshape(len(self.names), len(Member._fields))

    def find(self, name: str) -> Member | None:
        """Return the position and size of the photo with the given name; None if the archive does not contain it."""
        row = bisect_left(self.names, name)
        found = row < len(self.names) and self.names[row] == name
        return Member(*self._rows[row].tolist()) if found else None


class _File(NamedTuple):
    """A file in an archive.

    Attributes:
        name: normalized path; for a .cls file, the path up to the first dot in the file name.
        member: position and size of a photo; None for a file that is not a photo.
        label: class that a .cls file contains; None for any other file.
        guessed: whether the encoding of the name had to be guessed.
    """

    name: str
    member: Member | None = None
    label: str | None = None
    guessed: bool = False


def read_archive(file: BinaryIO, place: str, most: int | None = None, encoding: str = "") -> Archive:
    """List the photos of an archive.

    A file is a photo if its name has a photo suffix such as `.jpg`, or if its first bytes are those of a photo. In a
    zip file on a server, only the names are checked.

    Args:
        file: the archive, open for binary reading and seekable.
        place: path or address of the archive; its suffix determines the format, and error messages contain it.
        most: maximum number of members of an archive on a server; None for an archive on this machine.
        encoding: encoding of names in a zip that are not marked as UTF-8; by default UTF-8 if a name is valid UTF-8,
            otherwise cp437, which the format prescribes.

    Raises:
        DatasetError: the archive is damaged, truncated or encrypted, or has more than `most` members; or a photo has a
            path outside the archive, is a link, occurs twice, or has no class.
        OSError: the archive cannot be read.
    """
    import tarfile
    import zipfile

    members: dict[str, Member] = {}
    classes: dict[str, str] = {}
    others: Counter[tuple[str, str]] = Counter()
    guessed = ""
    is_zip = place.lower().endswith(".zip")
    largest = _LARGEST_DIRECTORY if most is None else most * _BYTES_PER_MEMBER
    bounded: Any = BoundedReads(file, largest if is_zip else _LARGEST_HEADER)
    try:
        for name, member, label, unsure in (
            _zip_files(bounded, place, most, encoding) if is_zip else _tar_files(bounded, place, most)
        ):
            if member is not None:
                if name in members:
                    raise DatasetError(f"{place}: {name} is in it twice. Create it again.")
                members[name] = member
                guessed = guessed or (name if unsure else "")
            elif label is not None:
                if name in classes:
                    raise DatasetError(f"{place}: {name} has two .cls files. Keep one class for each photo.")
                classes[name] = label
            else:
                folder, _, base = name.rpartition("/")
                others[folder, kind_of(base)] += 1
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, ValueError, OverflowError, struct.error,
            EOFError, zlib.error, LookupError, RecursionError, MemoryError) as error:  # fmt: skip
        raise DatasetError(f"{place}: damaged, truncated, or not an archive of this kind ({_line(error)}).") from None
    if not classes:
        inner = _common_folder(members)
        notes = (
            [
                f"{place}: its names are not UTF-8 and were read as cp437, as in {guessed}. If that is wrong, name the"
                " encoding: `zip_encoding`=gbk"
            ]
            if guessed
            else []
        )
        return Archive(
            {name[len(inner) :]: member for name, member in members.items()},
            None,
            {
                (folder[len(inner) :], kind): count
                for (folder, kind), count in others.items()
                if f"{folder}/".startswith(inner)
            },
            notes,
        )
    labels = {}
    for name in members:
        key = _key(name)
        if key not in classes:
            raise DatasetError(f"{place}: {name} has no class: there is no {key}.cls beside it.")
        labels[name] = classes[key]
    unused = {key: count for key, count in others.items() if key[1] not in _PARTS_OF_SAMPLES}
    return Archive(members, labels, unused)


def _zip_files(file: BinaryIO, place: str, most: int | None, encoding: str) -> Iterator[_File]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        _check_count(len(archive.infolist()), place, most)
        for info in archive.infolist():
            try:
                text, unsure = zip_name(info, encoding)
            except (UnicodeError, LookupError):
                raise DatasetError(
                    f"{place}: {info.orig_filename!r} in it is not a name in the encoding {encoding}. Name another:"
                    " `zip_encoding`"
                ) from None
            if text.endswith("/") or _is_skipped(text):
                continue
            if not _has_photo_suffix(text) and (most is not None or not _is_zipped_photo(file, info)):
                yield _File(text)
                continue
            name = _checked(text, place)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _link(place, name, "zip without --symlinks")
            if info.flag_bits & _ENCRYPTED:
                raise DatasetError(f"{place}: encrypted. Create it again without a password.")
            if info.compress_type not in (STORED, DEFLATED):
                raise DatasetError(f"{place}: {name} is packed in a way that few programs read. Use deflate, or store.")
            if not 0 <= max(info.header_offset, info.compress_size, info.file_size) < 1 << 62:
                raise zipfile.BadZipFile(f"a size of {info.file_size} bytes")
            member = Member(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
            yield _File(name, member, guessed=unsure)


def _is_zipped_photo(file: BinaryIO, info: zipfile.ZipInfo) -> bool:
    """Return whether the first bytes of a zip member show that it is a photo."""
    if info.compress_type not in (STORED, DEFLATED) or info.flag_bits & _ENCRYPTED or info.header_offset < 0:
        return False
    file.seek(info.header_offset)
    header = file.read(_ZIP_HEADER)
    if len(header) < _ZIP_HEADER or header[:4] != b"PK\3\4":
        return False
    file.seek(sum(struct.unpack("<HH", header[26:30])), os.SEEK_CUR)
    packed = file.read(min(info.compress_size, _SNIFFED) if info.compress_size >= 0 else 0)
    try:
        start = zlib.decompressobj(-15).decompress(packed, HEADER_BYTES) if info.compress_type == DEFLATED else packed
    except zlib.error:
        return False
    return is_photo_content(start[:HEADER_BYTES], info.filename)


def _tar_files(file: BinaryIO, place: str, most: int | None) -> Iterator[_File]:
    """Yield the members of a tar file, except folders and hidden files.

    The `name` of a `.cls` file, which contains the class of a WebDataset sample, is its path up to the first dot in the
    file name.
    """
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
            if info.isdir() or _is_skipped(info.name):
                continue
            if info.isfile() and info.name.endswith(".cls"):
                yield _File(_key(_checked(info.name, place)), label=_class_in(file, info, place))
                continue
            if not _has_photo_suffix(info.name) and not _is_tarred_photo(file, info):
                yield _File(info.name.removeprefix("./"))
                continue
            name = _checked(info.name, place)
            if not info.isfile() or info.issparse():
                raise _link(place, name, "tar --dereference --hard-dereference")
            yield _File(name, Member(info.offset_data, info.size, info.size))
        file.seek(archive.offset)
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError("it has no end")


def _is_tarred_photo(file: BinaryIO, info: tarfile.TarInfo) -> bool:
    """Return whether the first bytes of a tar member show that it is a photo."""
    if not info.isfile() or info.issparse():
        return False
    file.seek(info.offset_data)
    return is_photo_content(file.read(min(info.size, HEADER_BYTES)), info.name)


def _check_count(count: int, place: str, most: int | None) -> None:
    if most is not None and count > most:
        raise DatasetError(f"{place}: more than {most:,} members. Divide it into several archives, or download it.")


def _class_in(file: BinaryIO, info: tarfile.TarInfo, place: str) -> str:
    file.seek(info.offset_data)
    text = file.read(info.size).decode("utf-8", "replace").strip() if info.size <= _LARGEST_CLASS else ""
    if not text or "�" in text or has_controls(text):
        raise DatasetError(f"{place}: {info.name!r} holds no class: a name, or a number, in one line.")
    return text


def _has_photo_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES  # noqa: PTH122 - a million times


def _is_skipped(name: str) -> bool:
    return any(is_skipped(part) for part in name.split("/") if part not in (".", ".."))


def _checked(name: str, place: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise DatasetError(
            f"{place}: {name!r} in it leads out of the archive. Create it again, from inside the folder."
        )
    if has_controls(name):
        raise DatasetError(f"{place}: the name {name!r} in it has control characters. Rename that file.")
    return "/".join(parts)


def _link(place: str, name: str, way: str) -> DatasetError:
    return DatasetError(f"{place}: {name} is a link, or not a whole file. Create it again with {way}.")


def _key(name: str) -> str:
    """Return the path up to the first dot in the file name, which the files of one WebDataset sample have in common."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _common_folder(names: Collection[str]) -> str:
    """Return the path, with a trailing slash, of the folder in an archive that contains all class folders.

    The result is "" if the class folders are at the top level.

    Args:
        names: paths of the photos in the archive.
    """
    common = ""
    while len(tops := {name[len(common) :].partition("/")[0] for name in names}) == 1:
        if any(name.count("/", len(common)) < 2 for name in names):
            break
        common += f"{tops.pop()}/"
    return common


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
