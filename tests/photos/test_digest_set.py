"""Tests of sets of truncated digests, with Python's integers as the reference."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.errors import RecordError
from poets_edge.photos.digest_set import DigestSet, keys_of


def digests_of(*numbers: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return digests that begin with the 64 bits of the given numbers."""
    return np.array([list(number.to_bytes(8, "big") + bytes(24)) for number in numbers], np.uint8).reshape(-1, 32)


def test_digest_key_is_the_first_eight_bytes_as_a_big_endian_integer() -> None:
    """Models and records contain sets of these keys, so their definition must not change."""
    assert keys_of(digests_of(0x0102030405060708, 1 << 63)).tolist() == [0x0102030405060708, 1 << 63]
    assert keys_of(digests_of()).tolist() == []


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=60), st.integers(1, 63))
def test_digest_set_contains_the_leading_bits_of_its_digests(numbers: list[int], bits: int) -> None:
    stored = DigestSet.of(keys_of(digests_of(*numbers)), bits)
    expected = sorted({number >> (64 - bits) for number in numbers})
    again = DigestSet.from_json(stored.to_json(), bits)
    others = [number ^ (1 << (64 - bits)) for number in numbers] + [0, (1 << 64) - 1]
    for found in (stored, again):
        assert found.values.tolist() == expected and len(found) == len(expected) and found.bits == bits
        assert found.contains(keys_of(digests_of(*numbers))).all()
        wanted = [number >> (64 - bits) in expected for number in others]
        assert found.contains(keys_of(digests_of(*others))).tolist() == wanted
        rows = found.find(keys_of(digests_of(*numbers))).tolist()
        assert [expected[row] for row in rows] == [number >> (64 - bits) for number in numbers]


def test_json_of_a_digest_set_contains_its_elias_fano_encoding() -> None:
    """Three values of 9 bits have one low byte each; their upper bits 0, 0 and 1 are ones at 0, 0 + 1 and 1 + 2."""
    stored = DigestSet.of(keys_of(digests_of(*(value << 55 for value in (0x07, 0xAB, 0x1FF)))), 9)
    assert stored.to_json() == {"count": 3, "data": base64.b64encode(bytes([0b11010000, 0x07, 0xAB, 0xFF])).decode()}


def test_inconsistent_encoding_of_a_digest_set_is_rejected() -> None:
    fields = DigestSet.of(keys_of(digests_of(1 << 60, 1 << 61, 1 << 62)), 20).to_json()
    code = base64.b64decode(fields["data"])
    for changed in (code + b"\0", code[:-1], bytes([0]) + code[1:], bytes([255]) + code[1:]):
        with pytest.raises(RecordError, match="a set of 3 photos has"):
            DigestSet.from_json({"count": 3, "data": base64.b64encode(changed).decode()}, 20)
    with pytest.raises(RecordError, match="is not base64"):
        DigestSet.from_json({"count": 3, "data": "é"}, 20)
    for garbage in ("!", "\n", " "):
        with pytest.raises(RecordError, match="is not base64"):
            DigestSet.from_json({**fields, "data": garbage + fields["data"]}, 20)


def test_digest_set_from_json_sorts_unordered_values() -> None:
    """Both values begin with the same upper bits, so their lower bytes may be stored in either order."""
    first, second = digests_of(0x0102 << 48), digests_of(0x0103 << 48)
    fields = DigestSet.of(keys_of(np.concatenate([first, second])), 16).to_json()
    code = base64.b64decode(fields["data"])
    assert code[-4:] == b"\1\2\1\3"
    found = DigestSet.from_json({**fields, "data": base64.b64encode(code[:-4] + b"\1\3\1\2").decode()}, 16)
    assert found.find(keys_of(np.concatenate([first, second]))).tolist() == [0, 1]
