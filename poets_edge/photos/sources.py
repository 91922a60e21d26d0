"""Photos in archives and at addresses.

The path of a photo in an archive begins with the path of the archive, as in `photos.zip/daisy/1.jpg`; the path of a
photo at an address is its address. Photos are read one at a time, and archives are not extracted.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from poets_edge.errors import DatasetError, UsageError
from poets_edge.photos import remote
from poets_edge.photos.address import Location, is_address, joined, photo_path
from poets_edge.photos.archive_members import read_member
from poets_edge.photos.archives import MOST_REMOTE_MEMBERS, Archive, read_archive
from poets_edge.photos.formats import PHOTO_SUFFIXES
from poets_edge.photos.table import UNKNOWN_SIZE
from poets_edge.photos.tree import is_skipped, kind_of

SUFFIXES = (".zip", ".tar")
_THROUGH = re.compile(r"\.(?:zip(?:@[\w.-]+)?|tar)(?=[/\\])", re.IGNORECASE)
_ENCODING = re.compile(r"(?<=\.zip)@([\w.-]+)$", re.IGNORECASE)
"""Pattern for the encoding of file names that may follow the path of a zip file: `gbk` in `photos.zip@gbk`."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_ARCHIVES = 100_000
_KEPT = 4096
"""Maximum number of archives whose indexes are cached."""
_PACKED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")


@dataclass(frozen=True)
class FoundPhotos:
    """Photos found in archives or at an address, in no particular order.

    Attributes:
        root: folder, archive or address that the names are relative to.
        names: names of the photos, with `/` as the separator.
        labels: class of each photo if the archives are WebDataset shards; None if the photos are in class folders.
        depth: number of leading folders in each name that are not class folders, such as the path of the archive.
        others: number of files that are not photos, for each pair (folder, file suffix). The paths of the folders do
            not include the first `depth` parts.
        notes: messages about the archives, one line each.
    """

    root: str
    names: list[str]
    labels: list[str] | None = None
    depth: int = 0
    others: Mapping[tuple[str, str], int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class FileStamp(NamedTuple):
    """Metadata by which a cache detects that a photo has changed, obtained without reading the photo.

    It is a tuple to save memory, since there may be a million stamps.

    Attributes:
        identity: text that changes when the photo changes.
        changed: time of the last change in seconds since the epoch; for a photo at an address, see
            `poets_edge.photos.remote.Facts`.
        size: number of bytes; -1 (UNKNOWN_SIZE) if the server does not report it.
    """

    identity: str
    changed: float
    size: int

    @staticmethod
    def of(status: os.stat_result) -> FileStamp:
        """Construct the stamp of a local file from the result of `os.stat`."""
        identity = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        return FileStamp(identity, max(status.st_mtime, status.st_ctime), status.st_size)


def is_archive_or_address(path: str) -> bool:
    """Return whether a path denotes an archive, several archives or an address, rather than a local folder."""
    archive = _without_encoding(path).lower().endswith((*SUFFIXES, *_PACKED))
    return is_address(path) or (archive and not os.path.isdir(path))  # noqa: PTH112


def with_encoding(place: Location, encoding: str) -> Location:
    """Append the encoding of file names to the path, address or pattern of a zip file, as in `photos.zip@gbk`.

    Raises:
        UsageError: `place` does not end in `.zip`, or Python does not support the encoding.
    """
    text = str(place)
    if not text.lower().endswith(".zip"):
        raise UsageError(f"`zip_encoding` is for a .zip, not {text}.")
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise UsageError(
            f"`zip_encoding` {encoding}: not an encoding of Python, such as gbk, cp932 or cp866."
        ) from None
    return photo_path(f"{text}@{encoding}")


def _without_encoding(path: str) -> str:
    return _ENCODING.sub("", path)


def find_photos(place: str) -> FoundPhotos:
    """Return the photos in an archive, in several archives, or in a folder at an address.

    Args:
        place: path or address. A pattern for several archives contains `{000..011}`, `{a,b}`, `*` or `?`. The path of a
            zip file may be followed by the encoding of file names (see `with_encoding`).

    Raises:
        DatasetError: nothing is found, or an archive is not valid (see `poets_edge.photos.archives.read_archive`).
        RemoteError: an address cannot be reached.
        RuntimeMissingError: fsspec, which the address requires, is not installed.
    """
    remote.forget()
    _remote_archive.cache_clear()
    if place.lower().endswith(_PACKED):
        raise DatasetError(f"{place}: photos cannot be read one by one from this kind of archive. Make a .zip or .tar.")
    if not _without_encoding(place).lower().endswith(SUFFIXES):
        return _listed(place)
    archives = _archives(place)
    try:
        found = [_archive_at(archive)[0] for archive in archives]
    except OSError as error:
        trouble = "nothing is there, or it cannot be reached" if is_address(place) else error.strerror or error
        raise DatasetError(f"{place}: {trouble}.") from None
    if archives == [place]:
        return FoundPhotos(place, list(found[0].names), found[0].labels, 0, found[0].others, found[0].notes)
    root = _root_of(place)
    names = []
    for path, archive in zip(archives, found, strict=True):
        below = path.replace(os.sep, "/")[len(root) + 1 if root else 0 :]
        names += [f"{below}/{name}" for name in archive.names]
    kinds = {archive.labels is None for archive in found if archive.names}  # an empty shard has no labels
    if len(kinds) > 1:
        raise DatasetError(f"{place}: some of these are WebDataset shards and some are not. Give one kind.")
    labels = [label for one in found for label in one.labels or ()] if kinds == {False} else None
    others = sum((Counter(one.others) for one in found), Counter[tuple[str, str]]())
    notes = tuple(line for one in found for line in one.notes)
    return FoundPhotos(root or ".", names, labels, archives[0].count("/", len(root) + 1) + 1, others, notes)


def _listed(place: str) -> FoundPhotos:
    """Return the photos in a folder at an address and in its subfolders.

    Photos are recognized by file suffix, so that no file needs to be requested.
    """
    names, others = [], Counter[tuple[str, str]]()
    for name in remote.listed(place):
        folder, _, base = name.rpartition("/")
        if any(map(is_skipped, name.split("/"))):
            continue
        if os.path.splitext(base)[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122 - a million times
            names.append(name)
        else:
            others[folder, kind_of(base)] += 1
    return FoundPhotos(place, names, others=others)


def photo_at(folder: Location, name: str) -> Location:
    """Return the path or address of a photo, given its name in the result of a scan.

    Args:
        folder: folder, archive, pattern or address that was scanned.
        name: name of the photo.
    """
    pattern = _without_encoding(str(folder))
    several = pattern.lower().endswith(SUFFIXES) and ("{" in pattern or "*" in pattern or "?" in pattern)
    if not several or os.path.exists(pattern):  # noqa: PTH110
        return folder / name
    return photo_path(joined(_root_of(pattern) or ".", name))


def _root_of(pattern: str) -> str:
    """Return the folder that contains everything a pattern may match: `data` for `data/part-{0..9}.tar`."""
    return re.split(r"[*?{]", pattern)[0].replace(os.sep, "/").rpartition("/")[0]


def read(path: str, most: int) -> bytes:
    """Return the bytes of a photo in an archive or at an address.

    Raises:
        OSError: the photo is missing or damaged, or has more than `most` bytes.
        RemoteError: the address cannot be reached.
    """
    container, name = _split_container(path)
    if container is None:
        if size(path) > most:  # False for UNKNOWN_SIZE, which is negative
            raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB")
        return remote.read(path, most=most)
    member = _archive_at(container)[0].find(name)
    if member is None:
        raise FileNotFoundError(errno.ENOENT, "not in its archive any more")
    if is_address(container):
        address = _without_encoding(container)
        return read_member(member, lambda start, end: remote.read(address, start, end, most=2 * most), most)
    with open(_without_encoding(container), "rb", buffering=0) as file:  # noqa: PTH123 - a million times

        def part(start: int, end: int) -> bytes:
            file.seek(start)
            return file.read(end - start) or b""

        return read_member(member, part, most)


def stamp(path: str) -> FileStamp | None:
    """Return the metadata by which a cache detects whether a photo in an archive or at an address has changed.

    The result is None if the photo is missing, or if its server does not report whether it has changed.
    """
    try:
        container, name = _split_container(path)
        if container is None:
            said = remote.facts(path)
            return FileStamp(said.identity, said.changed, size(path)) if said.identity else None
        archive, whole, changed = _archive_at(container)
        member = archive.find(name)
        return FileStamp(f"{whole} {member}", changed, member.length) if member and whole else None
    except OSError:
        return None


def prefetch_stamps(paths: Sequence[str]) -> None:
    """Request the metadata of remote photos concurrently, so that later calls to `stamp` and `size` need no request."""
    remote.prefetch_facts([path for path in paths if is_address(path) and not _THROUGH.search(path)])


def size(path: str) -> int:
    """Return the size in bytes of a photo in an archive or at an address.

    The result is -1 (UNKNOWN_SIZE) if the photo is missing or its server does not report the size.
    """
    try:
        container, name = _split_container(path)
        if container is None:
            known = remote.size(path)
            return UNKNOWN_SIZE if known is None else known
        member = _archive_at(container)[0].find(name)
        return member.length if member else UNKNOWN_SIZE
    except OSError:
        return UNKNOWN_SIZE


def _split_container(path: str) -> tuple[str | None, str]:
    """Split the path of a photo in an archive into the path of the archive and the name of the photo in the archive.

    The result is (None, "") for the address of a photo that is not in an archive.

    Raises:
        OSError: the path is not an address, and no part of it is an existing archive.
    """
    for match in _THROUGH.finditer(path):
        container = path[: match.end()]
        if is_address(path) or os.path.isfile(_without_encoding(container)):  # noqa: PTH113
            return container, path[match.end() + 1 :].replace(os.sep, "/")
    if is_address(path):
        return None, ""
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _archive_at(container: str) -> tuple[Archive, str, float]:
    """Return the index of an archive, the archive's identity and the time of its last change (see `FileStamp`).

    Raises:
        OSError: the archive cannot be read.
    """
    file = _without_encoding(container)
    if is_address(container):
        said = remote.facts(file)
        return _remote_archive(container), said.identity or "", said.changed
    whole, changed, _ = FileStamp.of(os.stat(file))  # noqa: PTH116
    return _local_archive(container, whole), whole, changed


@lru_cache(maxsize=_KEPT)
def _local_archive(container: str, whole: str) -> Archive:
    place, encoding = _parted(container)
    with open(place, "rb") as file:  # noqa: PTH123
        return read_archive(file, place, None, encoding)


@lru_cache(maxsize=_KEPT)
def _remote_archive(container: str) -> Archive:
    place, encoding = _parted(container)
    with remote.opened(place) as file, remote.readable_errors(place):
        return read_archive(file, place, MOST_REMOTE_MEMBERS, encoding)


def _parted(container: str) -> tuple[str, str]:
    """Split `photos.zip@gbk` into the path of the archive and the encoding; the encoding is "" if there is none."""
    match = _ENCODING.search(container)
    return _without_encoding(container), match[1] if match else ""


def _archives(place: str) -> list[str]:
    """Return the archives that a path, address or pattern denotes, sorted. Raises DatasetError if there are none."""
    import glob

    whole, encoding = _parted(place)
    if not is_address(place) and os.path.isfile(whole):  # noqa: PTH113
        return [place]
    if encoding:
        return [f"{path}@{encoding}" for path in _archives(whole)]
    found: list[str] = []
    for text in _expanded(place):
        if is_address(text):
            found += remote.matching(text) if "*" in text else [text]
        elif glob.has_magic(text):
            found += glob.glob(text)  # noqa: PTH207 - a pattern of any depth
        elif os.path.isfile(text):  # noqa: PTH113
            found.append(text)
        else:
            raise DatasetError(f"{text}: no such file.")
    if not found:
        raise DatasetError(f"{place}: no archive has such a name.")
    return sorted(dict.fromkeys(found))


def _expanded(place: str) -> list[str]:
    """Expand `{000..011}` and `{a,b}` in a pattern, and return the resulting paths.

    Raises:
        DatasetError: the pattern expands to no paths, or to too many.
    """
    parts = _BRACES.split(place)
    choices: list[list[str]] = []
    count = 1
    for number, part in enumerate(parts):
        match = _RANGE.fullmatch(part) if number % 2 else None
        first, last = (int(match[1]), int(match[2])) if match else (0, 0)
        count *= max(last - first + 1, 0) if match else part.count(",") + 1 if number % 2 else 1
        if not 0 < count <= _MOST_ARCHIVES:
            raise DatasetError(f"{place}: stands for {count:,} archives; 1 to {_MOST_ARCHIVES:,} can be read.")
        if match:
            choices.append([f"{one:0{len(match[1])}}" for one in range(first, last + 1)])
        else:
            choices.append(part.split(",") if number % 2 else [part])
    return ["".join(chosen) for chosen in product(*choices)]
