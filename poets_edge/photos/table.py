"""Tables of photos, stored as columns: a million photos need about 100 MB.

A `PhotoTable` is a sequence of `Photo` objects, which are created on access. Code that iterates over all photos uses
the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from poets_edge.photos.address import Location, joined, photo_path
from poets_edge.photos.names import composed
from poets_edge.photos.split_names import NO_SPLIT, SPLIT_NAMES, SplitName

UNKNOWN_SIZE = -1
"""Value that represents an unknown photo size."""

Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
SplitNumbers = npt.NDArray[np.int8]
Digest = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """One photo file.

    Attributes:
        path: path of the file, possibly inside an archive, or its address.
        name: path relative to the photo folder, with `/` as the separator.
        label: name of the class.
        given_split: split whose folder contains the file; None if no split folder contains it.
        sha256: hexadecimal SHA-256 that the contents must have; empty to accept any contents.
    """

    path: Location
    name: str
    label: str
    given_split: SplitName | None = None
    sha256: str = ""

    @property
    def file(self) -> Path:
        """Path of the photo. Raises TypeError if the photo has an address instead of a path."""
        if isinstance(self.path, Path):
            return self.path
        raise TypeError(f"{self.path} is an address")


class PhotoTable(Sequence[Photo]):
    """Photos in one folder.

    Attributes:
        folder: path or address of the folder.
        names: path of each photo relative to the folder, with `/` as the separator.
        labels: class names, including those of classes without photos.
        classes: class of each photo as an index into `labels`, int32 [photos].
        given: split whose folder contains each photo, int8 [photos]: 0 training, 1 validation, 2 test; -1 (NO_SPLIT)
            for a photo outside the split folders.
    """

    def __init__(
        self, *, folder: str, names: Sequence[str], labels: tuple[str, ...], classes: Numbers, given: SplitNumbers,
        paths: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Create a table from its columns.

        Args:
            paths: path or address of each photo; by default `folder` joined with the name.
        """
        self.folder, self.names, self.labels = folder, names, labels
        self.classes, self.given = classes, given
        self._paths = paths

    @staticmethod
    def of(photos: Iterable[Photo]) -> PhotoTable:
        """Construct a table from photos; their `sha256` attributes are not stored."""
        if isinstance(photos, PhotoTable):
            return photos
        listed = list(photos)
        labels = tuple(dict.fromkeys(photo.label for photo in listed))
        numbers = {label: number for number, label in enumerate(labels)}
        given = [NO_SPLIT if photo.given_split is None else SPLIT_NAMES.index(photo.given_split) for photo in listed]
        return PhotoTable(
            folder="",
            names=[photo.name for photo in listed],
            labels=labels,
            classes=np.array([numbers[photo.label] for photo in listed], np.int32),
            given=np.array(given, np.int8),
            paths=[str(photo.path) for photo in listed],
        )

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Photo: ...
    @overload
    def __getitem__(self, index: slice) -> PhotoTable: ...
    def __getitem__(self, index: int | slice) -> Photo | PhotoTable:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        name = self.names[index]
        path = self._paths[index] if self._paths is not None else joined(self.folder, name)
        given = self.given[index]
        return Photo(
            photo_path(path), name, self.labels[self.classes[index]], None if given < 0 else SPLIT_NAMES[given]
        )

    def __iter__(self) -> Iterator[Photo]:
        for row in range(len(self)):
            yield self[row]

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the classes that have at least one photo, sorted."""
        counts = np.bincount(self.classes, minlength=len(self.labels))
        return tuple(sorted(label for label, count in zip(self.labels, counts, strict=True) if count))

    def has_folder(self, split: SplitName) -> bool:
        """Return whether the photo folder has a split folder, such as `test/`, with photos of the given split."""
        return bool((self.given == SPLIT_NAMES.index(split)).any())

    def paths(self) -> Iterator[str]:
        """Iterate over the paths or addresses of the photos."""
        if self._paths is not None:
            return iter(self._paths)
        return (joined(self.folder, name) for name in self.names)

    def take(self, rows: Rows) -> PhotoTable:
        """Return a table of the photos with the given row numbers, in the order of `rows`."""
        return PhotoTable(
            folder=self.folder,
            names=take_names(self.names, rows),
            labels=self.labels,
            classes=self.classes[rows],
            given=self.given[rows],
            paths=None if self._paths is None else take_names(self._paths, rows),
        )

    def in_classes(self, labels: tuple[str, ...], of: dict[int, str] | None = None) -> PhotoTable:
        """Return a table of the same photos with new class names, and with some photos reassigned to other classes.

        Args:
            labels: class names of the new table; they must include every class that has a photo.
            of: mapping from the row numbers of reassigned photos to their new classes.
        """
        numbers = {label: number for number, label in enumerate(labels)}
        of_old = np.array([numbers.get(label, -1) for label in self.labels], np.int32)
        classes = of_old[self.classes] if len(self) else self.classes.copy()
        for row, label in (of or {}).items():
            classes[row] = numbers[label]
        return PhotoTable(
            folder=self.folder, names=self.names, labels=labels, classes=classes, given=self.given, paths=self._paths
        )


@dataclass(frozen=True)
class HashedPhoto:
    """A photo and the SHA-256 digest of its contents (32 bytes)."""

    photo: Photo
    digest: bytes


def take_names(names: Sequence[str], rows: Rows) -> list[str]:
    """Return the names with the given row numbers, in the order of `rows`."""
    return [names[row] for row in rows.tolist()]


def class_numbers(photos: Sequence[Photo], labels: tuple[str, ...]) -> Rows:
    """Return the class of each photo as an index into `labels`, or -1 for a class not in `labels`, int64 [photos].

    Class names are compared in NFC, because models from earlier versions may have labels with decomposed accents.
    """
    numbers = {composed(label): number for number, label in enumerate(labels)}
    if isinstance(photos, PhotoTable):
        of = np.array([numbers.get(composed(label), -1) for label in photos.labels], np.int64)
        return np.asarray(of[photos.classes], np.int64)
    return np.array([numbers.get(composed(photo.label), -1) for photo in photos], np.int64)


class HashedPhotos(Sequence[HashedPhoto]):
    """Photos with their digests, stored as columns.

    Attributes:
        photos: table of the photos.
        digests: SHA-256 of the contents of each photo, uint8 [photos, 32].
    """

    def __init__(self, photos: PhotoTable, digests: npt.NDArray[np.uint8]) -> None:
        self.photos, self.digests = photos, digests

    @staticmethod
    def of(photos: Sequence[HashedPhoto]) -> HashedPhotos:
        """Construct an instance from a sequence of photos with digests."""
        if isinstance(photos, HashedPhotos):
            return photos
        digests = np.array([np.frombuffer(item.digest, np.uint8) for item in photos], np.uint8)
        width = digests.shape[1] if len(photos) else _DIGEST
        return HashedPhotos(PhotoTable.of([item.photo for item in photos]), digests.reshape(len(photos), width))

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def byte_digests(self) -> npt.NDArray[np.bytes_]:
        """Digests as byte strings, which numpy can sort and compare, dtype S32 [photos]."""
        return np.ascontiguousarray(self.digests).view(f"S{self.digests.shape[1]}").reshape(-1)

    @overload
    def __getitem__(self, index: int) -> HashedPhoto: ...
    @overload
    def __getitem__(self, index: slice) -> HashedPhotos: ...
    def __getitem__(self, index: int | slice) -> HashedPhoto | HashedPhotos:
        if isinstance(index, slice):
            return HashedPhotos(self.photos[index], self.digests[index])
        return HashedPhoto(self.photos[index], self.digests[index].tobytes())

    def __iter__(self) -> Iterator[HashedPhoto]:
        for row in range(len(self)):
            yield self[row]

    def take(self, rows: Rows) -> HashedPhotos:
        """Return the photos with the given row numbers, including their digests, in the order of `rows`."""
        return HashedPhotos(self.photos.take(rows), self.digests[rows])


class PhotoDigests(Mapping[str, str]):
    """Mapping from photo names to hexadecimal SHA-256 digests."""

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
