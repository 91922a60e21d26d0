"""Snapshot of the photos for a run of `grid`, taken when the run starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poets_edge.errors import DatasetError
from poets_edge.photos.exclude import Exclusions, scan_without_excluded
from poets_edge.photos.folder import PhotoFolder
from poets_edge.photos.split import split
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhotos, Rows
from poets_edge.progress import Reporter
from poets_edge.sweep.options import GridOptions
from poets_edge.training.hashed_photos import Hashed, hash_photos


@dataclass(frozen=True)
class PhotoSnapshot:
    """Names and SHA-256 digests of the photos in a folder at one point in time.

    All architectures in a run of `grid` are trained and evaluated on one snapshot, so that their predictions can be
    compared photo by photo even if files are added during the run.

    Attributes:
        folder: the scanned folder, without the excluded photos.
        hashed: digests of `folder.photos`, and the errors for unreadable files.
        exclusions: photos that were excluded or assigned to another class.
    """

    folder: PhotoFolder
    hashed: Hashed
    exclusions: Exclusions = Exclusions()

    @property
    def readable(self) -> HashedPhotos:
        """Readable photos, with their digests."""
        return self.hashed.readable

    @property
    def has_own_test(self) -> bool:
        """Whether the user chose the test photos, by putting them into a separate folder."""
        return self.folder.photos.has_folder("test")

    @property
    def cross_validated_rows(self) -> Rows:
        """Row numbers of the readable photos to cross-validate: all photos except those in the user's own test set."""
        readable = self.readable
        if not self.has_own_test:
            return np.arange(len(readable))
        return np.flatnonzero(readable.photos.given != SPLIT_NAMES.index("test"))


def take_snapshot(options: GridOptions, reporter: Reporter) -> PhotoSnapshot:
    """Scan and hash the photo folder, and return the snapshot.

    Raises:
        DatasetError: the folder is not suitable for training or has no test photo, or the list of exclusions is not
            valid.
    """
    reporter.status(f"looking for photos in {options.image_dir}")
    folder, exclusions = scan_without_excluded(
        options.image_dir, options.exclude, reporter, recursive=options.recursive
    )
    for line in folder.warnings():
        reporter.warn(line)
    if "test" not in split(folder.photos, options.percentages).values():
        raise DatasetError(f"{options.image_dir}: no photo is in the test set, so nothing can be compared. Add photos.")
    hashed = hash_photos(folder.photos, options.bottleneck_dir, reporter, rehash=options.rehash)
    return PhotoSnapshot(folder, hashed, exclusions)
