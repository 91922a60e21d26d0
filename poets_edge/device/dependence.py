"""Groups of photos in an evaluation, such as bursts, which make the interval of the accuracy wider."""

from __future__ import annotations

import numpy as np

from poets_edge.photos.folds import copies
from poets_edge.photos.groups import grouped_rows, name_pairs, stated_groups
from poets_edge.photos.known_photos import NO_GROUP, KnownPhotos
from poets_edge.photos.table import Digest, HashedPhotos, PhotoTable, Rows
from poets_edge.photos.taken import burst_pairs


def photo_groups(photos: PhotoTable, digests: Digest, known: KnownPhotos | None, group_by: str = "") -> Rows | None:
    """Return the group number of each photo, int64 [photos]; None if each photo is a group.

    Test photos of the model's training run are in the groups that the training run found, which include look-alikes.
    Other photos are in one group if their contents are equal, or if their names or EXIF times say that they belong
    together.

    Args:
        digests: SHA-256 of each photo, uint8 [photos, 32].
        known: photos of the model's training run; None if they are not recorded.
        group_by: the user's statement of the groups (see `poets_edge.photos.groups.stated_groups`); empty to find them.

    Raises:
        UsageError, DatasetError: `group_by` is not applicable.
    """
    if group_by:
        return stated_groups(photos, group_by)
    recorded = np.full(len(photos), NO_GROUP, np.int64) if known is None else known.groups(digests)
    others = np.flatnonzero(recorded == NO_GROUP)
    new = HashedPhotos(photos.take(others), digests[others])
    pairs = [*copies(new.marks), *name_pairs(new.photos), *burst_pairs(new.photos)]
    numbers = recorded.copy()
    numbers[others] = grouped_rows(len(others), pairs) + recorded.max(initial=NO_GROUP) + 1
    return numbers if len(np.unique(numbers)) < len(numbers) else None
