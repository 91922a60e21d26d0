"""Find groups of related photos, such as bursts, which widen the confidence interval of an accuracy."""

from __future__ import annotations

import numpy as np

from poets_edge.photos.folds import copies
from poets_edge.photos.groups import grouped_rows, name_pairs, stated_groups
from poets_edge.photos.known_photos import NO_GROUP, KnownPhotos
from poets_edge.photos.table import Digest, HashedPhotos, PhotoTable, Rows
from poets_edge.photos.taken import burst_pairs


def photo_groups(photos: PhotoTable, digests: Digest, known: KnownPhotos | None, group_by: str = "") -> Rows | None:
    """Return the group number of each photo, int64 [photos]; None if no two photos are in the same group.

    Test photos of the model keep their groups from training, where photos that look alike were grouped, too. Other
    photos are grouped if their contents are equal, or if their names or EXIF times show that they belong together.

    Args:
        digests: SHA-256 of each photo, uint8 [photos, 32].
        known: digests of the photos in the model's training run; None if the model does not contain them.
        group_by: definition of the groups (see `poets_edge.photos.groups.stated_groups`); empty to detect them.

    Raises:
        UsageError, DatasetError: `group_by` is invalid, or assigns no photo to a group.
    """
    if group_by:
        return stated_groups(photos, group_by)
    recorded = np.full(len(photos), NO_GROUP, np.int64) if known is None else known.groups(digests)
    others = np.flatnonzero(recorded == NO_GROUP)
    new = HashedPhotos(photos.take(others), digests[others])
    pairs = [*copies(new.byte_digests), *name_pairs(new.photos), *burst_pairs(new.photos)]
    numbers = recorded.copy()
    numbers[others] = grouped_rows(len(others), pairs) + recorded.max(initial=NO_GROUP) + 1
    return numbers if len(np.unique(numbers)) < len(numbers) else None
