"""SHA-256 digests of the photos for training, read from the cache of digests or computed on all cores."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from poets_edge.core.parallel import run_parallel
from poets_edge.errors import PhotoError
from poets_edge.photos.address import is_address
from poets_edge.photos.digests import Known, current_stamp, open_digests
from poets_edge.photos.folder import Photo
from poets_edge.photos.open_photo import read_contents
from poets_edge.photos.remote import CONNECTIONS
from poets_edge.photos.sources import FileStamp, prefetch_stamps
from poets_edge.photos.table import UNKNOWN_SIZE, Digest, HashedPhotos, PhotoTable, Rows
from poets_edge.photos.table import HashedPhoto as HashedPhoto
from poets_edge.progress import Reporter, Silent

PHOTOS_PER_BATCH = 4096
"""Maximum number of vectors, or of photos to hash, that are processed in one batch; it limits memory use."""
_HASHED_PER_HANDOVER = 16
"""Number of photos that a thread hashes per task. If each photo were a task, returning the result would take as long
as hashing a small photo."""
THREADS_PER_CORE_REMOTE = 4
"""Number of threads per core for reading photos from a server; most of the threads wait for the network."""


class Hashed(Sequence["HashedPhoto | PhotoError"]):
    """Result of `hash_photos`: a sequence that has, for each photo, a HashedPhoto or a PhotoError.

    Attributes:
        photos: all photos.
        digests: SHA-256 of each photo, uint8 [photos, 32]; zeros if a photo cannot be read.
        sizes: size of each photo in bytes, int64 [photos]; UNKNOWN_SIZE if the server does not report it, or after an
            error.
        errors: errors for photos that cannot be read, by row number.
    """

    def __init__(self, photos: PhotoTable, digests: Digest, sizes: Rows, errors: dict[int, PhotoError]) -> None:
        self.photos, self.digests, self.sizes, self.errors = photos, digests, sizes, errors

    def __len__(self) -> int:
        return len(self.photos)

    @overload
    def __getitem__(self, index: int) -> HashedPhoto | PhotoError: ...
    @overload
    def __getitem__(self, index: slice) -> list[HashedPhoto | PhotoError]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        error = self.errors.get(range(len(self))[index])
        return error or HashedPhoto(self.photos[index], self.digests[index].tobytes())

    @property
    def readable(self) -> HashedPhotos:
        """Photos that can be read, with their digests."""
        readable = HashedPhotos(self.photos, self.digests)
        if not self.errors:
            return readable
        return readable.take(np.array([row for row in range(len(self)) if row not in self.errors], np.int64))


def hash_photos(
    photos: Sequence[Photo],
    bottleneck_dir: Path | None = None,
    reporter: Reporter | None = None,
    *,
    rehash: bool = False,
) -> Hashed:
    """Return the digest of each photo, or the error if the photo cannot be read, in the order of the photos.

    Args:
        bottleneck_dir: folder of the digest cache; None to read all photos.
        reporter: receives a warning if the digest cache is damaged.
        rehash: read all photos, even if the cache contains their digests.
    """
    table = PhotoTable.of(photos)
    digests = np.zeros((len(table), hashlib.sha256().digest_size), np.uint8)
    sizes = np.full(len(table), UNKNOWN_SIZE, np.int64)
    errors: dict[int, PhotoError] = {}
    paths, at_address = table.paths(), is_address(table.folder)
    workers, at_once = (CONNECTIONS, 1) if at_address else (None, _HASHED_PER_HANDOVER)
    with open_digests(bottleneck_dir, reporter or Silent(), rehash=rehash) as known:
        for start in range(0, len(table), PHOTOS_PER_BATCH):
            some = list(islice(paths, PHOTOS_PER_BATCH))
            if at_address:
                prefetch_stamps(some)
            cached = known.find(some)
            unknown = [row for row, photo in enumerate(cached, start) if photo is None]
            joined = b"".join(photo.digest if photo else bytes(digests.shape[1]) for photo in cached)
            digests[start : start + len(cached)] = np.frombuffer(joined, np.uint8).reshape(len(cached), -1)
            sizes[start : start + len(cached)] = [photo.size if photo else UNKNOWN_SIZE for photo in cached]
            for row, (result, stamp, at) in run_parallel(
                unknown, lambda: None, lambda row, _: _hash(table[row]), workers=workers, at_once=at_once
            ):
                if isinstance(result, PhotoError):
                    errors[row] = result
                    continue
                digests[row], sizes[row] = np.frombuffer(result.digest, np.uint8), result.size
                if stamp is not None:
                    known.store(table[row].path, stamp, at, result.digest)
            known.commit()
    return Hashed(table, digests, sizes, errors)


def _hash(photo: Photo) -> tuple[Known | PhotoError, FileStamp | None, float]:
    """Read a photo, and return what the digest cache stores about it.

    Returns:
        Digest and size of the photo, or an error; the metadata by which a change of the photo is detected, obtained
        before it was read (see `FileStamp`), or None if there is none or after an error; and the time at which the
        metadata was obtained, in seconds since the epoch.
    """
    at, stamp = time.time(), current_stamp(str(photo.path))
    try:
        contents = read_contents(photo)
    except PhotoError as error:
        return error.without_frames(), None, at
    # The size that the file system or server reports, since photo folders are compared by it later.
    return Known(hashlib.sha256(contents).digest(), stamp.size if stamp else len(contents)), stamp, at
