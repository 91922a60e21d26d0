"""Convert JSON values to frozen dataclasses, and validate them against the annotations of the fields."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union

from poets_edge.core.json_checks import Check, DictOf, OneOf, Optional, Shape, check

T = TypeVar("T")


def from_json(kind: type[T], value: Any) -> T:
    """Return an instance of the dataclass `kind` from a JSON object; keys without a corresponding field are ignored.

    Annotations may be `str`, `int`, `float`, `bool`, `X | None`, `tuple[X, ...]`, `tuple[X, Y]`, `dict[str, X]`,
    `Literal`, `Any`, another dataclass, or `Annotated[X, Check(...)]` for a value with limits.

    Raises:
        RecordError: a field is missing or invalid; the message contains its path.
    """
    check(value, shape_of(kind))
    made: T = _made(kind, value)
    return made


def shape_of(hint: Any) -> Shape:
    """Return the shape (see `poets_edge.core.json_checks.check`) of JSON values that match a type annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return {name: shape_of(one) for name, one in _hints(hint).items()}
    if origin is Annotated:
        limits: Shape = next(one for one in arguments[1:] if isinstance(one, Check))
        return limits
    if origin in (Union, types.UnionType):
        [inner] = [one for one in arguments if one is not types.NoneType]
        return Optional(shape_of(inner))
    if origin is Literal:
        return OneOf(arguments)
    if origin is tuple:
        if arguments[1:] == (Ellipsis,):
            return [shape_of(arguments[0])]
        return tuple(map(shape_of, arguments))
    if origin is dict:
        return DictOf(shape_of(arguments[1]))
    return object if hint is Any else hint


def _made(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if value is None or hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint(**{name: _made(one, value.get(name)) for name, one in _hints(hint).items()})
    if origin is Annotated:
        return _made(arguments[0], value)
    if origin in (Union, types.UnionType):
        return _made(next(one for one in arguments if one is not types.NoneType), value)
    if origin is tuple:
        if arguments[1:] == (Ellipsis,):
            plain = arguments[0] in (str, int, float, bool)
            return tuple(value) if plain else tuple(_made(arguments[0], one) for one in value)
        return tuple(_made(one, inner) for one, inner in zip(arguments, value, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return {key: _made(arguments[1], inner) for key, inner in value.items()}
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
