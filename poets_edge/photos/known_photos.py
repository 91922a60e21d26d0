"""Recognize, by file contents, the photos that a training run used for training, validation and testing.

A training record lists the digests of the photos or, if there are many, stores truncated digests (`DigestSet`). A model
file always stores truncated digests, in at most about 128 KiB. Digests are computed from the whole file: a copy under
another name is recognized, but a photo that was saved again, resized or stripped of its EXIF data is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poets_edge.errors import RecordError
from poets_edge.photos.digest_set import DigestSet, Keys, keys_of
from poets_edge.photos.photo_sets import MAX_BITS
from poets_edge.photos.split_names import NO_SPLIT, SPLIT_NAMES, SplitName
from poets_edge.photos.table import Digest, Rows, SplitNumbers

UNCHECKED = -2
"""Split number of a photo whose split is unknown, because only a sample of the digests is stored and the photo's digest
is outside the sample."""
NO_GROUP = -1
"""Group number of a photo that was not in the test split of the training run."""

_MOST_IN_MODEL = 32_000
"""Maximum number of photo digests that a model stores; each needs 4 to 5 bytes as base64."""
_MODEL_BITS = 19
"""Number of bits that a model stores per digest, in addition to log2 of the number of photos. At most about one in
2**19 (half a million) photos from outside the training run is recognized by mistake."""
_RECORD_BITS = 32
"""Number of bits that a training record stores per digest, in addition to log2 of the number of photos. At most about
one in 2**32 (four billion) photos from outside the training run is recognized by mistake."""


@dataclass(frozen=True)
class KnownPhotos:
    """Digests of the photos in each split of a training run.

    Attributes:
        sets: set of digests for each split.
        sample_bits: only digests that begin with this many zero bits are in the sets, about one in 2**sample_bits; 0 if
            the sets are complete.
        test_groups: group number of each test photo, in the order of the digests in `sets["test"]`, int64
            [test photos]; None if each photo forms its own group.
    """

    sets: Mapping[SplitName, DigestSet]
    sample_bits: int = 0
    test_groups: Rows | None = None

    @staticmethod
    def of(digests: Digest, splits: SplitNumbers, groups: Rows | None = None) -> KnownPhotos:
        """Construct an instance from all photos of a training run.

        Args:
            digests: SHA-256 of each photo, uint8 [photos, 32].
            splits: split of each photo, int8 [photos]: 0 training, 1 validation, 2 test.
            groups: group number of each photo, int64 [photos]; None if each photo forms its own group.
        """
        keys = keys_of(digests)
        bits = min(MAX_BITS, len(keys).bit_length() + _RECORD_BITS)
        sets = {name: DigestSet.of(keys[splits == number], bits) for number, name in enumerate(SPLIT_NAMES)}
        if groups is None:
            return KnownPhotos(sets)
        tested = np.flatnonzero(splits == SPLIT_NAMES.index("test"))
        _, first = np.unique(keys[tested] >> np.uint64(64 - bits), return_index=True)
        return KnownPhotos(sets, test_groups=_renumbered(groups[tested[first]]))

    def for_model(self) -> KnownPhotos:
        """Return a copy to store in a model: with shorter digests, and only a sample of them if there are many."""
        sampled, bits = self.sample_bits, self.bits

        def count() -> int:
            below = np.uint64(1) << np.uint64(bits - sampled)
            return sum(int((one.values < below).sum()) for one in self.sets.values())

        while count() > _MOST_IN_MODEL:
            sampled += 1
        fewer = min(bits, sampled + count().bit_length() + _MODEL_BITS)
        below = np.uint64(1) << np.uint64(bits - sampled)
        sets, groups = {}, self.test_groups
        for name, one in self.sets.items():
            values, first = np.unique(one.values[one.values < below] >> np.uint64(bits - fewer), return_index=True)
            sets[name] = DigestSet(fewer, values)
            if name == "test" and groups is not None:
                groups = _renumbered(groups[first])
        return KnownPhotos(sets, sampled, groups)

    @property
    def bits(self) -> int:
        """Return group numbers mapped to consecutive numbers from 0; None if each photo has a group of its own."""
        return self.sets["training"].bits

    def splits(self, digests: Digest) -> SplitNumbers:
        """Return the split of each photo in the training run, int8 [photos].

        A split is 0 (training), 1 (validation) or 2 (test); -1 (NO_SPLIT) for a photo that was not in the training
        run; or -2 (UNCHECKED) if this is unknown, because only a sample of the digests is stored.

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
        """Return the split of the photo with the given SHA-256 digest, as a number that `splits` describes."""
        return int(self.splits(np.frombuffer(digest, np.uint8)[None])[0])

    def groups(self, digests: Digest) -> Rows:
        """Return the group number of each photo, or -1 (NO_GROUP) if it is not in the test split, int64 [photos].

        Args:
            digests: SHA-256 of each photo, uint8 [photos, 32].
        """
        rows = self.sets["test"].find(keys_of(digests))
        numbers = np.arange(len(self.sets["test"])) if self.test_groups is None else self.test_groups
        return np.asarray(np.append(numbers, NO_GROUP)[rows], np.int64)

    def _is_sampled(self, keys: Keys) -> Any:
        return keys >> np.uint64(64 - self.sample_bits) == 0 if self.sample_bits else np.ones(len(keys), np.bool_)

    def to_json(self) -> dict[str, Any]:
        """Return the sets of digests, in a compact encoding, as JSON-compatible values."""
        shorter = {name: replace(one, bits=self.bits - self.sample_bits) for name, one in self.sets.items()}
        coded = {str(name): one.to_json() for name, one in shorter.items()}
        groups = {} if self.test_groups is None else {"test_groups": self.test_groups.tolist()}
        return {"bits": self.bits, "sample_bits": self.sample_bits, **coded, **groups}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> KnownPhotos:
        """Construct an instance from the result of `to_json`.

        Raises:
            RecordError: the digests of a split are damaged, or the number of groups differs from the number of test
                photos.
        """
        bits, sampled = fields["bits"], min(fields["sample_bits"], fields["bits"] - 1)
        sets = {name: replace(DigestSet.from_json(fields[name], bits - sampled), bits=bits) for name in SPLIT_NAMES}
        if fields.get("test_groups") is None:
            return KnownPhotos(sets, sampled)
        groups = np.array(fields["test_groups"], np.int64)
        if len(groups) != len(sets["test"]):
            raise RecordError(f"{len(groups)} groups of {len(sets['test'])} test photos")
        return KnownPhotos(sets, sampled, groups)


def _renumbered(groups: Rows) -> Rows | None:
    """Replace group numbers with consecutive numbers from 0; return None if each photo has its own group."""
    found, numbers = np.unique(groups, return_inverse=True)
    return np.asarray(numbers.reshape(-1), np.int64) if len(found) < len(groups) else None


def known_photos(facts: Mapping[str, Any]) -> KnownPhotos | None:
    """Return the digests of the photos of a training run; None if the training record or model does not contain them.

    Args:
        facts: a training record, or the description of the training that is stored in a model.

    Raises:
        RecordError: the stored digests are damaged.
    """
    training = facts.get("training") or facts
    if training.get("photo_sets"):
        return KnownPhotos.from_json(training["photo_sets"])
    if not training.get("photos") or not training.get("sets"):
        return None
    group_of = dict(zip(training["sets"]["test"], training.get("test_groups") or (), strict=False))
    listed = [
        (bytes.fromhex(training["photos"][name]), number, group_of.get(name, NO_GROUP))
        for number, split in enumerate(SPLIT_NAMES)
        for name in training["sets"][split]
        if name in training["photos"]
    ]
    if not listed:
        return None
    digests = np.frombuffer(b"".join(digest for digest, _, _ in listed), np.uint8).reshape(len(listed), -1)
    splits, groups = (np.array(column, np.int64) for column in list(zip(*listed, strict=True))[1:])
    return KnownPhotos.of(digests, splits.astype(np.int8), groups if group_of else None)
