"""Compact sets of the SHA-256 digests of photos, for testing whether a photo was used in a training run.

A set stores the first bits of each digest in the Elias-Fano encoding (Elias, "Efficient storage and retrieval by
content and address of static files", 1974): values are sorted, their upper bits are written in unary, and their lower
bytes are stored unchanged. A photo outside a set is mistaken for a member with a probability of n / 2**k if the set
contains n digests and stores k bits of each.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import RecordError
from poets_edge.photos.table import Digest, Rows

Keys = npt.NDArray[np.uint64]


def keys_of(digests: Digest) -> Keys:
    """Return the first 64 bits of each digest as an integer, uint64 [photos].

    Args:
        digests: SHA-256 of each photo, uint8 [photos, 32].
    """
    return np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1).astype(np.uint64)


@dataclass(frozen=True, eq=False)
class DigestSet:
    """A set of truncated SHA-256 digests.

    Attributes:
        bits: number of leading bits that are stored for each digest, 1 to 63.
        values: leading bits of each digest as an integer, ascending, without duplicates, uint64 [photos].
    """

    bits: int
    values: Keys

    @staticmethod
    def of(keys: Keys, bits: int) -> DigestSet:
        """Construct a set that stores the first `bits` bits of each digest.

        Args:
            keys: first 64 bits of each digest, as returned by `keys_of`.
            bits: number of bits to store, 1 to 63.
        """
        return DigestSet(bits, np.unique(keys >> np.uint64(64 - bits)))

    def __len__(self) -> int:
        return len(self.values)

    def contains(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return whether each photo is in the set, bool [photos].

        Args:
            keys: result of `keys_of` for the photos.
        """
        return np.asarray(self.find(keys) >= 0)

    def find(self, keys: Keys) -> Rows:
        """Return the position of each photo's digest in `values`, or -1 if it is not in the set, int64 [photos].

        Args:
            keys: result of `keys_of` for the photos.
        """
        if not len(self.values):
            return np.full(len(keys), -1, np.int64)
        wanted = keys >> np.uint64(64 - self.bits)
        places = np.minimum(np.searchsorted(self.values, wanted), len(self.values) - 1)
        return np.where(self.values[places] == wanted, places, -1)

    def to_json(self) -> dict[str, Any]:
        """Return the number of digests, and the digests in the Elias-Fano encoding as base64.

        The attribute `bits` is not included, because several sets have it in common; `from_json` requires it as an
        argument.
        """
        count, low = len(self.values), _low_bytes(len(self.values), self.bits)
        unary = np.zeros(_unary_length(count, self.bits), np.uint8)
        unary[(self.values >> np.uint64(8 * low)).astype(np.int64) + np.arange(count)] = 1
        lower = self.values.astype(">u8").view(np.uint8).reshape(count, 8)[:, 8 - low :]
        code = np.packbits(unary).tobytes() + lower.tobytes()
        return {"count": count, "data": base64.b64encode(code).decode()}

    @staticmethod
    def from_json(fields: Mapping[str, Any], bits: int) -> DigestSet:
        """Construct a set from the result of `to_json`. Raises RecordError if the encoding is damaged.

        Args:
            fields: result of `to_json`.
            bits: number of bits that the set stores for each digest.
        """
        count, low = fields["count"], _low_bytes(fields["count"], bits)
        try:
            code = np.frombuffer(base64.b64decode(fields["data"], validate=True), np.uint8)
        except (binascii.Error, ValueError):
            raise RecordError("a set of photos is not base64") from None
        split = -(-_unary_length(count, bits) // 8)
        if len(code) != split + count * low:
            raise RecordError(f"a set of {count} photos has {len(code)} bytes")
        ones = np.flatnonzero(np.unpackbits(code[:split]))
        if len(ones) != count:
            raise RecordError(f"a set of {count} photos has {len(ones)}")
        lower = np.zeros((count, 8), np.uint8)
        lower[:, 8 - low :] = code[split:].reshape(count, low)
        upper = (ones - np.arange(count)).astype(np.uint64) << np.uint64(8 * low)
        return DigestSet(bits, np.sort(upper | lower.view(">u8").reshape(-1).astype(np.uint64)))


def _low_bytes(count: int, bits: int) -> int:
    """Return the number of lower bytes of each value that the Elias-Fano encoding stores unchanged.

    The remaining upper bits, about log2(count) per value, are written in unary.
    """
    return -(-max(0, bits - max(0, count.bit_length() - 1)) // 8)


def _unary_length(count: int, bits: int) -> int:
    """Return the length, in bits, of the unary part of the Elias-Fano encoding of `count` digests.

    It has one bit per digest, and one per possible value of the upper bits.
    """
    return count + (1 << max(0, bits - 8 * _low_bytes(count, bits))) if count else 0
