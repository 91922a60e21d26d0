"""Tests of the FlatBuffer parser on buffers written byte by byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from poets_edge.tflite.verify import tables
from poets_edge.tflite.verify.tables import SKIPPED, FlawError, Schema, Union, parse

SCHEMA: Schema = {
    "Root": [
        ("number", "i=7"),
        ("floats", "[f]"),
        ("name", "text"),
        ("child", "Root"),
        ("children", "[Root]"),
        ("kind", "B"),
        ("choice", Union({1: "Leaf"})),
        ("skipped", f"{SKIPPED}"),
    ],
    "Leaf": [("flag", "?"), ("large", "i=-1")],
}
FIELDS = len(SCHEMA["Root"])


def buffer(fields: dict[int, int], data: bytes = b"", size: int = 36) -> bytearray:
    """Return a buffer with a vtable that is followed by its root table.

    Args:
        fields: 32-bit value of each field, by field number; offsets are relative to the field.
        data: bytes after the table.
        size: size of the table in bytes.
    """
    vtable = [0] * FIELDS
    content = bytearray(size)
    for place, (number, value) in enumerate(fields.items()):
        vtable[number] = 4 + 4 * place
        content[vtable[number] : vtable[number] + 4] = struct.pack("<i", value)
    length = 4 + 2 * FIELDS
    start = 8 + length
    struct.pack_into("<i", content, 0, length)
    return bytearray(
        struct.pack("<I4s", start, b"TEST")
        + struct.pack(f"<{2 + FIELDS}H", length, size, *vtable)
        + bytes(content)
        + data
    )


def read(data: bytes | bytearray) -> dict[str, object]:
    return parse(bytes(data), SCHEMA, "Root", b"TEST")


END = 32
"""Offset from the first field of a table to the data after the table."""


def test_flatbuffer_parser_returns_the_values_or_defaults_of_all_fields() -> None:
    empty = read(buffer({}))
    assert empty["number"] == 7 and empty["name"] == "" and empty["child"] is None and empty["children"] == []
    assert np.asarray(empty["floats"]).size == 0 and empty["choice"] is None and empty["skipped"] is None
    assert read(buffer({0: -5}))["number"] == -5
    floats = read(buffer({1: END}, struct.pack("<I3f", 3, 1.5, -2, 0.25)))["floats"]
    assert np.asarray(floats).tolist() == [1.5, -2, 0.25]
    assert read(buffer({2: END}, struct.pack("<I6s", 5, b"daisy\0")))["name"] == "daisy"


@pytest.mark.parametrize("missing", [1, 2, 4, 8])
def test_flatbuffer_parser_refuses_vectors_beyond_the_end(missing: int) -> None:
    """The vector declares three floats, but the last bytes are missing."""
    whole = struct.pack("<I3f", 3, 1, 2, 3)
    read(buffer({1: END}, whole))
    with pytest.raises(FlawError, match="vector goes beyond the end"):
        read(buffer({1: END}, whole[:-missing]))


def test_flatbuffer_parser_requires_null_terminated_utf8_text() -> None:
    for data, message in (
        (struct.pack("<I5s", 5, b"daisy"), "without a final zero byte"),
        (struct.pack("<I6s", 5, b"daisyx"), "without a final zero byte"),
        (struct.pack("<I5s", 4, b"caf\xe9\0"), "not UTF-8"),
        (struct.pack("<I3s", 500, b"abc"), "goes beyond"),
    ):
        with pytest.raises(FlawError, match=message):
            read(buffer({2: END}, data))


@pytest.mark.parametrize("offset", [0, -4, -32])
def test_flatbuffer_parser_refuses_backward_offsets(offset: int) -> None:
    """A backward offset could form a cycle of tables."""
    with pytest.raises(FlawError, match="an invalid offset"):
        read(buffer({1: offset}, bytes(8)))


def test_flatbuffer_parser_requires_aligned_offsets_inside_the_buffer() -> None:
    for offset, message in ((END + 2, "not aligned"), (END + 100, "outside")):
        with pytest.raises(FlawError, match=message):
            read(buffer({1: offset}, bytes(16)))


def test_file_identifier_and_minimum_length_are_checked() -> None:
    data = bytes(buffer({}))
    for bad in (data[:4] + b"TESU" + data[8:], data[:7], b""):
        with pytest.raises(FlawError, match="invalid header"):
            read(bad)


def test_flatbuffer_parser_refuses_tables_beyond_the_end() -> None:
    data = buffer({0: 1})
    with pytest.raises(FlawError, match="partly outside"):
        read(data[:-4])
    longer = bytearray(data)
    struct.pack_into("<H", longer, 8, 2)
    with pytest.raises(FlawError, match="partly outside"):
        read(longer)
    field = bytearray(data)
    struct.pack_into("<H", field, 12, 36)
    with pytest.raises(FlawError, match="a field of a Root table is outside the buffer"):
        read(field)


def test_flatbuffer_parser_refuses_unknown_fields_unless_lenient() -> None:
    schema = {"Root": SCHEMA["Root"][:2]}
    data = bytes(buffer({0: 3, 5: 1}))
    with pytest.raises(FlawError, match="unknown field"):
        parse(data, schema, "Root", b"TEST")
    assert parse(data, schema, "Root", b"TEST", lenient=True)["number"] == 3


def test_flatbuffer_parser_reads_a_union_according_to_its_type_field() -> None:
    # The leaf follows its vtable of 8 bytes, to which its first field leads back.
    leaf = struct.pack("<4H3i", 8, 12, 4, 8, 8, 1, 99)
    assert read(buffer({5: 1, 6: END - 4 + 8}, leaf))["choice"] == {"flag": 1, "large": 99}
    for kind in (0, 2):
        with pytest.raises(FlawError, match="of an unknown kind"):
            read(buffer({5: kind, 6: END - 4 + 8}, leaf))
    with pytest.raises(FlawError, match="of an unknown kind"):
        read(buffer({5: 1}))


def nested(depth: int) -> bytes:
    """Return a buffer with a chain of tables, each of which is the child of the previous table."""
    vtable = struct.pack(f"<{2 + FIELDS}H", 4 + 2 * FIELDS, 8, 0, 0, 0, 4, 0, 0, 0, 0)
    data = struct.pack("<I4s", 8 + len(vtable), b"TEST") + vtable
    start = len(data)
    for level in range(depth):
        back = start + 8 * level - 8
        data += struct.pack("<iI", back, 4)
    # The last one has no child: its own vtable.
    last = struct.pack("<HH", 4, 4)
    return data + struct.pack("<i", -4) + last


def test_flatbuffer_parser_reads_scalars_of_four_bytes_at_multiples_of_four() -> None:
    schema = {**SCHEMA, "Root": [("ratio", "f=0.5"), *SCHEMA["Root"][1:]]}
    bits = struct.unpack("<i", struct.pack("<f", 1.25))[0]
    assert parse(bytes(buffer({0: bits})), schema, "Root", b"TEST")["ratio"] == 1.25
    assert parse(bytes(buffer({7: 0, 0: bits})), schema, "Root", b"TEST")["ratio"] == 1.25
    assert parse(bytes(buffer({})), schema, "Root", b"TEST")["ratio"] == 0.5


def test_nesting_depth_of_tables_is_limited() -> None:
    parse(nested(tables.MAX_DEPTH), SCHEMA, "Root", b"TEST")
    with pytest.raises(FlawError, match="16 levels deep"):
        parse(nested(tables.MAX_DEPTH + 1), SCHEMA, "Root", b"TEST")


def test_number_of_tables_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLES", 4)
    parse(nested(3), SCHEMA, "Root", b"TEST")
    with pytest.raises(FlawError, match="more than 4 tables"):
        parse(nested(4), SCHEMA, "Root", b"TEST")
