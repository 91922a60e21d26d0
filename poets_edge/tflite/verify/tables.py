"""Parser of FlatBuffers that checks every offset before following it.

The parser converts bytes to nested dicts, lists, strings and arrays according to a schema. FlawError is raised for
offsets that lead out of the buffer, values that are not aligned, tables that are nested too deeply or shared too often,
and fields that the schema lacks. The flatbuffers package for Python has no verifier, and the one for C++ does not check
the meaning of a model.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

MAX_TABLES = 100_000
"""Maximum number of tables in a buffer; each reference to a table counts. Inception V3 has about 1,500."""
MAX_DEPTH = 16


class FlawError(ValueError):
    """Raised for a faulty model. The message is a phrase that `verify` puts in parentheses in its error message."""


class OtherNetworkError(FlawError):
    """Raised for a network other than an image classifier. The message is a sentence that describes the network."""


class UnsupportedError(OtherNetworkError):
    """Raised for a valid model with a feature that is not supported. The message names the feature and gives advice."""


@dataclass(frozen=True)
class Union:
    """Field type for a table whose own type is given by the value of the previous field.

    Attributes:
        kinds: names of table types, by the value of the previous field.
        lenient: whether to read a table as None, instead of raising FlawError, if `kinds` lacks its type.
    """

    kinds: Mapping[int, str]
    lenient: bool = False


SKIPPED = "Skipped"
Kind: TypeAlias = "str | Union"
"""Type of a field: a scalar (one of the letters bBiIqQf?, optionally with a default value, as in "i=1"), "text", a
vector of scalars ("[i]"), a table ("Tensor") or a vector of tables ("[Tensor]"); SKIPPED for a field that is not
needed."""
Schema: TypeAlias = "Mapping[str, Sequence[tuple[str, Kind]]]"

_SCALARS = {"b": 1, "B": 1, "?": 1, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4}


def parse(
    data: bytes | memoryview, schema: Schema, root: str, identifier: bytes, *, lenient: bool = False
) -> dict[str, Any]:
    """Parse a FlatBuffer.

    Args:
        root: name of the root table in the schema.
        identifier: file identifier, 4 bytes.
        lenient: whether to skip fields that the schema lacks, for buffers that interpreters do not read.

    Returns:
        The root table, {field: value}. A missing scalar has its default value, a missing text is "", a missing vector
        is empty, and a missing table is None. Vectors of numbers are arrays that share the buffer's memory.

    Raises:
        FlawError: the buffer is not a valid FlatBuffer of this schema.
    """
    view = memoryview(data)
    if len(view) < 8 or view[4:8] != identifier:
        raise FlawError("it has an invalid header")
    return _Parser(view, schema, lenient).table(root, _read(view, "I", 0), 0)


class _Parser:
    def __init__(self, view: memoryview, schema: Schema, lenient: bool) -> None:
        self._view = view
        self._lenient = lenient
        self._schema = schema
        self._left = MAX_TABLES

    def table(self, name: str, start: int, depth: int) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0:
            raise FlawError(f"more than {MAX_TABLES:,} tables")
        if depth > MAX_DEPTH:
            raise FlawError(f"tables more than {MAX_DEPTH} levels deep")
        _aligned(start, 4)
        vtable = start - _read(self._view, "i", start)
        _aligned(vtable, 2)
        length, size = _read(self._view, "H", vtable), _read(self._view, "H", vtable + 2)
        if length < 4 or length % 2 or vtable + length > len(self._view) or start + size > len(self._view):
            raise FlawError(f"a {name} table is partly outside the buffer")
        fields = self._schema[name]
        offsets = struct.unpack_from(f"<{length // 2 - 2}H", self._view, vtable + 4)
        if any(offsets[len(fields) :]) and not self._lenient:
            raise FlawError(f"a {name} table has an unknown field")
        if any(offset >= size for offset in offsets):
            raise FlawError(f"a field of a {name} table is outside the buffer")
        values: dict[str, Any] = {}
        for index, (field, kind) in enumerate(fields):
            offset = offsets[index] if index < len(offsets) else 0
            values[field] = self._field(values, kind, start + offset if offset else 0, depth)
        return values

    def _field(self, values: dict[str, Any], kind: Kind, position: int, depth: int) -> Any:
        """Return the value of a field at a position in the buffer, or its default value if the position is 0."""
        if isinstance(kind, Union):
            return self._union(values, kind, position, depth)
        if SKIPPED in kind:
            return None
        if kind[0] in _SCALARS and (len(kind) == 1 or kind[1] == "="):
            return self._scalar(kind, position)
        if kind == "text":
            return self._text(position) if position else ""
        if kind[0] != "[":
            return self.table(kind, self._follow(position), depth + 1) if position else None
        inner = kind[1:-1]
        if inner in _SCALARS:
            return self._numbers(inner, position)
        if not position:
            return []
        first, count = self._vector(position, 4)
        return [self.table(inner, self._follow(first + 4 * index), depth + 1) for index in range(count)]

    def _union(self, values: dict[str, Any], union: Union, position: int, depth: int) -> Any:
        number = next(reversed(values.values()))
        if not number and not position:
            return None
        if union.lenient and number not in union.kinds:
            return None
        if number not in union.kinds or not position:
            raise FlawError(f"options of an unknown kind ({number})")
        return self.table(union.kinds[number], self._follow(position), depth + 1)

    def _scalar(self, kind: str, position: int) -> Any:
        code, _, default = kind.partition("=")
        if not position:
            return float(default or 0) if code == "f" else int(default or 0)
        _aligned(position, _SCALARS[code])
        return _read(self._view, code, position)

    def _text(self, position: int) -> str:
        first, count = self._vector(position, 1)
        if first + count >= len(self._view) or self._view[first + count] != 0:
            raise FlawError("a text without a final zero byte")
        try:
            return str(self._view[first : first + count], "utf-8", "backslashreplace" if self._lenient else "strict")
        except UnicodeDecodeError:  # interpreters raise it when the name is requested
            raise FlawError("a text that is not UTF-8") from None

    def _numbers(self, code: str, position: int) -> Any:
        dtype = np.dtype("<u1" if code == "?" else f"<{code}")
        if not position:
            return np.zeros(0, dtype)
        first, count = self._vector(position, dtype.itemsize)
        return np.frombuffer(self._view, dtype, count, first) if count else np.zeros(0, dtype)

    def _vector(self, position: int, size: int) -> tuple[int, int]:
        """Follow the offset of a vector; return the position of its first element, and the number of its elements."""
        start = self._follow(position)
        _aligned(start, 4)
        count, first = _read(self._view, "I", start), start + 4
        _aligned(first if count else 0, size)
        if first + count * size > len(self._view):
            raise FlawError("a vector goes beyond the end")
        return first, count

    def _follow(self, position: int) -> int:
        _aligned(position, 4)
        offset = _read(self._view, "I", position)
        if not 0 < offset < 1 << 31:
            raise FlawError("an invalid offset")
        return position + int(offset)


def _read(view: memoryview, code: str, position: int) -> Any:
    if not 0 <= position <= len(view) - struct.calcsize(f"<{code}"):
        raise FlawError("an offset outside the buffer")
    return struct.unpack_from(f"<{code}", view, position)[0]


def _aligned(position: int, size: int) -> None:
    if position % size:
        raise FlawError("a value that is not aligned")
