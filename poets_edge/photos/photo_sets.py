"""JSON structure of the sets that identify the photos of a training run, in records, graphs and models.

Reading a model checks this structure; `poets_edge.photos.known_photos`, which interprets it, is imported only where
photos are compared.
"""

from __future__ import annotations

from poets_edge.core.json_checks import COUNT, Check, Optional
from poets_edge.photos.table import SPLIT_NAMES

MAX_BITS = 63
"""Largest number of bits of a digest that a set stores."""
BITS = Check(int, f"a whole number from 1 to {MAX_BITS}", lambda value: 1 <= value <= MAX_BITS)
DIGEST_SET = {"count": COUNT, "data": str}
"""Structure of a `poets_edge.photos.digest_set.DigestSet`."""
PHOTO_SETS = Optional({"bits": BITS, "sample_bits": COUNT, **{str(name): DIGEST_SET for name in SPLIT_NAMES}})
"""Structure of a `poets_edge.photos.known_photos.KnownPhotos`."""
