"""Compact sets of SHA-256 digests, which answer whether a photo is among the photos of a training run.

A set holds the first bits of each digest as an Elias-Fano code (Elias, "Efficient storage and retrieval by content and
address of static files", 1974): values are sorted, their upper bits are written in unary, their lower bytes as they
are. A photo outside the set is taken for one of it with a probability of `count / 2**bits`.
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
from poets_edge.photos.table import Digest

Keys = npt.NDArray[np.uint64]


def keys_of(digests: Digest) -> Keys:
    """Return the first 64 bits of each digest.

    Args:
        digests: uint8 [photos, 32].
    """
    return np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1).astype(np.uint64)


@dataclass(frozen=True, eq=False)
class DigestSet:
    """A set of digests.

    Attributes:
        bits: number of bits of each digest that are kept, 1 to MAX_BITS.
        values: these bits of each digest as an integer, ascending, without repetitions, uint64 [photos].
    """

    bits: int
    values: Keys

    @staticmethod
    def of(keys: Keys, bits: int) -> DigestSet:
        """Construct from the result of `keys_of`."""
        return DigestSet(bits, np.unique(keys >> np.uint64(64 - bits)))

    def __len__(self) -> int:
        return len(self.values)

    def contains(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return whether each photo is in the set, bool [photos].

        Args:
            keys: result of `keys_of`.
        """
        if not len(self.values):
            return np.zeros(len(keys), np.bool_)
        wanted = keys >> np.uint64(64 - self.bits)
        places = np.minimum(np.searchsorted(self.values, wanted), len(self.values) - 1)
        return np.asarray(self.values[places] == wanted)

    def to_json(self) -> dict[str, Any]:
        """Return the code of the set; `bits` is not part of it."""
        count, low = len(self.values), _low_bytes(len(self.values), self.bits)
        unary = np.zeros(_unary_length(count, self.bits), np.uint8)
        unary[(self.values >> np.uint64(8 * low)).astype(np.int64) + np.arange(count)] = 1
        lower = self.values.astype(">u8").view(np.uint8).reshape(count, 8)[:, 8 - low :]
        code = np.packbits(unary).tobytes() + lower.tobytes()
        return {"count": count, "data": base64.b64encode(code).decode()}

    @staticmethod
    def from_json(fields: Mapping[str, Any], bits: int) -> DigestSet:
        """Construct from the result of `to_json`. Raises RecordError: the code is damaged."""
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
    """Return the number of bytes of each value that are not written in unary: all but about log2(count) bits."""
    return -(-max(0, bits - max(0, count.bit_length() - 1)) // 8)


def _unary_length(count: int, bits: int) -> int:
    """Return the number of bits of the unary code: one for each value, and one for each value of the upper bits."""
    return count + (1 << max(0, bits - 8 * _low_bytes(count, bits))) if count else 0
