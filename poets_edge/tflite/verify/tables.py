"""A FlatBuffer parsed into plain values, every offset checked before it is followed.

Bytes and a schema come in; nested dicts, lists, strings and arrays go out. What lies outside the buffer, is not
aligned, nests too deep, is shared so often that it would never end, or uses a field that the schema does not know is a
FlawError. The flatbuffers package for Python has no verifier, and the one in C++ says nothing of what a model means.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

MOST_TABLES = 100_000
"""In one buffer, each counted as often as it is referred to. Inception V3 has some 1,500."""
DEEPEST = 16


class FlawError(ValueError):
    """The fault of a buffer, in words that follow "damaged (" in a message."""


class OtherNetworkError(FlawError):
    """A model may be sound, but is of a kind that is not run here; the message says which, as a sentence."""


@dataclass(frozen=True)
class Union:
    """A table whose kind the field before it tells; `kinds` maps its number to the name of a table.

    Attributes:
        lenient: a table of another kind is skipped, None stands for it.
    """

    kinds: Mapping[int, str]
    lenient: bool = False


SKIPPED = "Skipped"
Kind: TypeAlias = "str | Union"
"""A scalar ("b B i I q Q f ?", with a default after it: "i=1"), "text", a vector of scalars ("[i]"), a table by its
name ("Tensor") or a vector of them ("[Tensor]"); SKIPPED for what nobody here looks at."""
Schema: TypeAlias = "Mapping[str, Sequence[tuple[str, Kind]]]"

_SCALARS = {"b": 1, "B": 1, "?": 1, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4}


def parse(
    data: bytes | memoryview, schema: Schema, root: str, identifier: bytes, *, lenient: bool = False
) -> dict[str, Any]:
    """Parse a whole buffer.

    Args:
        lenient: fields that the schema does not know are skipped, for what no interpreter reads.

    Returns:
        The root table: {field: value}. A missing scalar has its default, a missing text is "", a missing vector is
        empty, a missing table is None. Vectors of numbers are arrays that share the buffer's memory.

    Raises:
        FlawError: it is not a sound FlatBuffer of this schema.
    """
    view = memoryview(data)
    if len(view) < 8 or view[4:8] != identifier:
        raise FlawError("it does not begin as it should")
    return _Parser(view, schema, lenient).table(root, _read(view, "I", 0), 0)


class _Parser:
    def __init__(self, view: memoryview, schema: Schema, lenient: bool) -> None:
        self._view = view
        self._lenient = lenient
        self._schema = schema
        self._left = MOST_TABLES

    def table(self, name: str, start: int, depth: int) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0:
            raise FlawError(f"more than {MOST_TABLES:,} tables")
        if depth > DEEPEST:
            raise FlawError(f"tables more than {DEEPEST} levels deep")
        _aligned(start, 4)
        vtable = start - _read(self._view, "i", start)
        _aligned(vtable, 2)
        length, size = _read(self._view, "H", vtable), _read(self._view, "H", vtable + 2)
        if length < 4 or length % 2 or vtable + length > len(self._view) or start + size > len(self._view):
            raise FlawError(f"a {name} table lies partly outside")
        fields = self._schema[name]
        offsets = struct.unpack_from(f"<{length // 2 - 2}H", self._view, vtable + 4)
        if any(offsets[len(fields) :]) and not self._lenient:
            raise FlawError(f"a {name} table has a field that is not known")
        if any(offset >= size for offset in offsets):
            raise FlawError(f"a field of a {name} table lies outside")
        values: dict[str, Any] = {}
        for index, (field, kind) in enumerate(fields):
            offset = offsets[index] if index < len(offsets) else 0
            values[field] = self._field(values, kind, start + offset if offset else 0, depth)
        return values

    def _field(self, values: dict[str, Any], kind: Kind, place: int, depth: int) -> Any:
        """The value at `place`, or what stands for a missing one where that is 0."""
        if isinstance(kind, Union):
            return self._union(values, kind, place, depth)
        if SKIPPED in kind:
            return None
        if kind[0] in _SCALARS and (len(kind) == 1 or kind[1] == "="):
            return self._scalar(kind, place)
        if kind == "text":
            return self._text(place) if place else ""
        if kind[0] != "[":
            return self.table(kind, self._follow(place), depth + 1) if place else None
        inner = kind[1:-1]
        if inner in _SCALARS:
            return self._numbers(inner, place)
        if not place:
            return []
        first, count = self._vector(place, 4)
        return [self.table(inner, self._follow(first + 4 * index), depth + 1) for index in range(count)]

    def _union(self, values: dict[str, Any], union: Union, place: int, depth: int) -> Any:
        number = next(reversed(values.values()))
        if not number and not place:
            return None
        if union.lenient and number not in union.kinds:
            return None
        if number not in union.kinds or not place:
            raise FlawError(f"options of a kind that is not known ({number})")
        return self.table(union.kinds[number], self._follow(place), depth + 1)

    def _scalar(self, kind: str, place: int) -> Any:
        code, _, default = kind.partition("=")
        if not place:
            return float(default or 0) if code == "f" else int(default or 0)
        _aligned(place, _SCALARS[code])
        return _read(self._view, code, place)

    def _text(self, place: int) -> str:
        first, count = self._vector(place, 1)
        if first + count >= len(self._view) or self._view[first + count] != 0:
            raise FlawError("a text without an end")
        try:
            return str(self._view[first : first + count], "utf-8", "backslashreplace" if self._lenient else "strict")
        except UnicodeDecodeError:  # interpreters raise it for whichever name they are asked
            raise FlawError("a text that is not UTF-8") from None

    def _numbers(self, code: str, place: int) -> Any:
        dtype = np.dtype("<u1" if code == "?" else f"<{code}")
        if not place:
            return np.zeros(0, dtype)
        first, count = self._vector(place, dtype.itemsize)
        return np.frombuffer(self._view, dtype, count, first) if count else np.zeros(0, dtype)

    def _vector(self, place: int, size: int) -> tuple[int, int]:
        """Where the elements begin, and how many there are."""
        start = self._follow(place)
        _aligned(start, 4)
        count, first = _read(self._view, "I", start), start + 4
        _aligned(first if count else 0, size)
        if first + count * size > len(self._view):
            raise FlawError("a vector goes beyond the end")
        return first, count

    def _follow(self, place: int) -> int:
        _aligned(place, 4)
        offset = _read(self._view, "I", place)
        if not 0 < offset < 1 << 31:
            raise FlawError("an offset leads nowhere")
        return place + int(offset)


def _read(view: memoryview, code: str, place: int) -> Any:
    if not 0 <= place <= len(view) - struct.calcsize(f"<{code}"):
        raise FlawError("an offset leads outside")
    return struct.unpack_from(f"<{code}", view, place)[0]


def _aligned(place: int, size: int) -> None:
    if place % size:
        raise FlawError("a value that is not aligned")
