"""Parse JSON strictly, and validate values against a shape.

`check(value, shape)` raises a RecordError with the path of the first invalid field, such as
`results[3].latency_ms.median`. A shape resembles the values that it describes: `{"labels": [str], "test":
Optional({...})}`.

Compiled validators (msgspec, pydantic) have no wheels for 32-bit Raspberry Pis, on which the command `compare` also
runs. Shapes are named tuples rather than dataclasses, because Python creates the class of a named tuple ten times
faster, and every start of the command `label` imports this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from poets_edge.errors import RecordError

_LARGEST_INTEGER = 1 << 64
"""Maximum absolute value of an accepted integer; larger ones could overflow in a division or a conversion to float."""
DEEPEST = 32
"""Maximum nesting depth of JSON values. Deeper nesting could exhaust the stack. The files that poets_edge writes
have up to seven levels."""


class Optional(NamedTuple):
    """Shape of a field that may be missing or null."""

    shape: Shape


class DictOf(NamedTuple):
    """Shape of an object with arbitrary keys, whose values all match one shape."""

    shape: Shape


class OneOf(NamedTuple):
    """Shape that matches any one of several values."""

    values: tuple[Any, ...]


class Check(NamedTuple):
    """Shape of a value that matches another shape and satisfies a predicate.

    Attributes:
        shape: shape of the value, which is checked first.
        expected: description of a valid value, for error messages.
        is_valid: predicate that returns whether a value with this shape is valid.
    """

    shape: Shape
    expected: str
    is_valid: Callable[[Any], bool]


Shape: TypeAlias = "type | list[Any] | tuple[Any, ...] | Mapping[str, Any] | Optional | DictOf | OneOf | Check | None"
"""Description of a JSON value.

A shape is `str`, `bool`, `int`, `float` (finite) or `object` (any value); `[shape]` for a list whose values all match
one shape; `(shape, shape)` for a list of fixed length; or `{key: shape}` for an object with at least the given keys."""

SHARE = Check(float, "a number from 0 to 1", lambda value: 0 <= value <= 1)
COUNT = Check(int, "a whole number from 0 to 2**63 - 1", lambda value: 0 <= value < 1 << 63)  # fits numpy's int64
SHA256 = Check(str, "64 hexadecimal digits", lambda value: len(value) == 64 and set(value) <= set("0123456789abcdef"))


def parse_json(data: bytes | str) -> Any:
    """Parse JSON text and return the value.

    Raises:
        RecordError: the text is not JSON, contains NaN or infinity, or is nested deeper than 32 levels (DEEPEST).
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise RecordError(f"more than {DEEPEST} levels deep") from None
    except ValueError as error:
        raise RecordError(f"not JSON: {error}") from None
    _check_depth(value, DEEPEST)
    return value


def json_bytes(value: Any) -> bytes:
    """Serialize a value as indented JSON with a final line break; the inverse of `parse_json`.

    Lone surrogates, which represent undecodable bytes in file names, are written as JSON escapes.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", errors="backslashreplace")


def check(value: Any, shape: Shape, path: str = "") -> Any:
    """Return `value` if it matches `shape`; otherwise, raise RecordError with the path of the first invalid field."""
    if isinstance(shape, Optional):
        return value if value is None else check(value, shape.shape, path)
    if isinstance(shape, Check):
        check(value, shape.shape, path)
        if not shape.is_valid(value):
            raise _wrong(path, shape.expected, value)
    elif isinstance(shape, OneOf):
        if not any(value == one and type(value) is type(one) for one in shape.values):
            raise _wrong(path, " or ".join(map(repr, shape.values)), value)
    elif isinstance(shape, DictOf):
        for key, inner in _typed(value, dict, path).items():
            check(inner, shape.shape, f"{path}.{key}")
    elif isinstance(shape, Mapping):
        _typed(value, dict, path)
        for key, inner_shape in shape.items():
            if key not in value and not isinstance(inner_shape, Optional):
                raise RecordError(f"{_place(f'{path}.{key}')} is missing")
            check(value.get(key), inner_shape, f"{path}.{key}")
    elif isinstance(shape, tuple):
        if len(_typed(value, list, path)) != len(shape):
            raise _wrong(path, f"a list of {len(shape)}", value)
        for index, (inner, inner_shape) in enumerate(zip(value, shape, strict=True)):
            check(inner, inner_shape, f"{path}[{index}]")
    elif isinstance(shape, list):
        for index, inner in enumerate(_typed(value, list, path)):
            check(inner, shape[0], f"{path}[{index}]")
    elif shape is not None:
        _typed(value, shape, path)
    return value


_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _typed(value: Any, kind: type, path: str) -> Any:
    kinds = (int, float) if kind is float else (kind,)
    fits = isinstance(value, kinds) and (kind in (bool, object) or not isinstance(value, bool))
    if fits and kind in (int, float):
        fits = abs(value) <= _LARGEST_INTEGER if isinstance(value, int) else math.isfinite(value)
    if not fits:
        raise _wrong(path, _NAMES.get(kind, kind.__name__), value)
    return value


def _wrong(path: str, wanted: str, value: Any) -> RecordError:
    shown = repr(value)
    return RecordError(f"{_place(path)} is {shown if len(shown) <= 40 else shown[:37] + '...'}, not {wanted}")


def _place(path: str) -> str:
    return path.removeprefix(".") or "the document"


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, (dict, list)):
        if not left:
            raise RecordError(f"more than {DEEPEST} levels deep")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, left - 1)
