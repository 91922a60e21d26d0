"""List and remove the caches in a bottleneck folder.

Only files that `train` writes are listed and removed; other files in the folder are kept.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from poets_edge.core.sqlite import count_rows, is_database, is_foreign
from poets_edge.errors import OutputError, UsageError
from poets_edge.nets.architectures import architecture

Kind = Literal["bottlenecks", "activations", "digests", "groups"]

_DIGESTS, _GROUPS = "photos", "groups"
_NAME = r"(?P<backbone>[a-z0-9_.]+-[0-9a-f]{16})(?P<cut>-last\d+)?"
_SQLITE = r"(\.damaged-\d+)?(-wal|-shm|-journal)?"
_FILE = re.compile(
    rf"(?P<whole>{_DIGESTS}|{_GROUPS})\.sqlite{_SQLITE}|{_NAME}(?P<rest>\.pb|\.tflite|\.json|(\.activations)?\.sqlite{_SQLITE}|-[0-9a-f]{{16}}\.checkpoint\.npz)"
)
_ENDINGS: dict[Kind, str] = {"activations": ".activations.sqlite"}
"""Suffix of the database file by kind of cache; for kinds that are not listed, the suffix is `.sqlite`."""
_TABLES: dict[Kind, str] = {"groups": "bottlenecks"}
"""Name of the database table by kind of cache; for kinds that are not listed, the table has the name of the kind."""


@dataclass(frozen=True)
class Cache:
    """A cache in a bottleneck folder.

    Attributes:
        name: name by which `remove_caches` selects the cache.
        kind: what the cache contains: bottlenecks (and the files of their backbone), activations below the final blocks
            of a backbone (and checkpoints of killed runs), digests of photos, or groups of photos that look alike.
        rows: number of entries; None if the file is damaged.
        size: total size of the files in bytes.
        files: all files of the cache.
    """

    name: str
    kind: Kind
    rows: int | None
    size: int
    files: tuple[Path, ...]


def caches(folder: Path) -> list[Cache]:
    """Return the caches in a folder, sorted by name; an empty list if the folder does not exist."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and (match := _FILE.fullmatch(path.name)):
            files[match["whole"] or match["backbone"] + (match["cut"] or "")].append(path)
    return [_cache(folder, name, paths) for name, paths in sorted(files.items()) if _is_own(folder, name)]


def remove_caches(folder: Path, names: Sequence[str]) -> list[Cache]:
    """Remove the caches with the given names, and return the removed caches.

    Raises:
        UsageError: one of the names belongs to no cache; in this case, no cache is removed.
        OutputError: a file cannot be removed.
    """
    present = {cache.name: cache for cache in caches(folder)}
    for name in names:
        if name not in present:
            raise UsageError(f"no cache named {name!r} in {folder}. There are: {', '.join(present) or 'none'}.")
    removed = [present[name] for name in dict.fromkeys(names)]
    for path in (path for cache in removed for path in cache.files):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror or error}.") from None
    return removed


def _is_own(folder: Path, name: str) -> bool:
    """Return whether `train` wrote the files of the cache with a given name, rather than another program.

    A database with tables that `train` does not create belongs to another program. The tables of an encrypted database
    cannot be read, so the names are checked, too: a name must begin with that of an architecture. The exceptions,
    `photos` and `groups`, are common names, so files with these names must begin like an unencrypted SQLite database.
    """
    database = _database(folder, name)
    if is_foreign(database, _table(_kind(name))):
        return False
    if name in (_DIGESTS, _GROUPS):
        return is_database(database)
    try:
        return bool(architecture(name.partition("-")[0]))
    except UsageError:
        return False


def _kind(name: str) -> Kind:
    if name in (_DIGESTS, _GROUPS):
        return "digests" if name == _DIGESTS else "groups"
    return "activations" if re.search(r"-last\d+$", name) else "bottlenecks"


def _table(kind: Kind) -> str:
    return _TABLES.get(kind, kind)


def _database(folder: Path, name: str) -> Path:
    return folder / f"{name}{_ENDINGS.get(_kind(name), '.sqlite')}"


def _cache(folder: Path, name: str, files: Sequence[Path]) -> Cache:
    kind = _kind(name)
    sizes = 0
    for path in files:
        with contextlib.suppress(OSError):  # another run has just removed its write-ahead log
            sizes += path.stat().st_size
    database = _database(folder, name)
    rows = count_rows(database, _table(kind)) if database.is_file() else 0
    return Cache(name, kind, rows, sizes, tuple(files))
