"""JSON structure of the sets of digests by which a record or a model identifies the photos of a training run.

The structure is validated whenever a model is read, so this module does not import `poets_edge.photos.known_photos`,
which decodes the sets.
"""

from __future__ import annotations

from poets_edge.core.json_checks import COUNT, Check, Optional
from poets_edge.photos.split_names import SPLIT_NAMES

MAX_BITS = 63
"""Maximum number of bits that a set stores for each digest."""
BITS = Check(int, f"a whole number from 1 to {MAX_BITS}", lambda value: 1 <= value <= MAX_BITS)
DIGEST_SET = {"count": COUNT, "data": str}
"""JSON structure of an encoded `poets_edge.photos.digest_set.DigestSet`."""
PHOTO_SETS = Optional(
    {
        "bits": BITS,
        "sample_bits": COUNT,
        **{str(name): DIGEST_SET for name in SPLIT_NAMES},
        "test_groups": Optional([COUNT]),
    }
)
"""Optional JSON field with an encoded `poets_edge.photos.known_photos.KnownPhotos`."""
