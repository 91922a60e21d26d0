"""Photos in archives and at addresses.

The path of a photo in an archive begins with the archive's path, as in `photos.zip/daisy/1.jpg`; the path of a photo at
an address is the address. Photos are read one at a time, and archives are not unpacked.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from poets_edge.errors import DatasetError
from poets_edge.photos import remote
from poets_edge.photos.address import Location, is_address, joined, photo_path
from poets_edge.photos.archives import MOST_REMOTE_MEMBERS, Archive, read_archive, read_member
from poets_edge.photos.names import is_photo
from poets_edge.photos.table import UNKNOWN_SIZE

SUFFIXES = (".zip", ".tar")
_THROUGH = re.compile(r"\.(?:zip|tar)(?=[/\\])", re.IGNORECASE)
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_ARCHIVES = 100_000
_KEPT = 4096
"""Number of archives whose indexes are cached."""
_PACKED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")


@dataclass(frozen=True)
class FoundPhotos:
    """Photos of archives or of an address, in no order.

    Attributes:
        root: folder, archive or address that the names are relative to.
        names: names with `/` between their parts.
        labels: class of each photo of WebDataset shards; None if the class is the photo's folder.
        depth: number of leading parts of the names that are not class folders.
    """

    root: str
    names: list[str]
    labels: list[str] | None = None
    depth: int = 0


class FileStamp(NamedTuple):
    """Stamp of a photo, obtained without reading its contents. (A tuple, since a million are created.)

    Attributes:
        identity: value that changes with the photo.
        changed: time of the last change in seconds since the epoch; 0 if only the server knows it.
        size: bytes; UNKNOWN_SIZE if the server does not report it.
    """

    identity: str
    changed: float
    size: int

    @staticmethod
    def of(status: os.stat_result) -> FileStamp:
        """Return the stamp of a local file."""
        identity = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        return FileStamp(identity, max(status.st_mtime, status.st_ctime), status.st_size)


def is_archive_or_address(path: str) -> bool:
    """Return whether the path of a photo folder is an archive, a pattern of archives, or an address."""
    archive = path.lower().endswith((*SUFFIXES, *_PACKED))
    return is_address(path) or (archive and not os.path.isdir(path))  # noqa: PTH112


def find_photos(place: str) -> FoundPhotos:
    """Return the photos of an archive, of several archives, or below an address.

    Args:
        place: path or address; a pattern of archives contains `{000..011}`, `{a,b}`, `*` or `?`.

    Raises:
        DatasetError: see `poets_edge.photos.archives.read_archive`; or nothing is found.
        RemoteError, RuntimeMissingError: an address cannot be reached, or fsspec is not installed.
    """
    remote.forget()
    _remote_archive.cache_clear()
    if place.lower().endswith(_PACKED):
        raise DatasetError(f"{place}: photos cannot be read one by one from this kind of archive. Make a .zip or .tar.")
    if not place.lower().endswith(SUFFIXES):
        return FoundPhotos(place, [name for name in remote.listed(place) if is_photo(name)])
    archives = _archives(place)
    try:
        found = [_archive_at(archive)[0] for archive in archives]
    except OSError as error:
        trouble = "nothing is there, or it cannot be reached" if is_address(place) else error.strerror or error
        raise DatasetError(f"{place}: {trouble}.") from None
    if archives == [place]:
        return FoundPhotos(place, list(found[0].names), found[0].labels)
    root = _root_of(place)
    names = []
    for path, archive in zip(archives, found, strict=True):
        below = path.replace(os.sep, "/")[len(root) + 1 if root else 0 :]
        names += [f"{below}/{name}" for name in archive.names]
    if len({archive.labels is None for archive in found if len(archive.names)}) > 1:
        raise DatasetError(f"{place}: some of these are WebDataset shards and some are not. Give one kind.")
    labels = (
        None if any(one.labels is None for one in found) else [label for one in found for label in one.labels or ()]
    )
    return FoundPhotos(root or ".", names, labels, archives[0].count("/", len(root) + 1) + 1)


def photo_at(folder: Location, name: str) -> Location:
    """Return the path of a photo by its name in a scanned folder, archive, pattern or address."""
    pattern = str(folder)
    several = pattern.lower().endswith(SUFFIXES) and ("{" in pattern or "*" in pattern or "?" in pattern)
    if not several or os.path.exists(pattern):  # noqa: PTH110
        return folder / name
    return photo_path(joined(_root_of(pattern) or ".", name))


def _root_of(pattern: str) -> str:
    """Return the folder above the first part of a pattern with a wildcard."""
    return re.split(r"[*?{]", pattern)[0].replace(os.sep, "/").rpartition("/")[0]


def read(path: str, most: int) -> bytes:
    """Return the bytes of a photo in an archive or at an address.

    Raises:
        OSError: the photo is missing, damaged or larger than `most` bytes.
        RemoteError: the address cannot be reached.
    """
    container, name = _through(path)
    if container is None:
        if size(path) > most:  # UNKNOWN_SIZE is smaller
            raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB")
        return remote.read(path, most=most)
    member = _archive_at(container)[0].find(name)
    if member is None:
        raise FileNotFoundError(errno.ENOENT, "not in its archive any more")
    if is_address(container):
        return read_member(member, lambda start, end: remote.read(container, start, end, most=2 * most), most)
    with open(container, "rb", buffering=0) as file:  # noqa: PTH123 - a million times

        def part(start: int, end: int) -> bytes:
            file.seek(start)
            return file.read(end - start) or b""

        return read_member(member, part, most)


def stamp(path: str) -> FileStamp | None:
    """Return the current stamp of a photo; None if it is missing or its server gives none."""
    try:
        container, name = _through(path)
        if container is None:
            said = remote.facts(path)
            return FileStamp(said.identity, said.changed, size(path)) if said.identity else None
        archive, whole, changed = _archive_at(container)
        member = archive.find(name)
        return FileStamp(f"{whole} {member}", changed, member.length) if member and whole else None
    except OSError:
        return None


def prefetch_stamps(paths: Sequence[str]) -> None:
    """Request the stamps and sizes of photos at addresses concurrently, and store them for `stamp` and `size`."""
    remote.prefetch_stamps([path for path in paths if is_address(path) and not _THROUGH.search(path)])


def size(path: str) -> int:
    """Return the size of a photo in bytes; UNKNOWN_SIZE if it is missing or its server does not report it."""
    try:
        container, name = _through(path)
        if container is None:
            known = remote.size(path)
            return UNKNOWN_SIZE if known is None else known
        member = _archive_at(container)[0].find(name)
        return member.length if member else UNKNOWN_SIZE
    except OSError:
        return UNKNOWN_SIZE


def _through(path: str) -> tuple[str | None, str]:
    """Return the archive in a photo's path, None for an address, and the photo's name in it. Raises OSError."""
    for match in _THROUGH.finditer(path):
        container = path[: match.end()]
        if is_address(path) or os.path.isfile(container):  # noqa: PTH113
            return container, path[match.end() + 1 :].replace(os.sep, "/")
    if is_address(path):
        return None, ""
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _archive_at(container: str) -> tuple[Archive, str, float]:
    """Return an archive, its identity and the time of its last change. Raises OSError."""
    if is_address(container):
        said = remote.facts(container)
        return _remote_archive(container), said.identity or "", said.changed
    whole, changed, _ = FileStamp.of(os.stat(container))  # noqa: PTH116
    return _local_archive(container, whole), whole, changed


@lru_cache(maxsize=_KEPT)
def _local_archive(container: str, whole: str) -> Archive:
    with open(container, "rb") as file:  # noqa: PTH123
        return read_archive(file, container)


@lru_cache(maxsize=_KEPT)
def _remote_archive(container: str) -> Archive:
    with remote.opened(container) as file, remote.readable_errors(container):
        return read_archive(file, container, MOST_REMOTE_MEMBERS)


def _archives(place: str) -> list[str]:
    """Return the archives of a path, address or pattern, sorted. Raises DatasetError: there are none."""
    import glob

    if not is_address(place) and os.path.isfile(place):  # noqa: PTH113
        return [place]
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
    """Return all expansions of `{000..011}` and `{a,b}` in a pattern."""
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
