"""The photos of a grid, fixed when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from poets_edge.errors import DatasetError
from poets_edge.photos.folder import PhotoFolder, scan
from poets_edge.photos.split import split
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter
from poets_edge.sweep.options import GridOptions
from poets_edge.training.bottlenecks import Hashed, hash_photos


@dataclass(frozen=True)
class PhotoSnapshot:
    """Photos with the SHA-256 of their contents.

    All architectures of a grid are trained and evaluated on one snapshot, so that their answers can be compared photo
    by photo although files may be added while the grid runs. Helper processes receive it instead of the folder.

    Attributes:
        folder: the scanned folder.
        hashed: digests of `folder.photos`, with the errors of unreadable files.
    """

    folder: PhotoFolder
    hashed: Hashed

    @property
    def readable(self) -> HashedPhotos:
        """Photos whose files can be read, with their digests."""
        return self.hashed.readable


def take_snapshot(options: GridOptions, reporter: Reporter) -> PhotoSnapshot:
    """Scan and hash the photo folder.

    Raises:
        DatasetError: the folder cannot be trained on, or has no test photo.
    """
    reporter.status(f"looking for photos in {options.image_dir}")
    folder = scan(options.image_dir, recursive=options.recursive)
    if "test" not in split(folder.photos, options.percentages).values():
        raise DatasetError(f"{options.image_dir}: no photo is in the test set, so nothing can be compared. Add photos.")
    return PhotoSnapshot(folder, hash_photos(folder.photos, options.bottleneck_dir, reporter, rehash=options.rehash))
