"""Photos as columns: what a million of them take is a few dozen bytes each, not a few Python objects.

A `PhotoTable` is read like a tuple of `Photo`s, which are made as they are asked for; code that goes over all photos
takes the columns instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, overload

import numpy as np
import numpy.typing as npt

from poets_edge.photos.address import joined, photo_path

SetName = Literal["training", "validation", "test"]
SET_NAMES: tuple[SetName, ...] = get_args(SetName)

NO_SET = -1
"""In place of the number of a set."""
UNKNOWN_SIZE = -1
"""In place of a photo's bytes, where they are not known."""

Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
SetNumbers = npt.NDArray[np.int8]
Digest = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """One file.

    Attributes:
        path: where it lies; it may lead through an archive, or be an address.
        name: its path relative to the photo folder, with `/`.
        label: its class.
        given_set: the set whose folder it lies in; None where the photos are not divided into folders of sets.
        sha256: checksum that its bytes must have, hexadecimal; empty where any will do.
    """

    path: Path
    name: str
    label: str
    given_set: SetName | None = None
    sha256: str = ""


class Names(Sequence[str]):
    """Many short texts, end to end in one piece of memory."""

    __slots__ = ("_ends", "_text")

    def __init__(self, names: Iterable[str]) -> None:
        # What os.fsdecode makes of a name that is no UTF-8 comes back as it was.
        encoded = [name.encode("utf-8", "surrogatepass") for name in names]
        self._text = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    @classmethod
    def joined(cls, parts: Sequence[Names]) -> Names:
        """Several, one after the other."""
        starts = np.cumsum([0, *(len(part._text) for part in parts)], dtype=np.int64)
        ends = [part._ends[1:] + start for part, start in zip(parts, starts[:-1], strict=True)]
        return cls._of(b"".join(part._text for part in parts), np.concatenate([np.zeros(1, np.int64), *ends]))

    @classmethod
    def _of(cls, text: bytes, ends: Rows) -> Names:
        names = cls.__new__(cls)
        names._text, names._ends = text, ends
        return names

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Names: ...
    def __getitem__(self, place: int | slice) -> str | Names:
        if isinstance(place, slice):
            return self.take(np.arange(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place %= len(self)
        return self._text[self._ends[place] : self._ends[place + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        text, start = self._text, 0
        for row in range(0, len(self), _AT_ONCE):
            for end in self._ends[row + 1 : row + 1 + _AT_ONCE].tolist():
                yield text[start:end].decode("utf-8", "surrogatepass")
                start = end

    def take(self, rows: Rows) -> Names:
        """Some of them, in this order."""
        rows = np.asarray(rows, np.int64)
        starts, lengths = self._ends[rows], self._ends[rows + 1] - self._ends[rows]
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        if len(rows) and bool((np.diff(rows) == 1).all()):
            return Names._of(self._text[starts[0] : starts[0] + ends[-1]], ends)
        text, parts = np.frombuffer(self._text, np.uint8), []
        for start in range(0, len(rows), _AT_ONCE):  # the places of all letters at once would be eight times the text
            some, first = lengths[start : start + _AT_ONCE], ends[start]
            before = starts[start : start + _AT_ONCE] - (ends[start : start + len(some)] - first)
            parts.append(text[np.repeat(before, some) + np.arange(int(some.sum()))].tobytes())
        return Names._of(b"".join(parts), ends)


class PhotoTable(Sequence[Photo]):
    """Photos of one folder.

    Attributes:
        folder: where they lie.
        names: each one's path relative to the folder, with `/`.
        labels: names of classes, among them those of all photos.
        classes: the place of each one's class in `labels`, int32 [photos].
        given: the place in SET_NAMES of the set whose folder it lies in, or NO_SET, int8 [photos].
    """

    def __init__(
        self, *, folder: str, names: Names, labels: tuple[str, ...], classes: Numbers, given: SetNumbers,
        paths: Names | None = None,
    ) -> None:  # fmt: skip
        """Args: paths: where each one lies, if that is not its name in the folder."""
        self.folder, self.names, self.labels = folder, names, labels
        self.classes, self.given = classes, given
        self._paths = paths

    @staticmethod
    def of(photos: Iterable[Photo]) -> PhotoTable:
        """Photos as a table, without the checksums that they must have."""
        if isinstance(photos, PhotoTable):
            return photos
        listed = list(photos)
        labels = tuple(dict.fromkeys(photo.label for photo in listed))
        numbers = {label: number for number, label in enumerate(labels)}
        given = [NO_SET if photo.given_set is None else SET_NAMES.index(photo.given_set) for photo in listed]
        return PhotoTable(
            folder="",
            names=Names(photo.name for photo in listed),
            labels=labels,
            classes=np.array([numbers[photo.label] for photo in listed], np.int32),
            given=np.array(given, np.int8),
            paths=Names(str(photo.path) for photo in listed),
        )

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> Photo: ...
    @overload
    def __getitem__(self, place: slice) -> PhotoTable: ...
    def __getitem__(self, place: int | slice) -> Photo | PhotoTable:
        if isinstance(place, slice):
            return self.take(np.arange(*place.indices(len(self))))
        name = self.names[place]
        path = self._paths[place] if self._paths is not None else joined(self.folder, name)
        given = self.given[place]
        return Photo(photo_path(path), name, self.labels[self.classes[place]], None if given < 0 else SET_NAMES[given])

    def __iter__(self) -> Iterator[Photo]:
        for row in range(len(self)):
            yield self[row]

    @property
    def present(self) -> tuple[str, ...]:
        """The classes that have a photo, sorted."""
        counts = np.bincount(self.classes, minlength=len(self.labels))
        return tuple(sorted(label for label, count in zip(self.labels, counts, strict=True) if count))

    def paths(self) -> Iterator[str]:
        """Where each photo lies."""
        if self._paths is not None:
            return iter(self._paths)
        return (joined(self.folder, name) for name in self.names)

    def take(self, rows: Rows) -> PhotoTable:
        """Some of them, in this order."""
        whole = len(rows) == len(self) and bool((rows == np.arange(len(self))).all())
        return PhotoTable(
            folder=self.folder,
            names=self.names if whole else self.names.take(rows),
            labels=self.labels,
            classes=self.classes[rows],
            given=self.given[rows],
            paths=self._paths and (self._paths if whole else self._paths.take(rows)),
        )

    def in_classes(self, labels: tuple[str, ...], of: dict[int, str] | None = None) -> PhotoTable:
        """The same photos with these as `labels`; every class that has a photo must be among them.

        Args:
            of: rows that count as another class, and which.
        """
        numbers = {label: number for number, label in enumerate(labels)}
        of_old = np.array([numbers.get(label, -1) for label in self.labels], np.int32)
        classes = of_old[self.classes] if len(self) else self.classes.copy()
        for row, label in (of or {}).items():
            classes[row] = numbers[label]
        return PhotoTable(
            folder=self.folder, names=self.names, labels=labels, classes=classes, given=self.given, paths=self._paths
        )


_AT_ONCE = 4096


@dataclass(frozen=True)
class HashedPhoto:
    """A photo and the SHA-256 of its bytes."""

    photo: Photo
    digest: bytes


def class_numbers(photos: Sequence[Photo], labels: tuple[str, ...]) -> Rows:
    """The place of each photo's class in `labels`, int64 [photos]; -1 where it is not among them."""
    numbers = {label: number for number, label in enumerate(labels)}
    if isinstance(photos, PhotoTable):
        of = np.array([numbers.get(label, -1) for label in photos.labels], np.int64)
        return np.asarray(of[photos.classes], np.int64)
    return np.array([numbers.get(photo.label, -1) for photo in photos], np.int64)


class HashedPhotos(Sequence[HashedPhoto]):
    """Photos with their digests, as columns.

    Attributes:
        digests: SHA-256 of each one's bytes, uint8 [photos, 32].
    """

    def __init__(self, photos: PhotoTable, digests: npt.NDArray[np.uint8]) -> None:
        self.photos, self.digests = photos, digests

    @staticmethod
    def of(photos: Sequence[HashedPhoto]) -> HashedPhotos:
        """Photos as columns."""
        if isinstance(photos, HashedPhotos):
            return photos
        digests = np.array([np.frombuffer(item.digest, np.uint8) for item in photos], np.uint8)
        width = digests.shape[1] if len(photos) else _DIGEST
        return HashedPhotos(PhotoTable.of([item.photo for item in photos]), digests.reshape(len(photos), width))

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def marks(self) -> npt.NDArray[np.bytes_]:
        """The digests as texts of one length, which sort and compare as a whole, [photos]."""
        return np.ascontiguousarray(self.digests).view(f"S{self.digests.shape[1]}").reshape(-1)

    @overload
    def __getitem__(self, place: int) -> HashedPhoto: ...
    @overload
    def __getitem__(self, place: slice) -> HashedPhotos: ...
    def __getitem__(self, place: int | slice) -> HashedPhoto | HashedPhotos:
        if isinstance(place, slice):
            return HashedPhotos(self.photos[place], self.digests[place])
        return HashedPhoto(self.photos[place], self.digests[place].tobytes())

    def __iter__(self) -> Iterator[HashedPhoto]:
        for row in range(len(self)):
            yield self[row]

    def take(self, rows: Rows) -> HashedPhotos:
        """Some of them, in this order."""
        return HashedPhotos(self.photos.take(rows), self.digests[rows])


class PhotoDigests(Mapping[str, str]):
    """SHA-256 of photos, hexadecimal, by name; made as they are asked for."""

    def __init__(self, photos: HashedPhotos) -> None:
        self._photos = photos
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._photos)

    def __iter__(self) -> Iterator[str]:
        return iter(self._photos.photos.names)

    def __getitem__(self, name: str) -> str:
        if not self._rows:
            self._rows = {name: row for row, name in enumerate(self)}
        digest: bytes = self._photos.digests[self._rows[name]].tobytes()
        return digest.hex()


_DIGEST = 32
