"""Photos that are no files by themselves: in a `.zip` or `.tar` here, at an address, or in an archive at an address.

Such a photo's path leads through its archive, `photos.zip/daisy/1.jpg`, or is its address. `scan` finds them, and they
are read one at a time, where they are.
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
"""Archives whose lists of members are kept in memory."""
_PACKED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")


@dataclass(frozen=True)
class Found:
    """Photos, in no order.

    Attributes:
        root: what stands before their names in their paths.
        names: with `/`.
        labels: the class of each, where a shard says it; else None, and the folders say it.
        depth: folders and archives in the names that say nothing of the class.
    """

    root: str
    names: list[str]
    labels: list[str] | None = None
    depth: int = 0


class FileStamp(NamedTuple):
    """The marks of a photo, had without reading it. (A tuple, for it is made a million times.)

    Attributes:
        identity: changes with the photo.
        changed: when it did, in seconds since the epoch; 0 where only its server knows.
        size: bytes; UNKNOWN_SIZE where its server does not say.
    """

    identity: str
    changed: float
    size: int

    @staticmethod
    def of(status: os.stat_result) -> FileStamp:
        """The marks of a file here."""
        identity = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        return FileStamp(identity, max(status.st_mtime, status.st_ctime), status.st_size)


def is_elsewhere(path: str) -> bool:
    """Whether a folder of photos, by its path, is none of this machine's folders."""
    archive = path.lower().endswith((*SUFFIXES, *_PACKED))
    return is_address(path) or (archive and not os.path.isdir(path))  # noqa: PTH112


def find_photos(place: str) -> Found:
    """The photos of archives, given by a path, an address or a pattern of these; or below an address.

    Args:
        place: a pattern has `{000..011}`, `{a,b}`, `*` or `?` in it.

    Raises:
        DatasetError: see `poets_edge.photos.archives.read_archive`; or there is nothing.
        RemoteError, RuntimeMissingError: an address cannot be reached, or fsspec is not installed.
    """
    remote.forget()
    _remote_archive.cache_clear()
    if place.lower().endswith(_PACKED):
        raise DatasetError(f"{place}: photos cannot be read one by one from this kind of archive. Make a .zip or .tar.")
    if not place.lower().endswith(SUFFIXES):
        return Found(place, [name for name in remote.listed(place) if is_photo(name)])
    archives = _archives(place)
    try:
        found = [_archive_at(archive)[0] for archive in archives]
    except OSError as error:
        trouble = "nothing is there, or it cannot be reached" if is_address(place) else error.strerror or error
        raise DatasetError(f"{place}: {trouble}.") from None
    if archives == [place]:
        return Found(place, list(found[0].names), found[0].labels)
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
    return Found(root or ".", names, labels, archives[0].count("/", len(root) + 1) + 1)


def photo_at(folder: Location, name: str) -> Location:
    """The path of a photo, given by its name, in what `scan` was given."""
    pattern = str(folder)
    several = pattern.lower().endswith(SUFFIXES) and ("{" in pattern or "*" in pattern or "?" in pattern)
    if not several or os.path.exists(pattern):  # noqa: PTH110
        return folder / name
    return photo_path(joined(_root_of(pattern) or ".", name))


def _root_of(pattern: str) -> str:
    """The folder above the first part of a pattern that stands for several."""
    return re.split(r"[*?{]", pattern)[0].replace(os.sep, "/").rpartition("/")[0]


def read(path: str, most: int) -> bytes:
    """A photo's bytes.

    Raises:
        OSError: it is missing, damaged or larger than `most`.
        RemoteError: its address cannot be reached.
    """
    container, name = _through(path)
    if container is None:
        if size(path) > most:  # where the server does not answer, reading tells why
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
    """The marks of a photo as it is now; None where it is missing, or its server says nothing."""
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


def ask_about(paths: Sequence[str]) -> None:
    """Ask for what `stamp` and `size` tell of photos at addresses, many at a time."""
    remote.ask_about([path for path in paths if is_address(path) and not _THROUGH.search(path)])


def size(path: str) -> int:
    """Bytes of a photo; UNKNOWN_SIZE where its server does not say, or it is missing."""
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
    """The archive that a photo's path leads through, and the photo's name in it. Raises OSError: there is none."""
    for match in _THROUGH.finditer(path):
        container = path[: match.end()]
        if is_address(path) or os.path.isfile(container):  # noqa: PTH113
            return container, path[match.end() + 1 :].replace(os.sep, "/")
    if is_address(path):
        return None, ""
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _archive_at(container: str) -> tuple[Archive, str, float]:
    """An archive, what tells whether it has changed, and when it did. Raises OSError."""
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
    with remote.opened(container) as file, remote.saying(container):
        return read_archive(file, container, MOST_REMOTE_MEMBERS)


def _archives(place: str) -> list[str]:
    """The archives that a path, an address or a pattern stands for, sorted. Raises DatasetError: there is none."""
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
    """A text with `{000..011}` or `{a,b}` as all texts that it stands for."""
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
