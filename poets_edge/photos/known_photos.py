"""Recognize, by file contents, the photos that a training run used for training, validation and testing.

A training record lists the digests of its photos, or stores them as compact sets if there are many. A model stores
compact sets of at most about 128 KiB. Digests are computed from the file: a copy under another name is recognized, but
a photo that was saved again, resized or stripped of its EXIF data is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poets_edge.photos.digest_set import DigestSet, Keys, keys_of
from poets_edge.photos.photo_sets import MAX_BITS
from poets_edge.photos.split_names import NO_SPLIT, SPLIT_NAMES, SplitName
from poets_edge.photos.table import Digest, SplitNumbers

UNCHECKED = -2
"""Split number of a photo whose digest is outside the stored sample, so it is unknown whether the training run used
it."""

_MOST_IN_MODEL = 32_000
"""Maximum number of photos in the sets stored in a model; each needs 4 to 5 bytes as base64."""
_MODEL_BITS = 19
"""Number of bits per digest in a model, in addition to those needed to count the photos. At most one in 2**19 (half a
million) photos from outside the training run is recognized by mistake."""
_RECORD_BITS = 32
"""Number of bits per digest in a training record, in addition to those needed to count the photos. At most one in 2**32
(four billion) photos from outside the training run is recognized by mistake."""


@dataclass(frozen=True)
class KnownPhotos:
    """Digests of the photos in each split of a training run.

    Attributes:
        sets: set of digests for each split.
        sample_bits: number of zero bits with which a digest must begin to be in the sets, which therefore contain one
            in 2**sample_bits photos; 0 if the sets are complete.
    """

    sets: Mapping[SplitName, DigestSet]
    sample_bits: int = 0

    @staticmethod
    def of(digests: Digest, splits: SplitNumbers) -> KnownPhotos:
        """Construct from all photos of a training run.

        Args:
            digests: SHA-256 of each photo, uint8 [photos, 32].
            splits: split of each photo as an index into SPLIT_NAMES, int8 [photos].
        """
        keys = keys_of(digests)
        bits = min(MAX_BITS, len(keys).bit_length() + _RECORD_BITS)
        return KnownPhotos(
            {name: DigestSet.of(keys[splits == number], bits) for number, name in enumerate(SPLIT_NAMES)}
        )

    def for_model(self) -> KnownPhotos:
        """Return smaller sets to store in a model, with fewer bits per digest and, for many photos, only a sample."""
        sampled, bits = self.sample_bits, self.bits

        def count() -> int:
            below = np.uint64(1) << np.uint64(bits - sampled)
            return sum(int((one.values < below).sum()) for one in self.sets.values())

        while count() > _MOST_IN_MODEL:
            sampled += 1
        fewer = min(bits, sampled + count().bit_length() + _MODEL_BITS)
        below = np.uint64(1) << np.uint64(bits - sampled)
        return KnownPhotos(
            {
                name: DigestSet(fewer, np.unique(one.values[one.values < below] >> np.uint64(bits - fewer)))
                for name, one in self.sets.items()
            },
            sampled,
        )

    @property
    def bits(self) -> int:
        """Number of leading bits of each digest that the sets contain."""
        return self.sets["training"].bits

    def splits(self, digests: Digest) -> SplitNumbers:
        """Return the split of each photo, int8 [photos]: an index into SPLIT_NAMES, NO_SPLIT or UNCHECKED.

        A photo with duplicates in several splits is assigned to the first of training, validation and test.

        Args:
            digests: SHA-256 of each photo, uint8 [photos, 32].
        """
        keys = keys_of(digests)
        found = np.where(self._is_sampled(keys), NO_SPLIT, UNCHECKED).astype(np.int8)
        for number, name in reversed(list(enumerate(SPLIT_NAMES))):
            found[self.sets[name].contains(keys)] = number
        return found

    def split(self, digest: bytes) -> int:
        """Return the split of the photo with a SHA-256: an index into SPLIT_NAMES, NO_SPLIT or UNCHECKED."""
        return int(self.splits(np.frombuffer(digest, np.uint8)[None])[0])

    def _is_sampled(self, keys: Keys) -> Any:
        return keys >> np.uint64(64 - self.sample_bits) == 0 if self.sample_bits else np.ones(len(keys), np.bool_)

    def to_json(self) -> dict[str, Any]:
        """Return the sets, with their compact encoding, as JSON-compatible values."""
        shorter = {name: replace(one, bits=self.bits - self.sample_bits) for name, one in self.sets.items()}
        coded = {str(name): one.to_json() for name, one in shorter.items()}
        return {"bits": self.bits, "sample_bits": self.sample_bits, **coded}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> KnownPhotos:
        """Construct from the result of `to_json`. Raises RecordError if a set is damaged."""
        bits, sampled = fields["bits"], min(fields["sample_bits"], fields["bits"] - 1)
        return KnownPhotos(
            {name: replace(DigestSet.from_json(fields[name], bits - sampled), bits=bits) for name in SPLIT_NAMES},
            sampled,
        )


def known_photos(facts: Mapping[str, Any]) -> KnownPhotos | None:
    """Return the photos of a model's training run, for recognition by contents; None if their digests were not stored.

    Args:
        facts: a training record, or the facts stored in a model.

    Raises:
        RecordError: the sets are damaged.
    """
    training = facts.get("training") or facts
    if training.get("photo_sets"):
        return KnownPhotos.from_json(training["photo_sets"])
    if not training.get("photos") or not training.get("sets"):
        return None
    listed = [
        (bytes.fromhex(training["photos"][name]), number)
        for number, split in enumerate(SPLIT_NAMES)
        for name in training["sets"][split]
        if name in training["photos"]
    ]
    if not listed:
        return None
    digests = np.frombuffer(b"".join(digest for digest, _ in listed), np.uint8).reshape(len(listed), -1)
    return KnownPhotos.of(digests, np.array([number for _, number in listed], np.int8))
