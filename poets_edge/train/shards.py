"""Vectors in files that are written once: what several machines can write into one folder, and read from it.

One shard holds the vectors of one task, some hundred photos, with their keys and a checksum over all of it. It appears
whole or not at all, and its name follows from its keys, so a task that is done twice writes the same file twice.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import write_bytes
from poets_edge.errors import OutputError

SUFFIX = ".shard"
FOLDER_SUFFIX = ".shards"

VECTORS = 256
"""In a shard: of fewer, reading would take long, and of more, a killed worker would cost more."""

_MAGIC = b"poets_edge shard 1\n\0\0\0\0\0"
_KEY = 32
_HEADER = len(_MAGIC) + 16 + 32
_KEPT = 64
"""Shards that are kept in memory after reading: photos come in the order in which they were computed, about."""

Matrix = npt.NDArray[np.float32]


def shard_path(folder: Path, keys: Sequence[bytes]) -> Path:
    """Where the shard of a task lies that was to compute the vectors of these keys."""
    return folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:32]}{SUFFIX}"


def write_shard(path: Path, keys: Sequence[bytes], vectors: Sequence[Matrix]) -> None:
    """Write vectors, float32 [size] each, of equal size. Raises OutputError."""
    table = np.ascontiguousarray(np.stack(vectors), "<f4")
    body = np.array(table.shape, "<u8").tobytes() + b"".join(keys) + table.tobytes()
    write_bytes(path, _MAGIC + hashlib.sha256(body).digest() + body)


class Shards:
    """The shards of one folder, as they were when this was made, and what is added here."""

    def __init__(self, folder: Path) -> None:
        """Reads the keys only. A folder that is not there has none."""
        self.folder = folder
        self._files: list[Path] = []
        self._open: OrderedDict[int, Matrix | None] = OrderedDict()
        self._added: dict[bytes, Matrix] = {}
        self.set_aside: list[Path] = []
        """Damaged files, moved there."""
        self._index()

    def __len__(self) -> int:
        """Vectors there are."""
        return len(self._keys)

    def read_many(self, keys: Sequence[bytes]) -> list[Matrix | None]:
        """The vector of each key, float32 [size], or None where there is none or its shard is damaged."""
        return [None if place is None else self._vector(*place) for place in self._find(keys)]

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Which of these are not there, in order. Whether a shard is intact shows when it is read."""
        return [key for key, place in zip(keys, self._find(keys), strict=True) if place is None]

    def add(self, key: bytes, vector: Matrix) -> None:
        """Keep a vector, until there are enough for a shard or `commit` is called. Raises OutputError like `commit`."""
        self._added[key] = np.asarray(vector, np.float32)
        if len(self._added) == VECTORS:
            self.commit()

    def commit(self) -> None:
        """Write what was added as one shard. Raises OutputError."""
        if self._added:
            keys = list(self._added)
            write_shard(shard_path(self.folder, keys), keys, list(self._added.values()))
            self._added.clear()

    def reload(self) -> None:
        """See what others have written since."""
        self._index()

    def _index(self) -> None:
        self._files = sorted(self.folder.glob(f"*{SUFFIX}"))
        self._open.clear()
        keys, files, rows = [], [], []
        for number, path in enumerate(self._files):
            found = _read_keys(path)
            keys.append(found)
            files.append(np.full(len(found), number, np.int32))
            rows.append(np.arange(len(found), dtype=np.int32))
        joined: npt.NDArray[np.uint8] = np.concatenate([np.zeros((0, _KEY), np.uint8), *keys])
        start = _starts(joined)
        order = np.argsort(start, kind="stable")
        self._keys, self._starts = joined[order], start[order]
        self._places = np.stack([np.concatenate([np.zeros(0, np.int32), *part])[order] for part in (files, rows)])

    def _find(self, keys: Sequence[bytes]) -> list[tuple[int, int] | None]:
        if not len(self._keys) or not keys:
            return [None] * len(keys)
        wanted = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), _KEY)
        # The first eight bytes of a SHA-256 find it; the others tell whether it is the one.
        spots = np.minimum(np.searchsorted(self._starts, _starts(wanted)), len(self._keys) - 1)
        same = (self._keys[spots] == wanted).all(axis=1)
        files, rows = self._places[:, spots].tolist()
        return [(file, row) if ok else None for file, row, ok in zip(files, rows, same.tolist(), strict=True)]

    def _vector(self, number: int, row: int) -> Matrix | None:
        if number not in self._open:
            self._open[number] = self._read(self._files[number])
            if len(self._open) > _KEPT:
                self._open.popitem(last=False)
        table = self._open[number]
        return None if table is None else table[row]

    def _read(self, path: Path) -> Matrix | None:
        try:
            contents = path.read_bytes()
        except OSError:
            return None
        magic, digest, body = (
            contents[: len(_MAGIC)],
            contents[len(_MAGIC) : len(_MAGIC) + 32],
            contents[len(_MAGIC) + 32 :],
        )
        if magic == _MAGIC and hashlib.sha256(body).digest() == digest:
            count, width = np.frombuffer(body[:16], "<u8").tolist()
            return np.frombuffer(body, "<f4", offset=16 + _KEY * count).reshape(count, width).astype(np.float32)
        aside = path.with_suffix(".damaged")
        try:
            path.replace(aside)
        except OSError as error:
            raise OutputError(f"cannot move the damaged {path}: {error.strerror or error}.") from None
        self.set_aside.append(aside)
        return None


def _starts(keys: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(keys[:, :8]).view(">u8").reshape(len(keys)).astype(np.uint64)


def _read_keys(path: Path) -> npt.NDArray[np.uint8]:
    """Its keys, uint8 [vectors, 32]; none where it is cut short or no shard."""
    nothing = np.zeros((0, _KEY), np.uint8)
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
            if len(header) < _HEADER or not header.startswith(_MAGIC):
                return nothing
            count, width = np.frombuffer(header[-16:], "<u8").tolist()
            if path.stat().st_size != _HEADER + count * (_KEY + 4 * width):
                return nothing
            return np.frombuffer(file.read(_KEY * count), np.uint8).reshape(count, _KEY)
    except OSError:
        return nothing
