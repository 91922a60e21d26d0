"""Convert and validate the arguments of library calls.

The `__post_init__` method of an options class calls `check_fields` first. `check_fields` converts each field to the
type that its annotation specifies, for example strings to paths and single values to tuples. If a value cannot be
converted, it raises an error that names the field.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, Union

from poets_edge.errors import UsageError, WrongTypeError

StrPath: TypeAlias = "str | os.PathLike[str]"
"""A path as a string or a path object."""

_LARGEST = (1 << 63) - 1
"""Largest integer that is accepted as an argument: the largest signed 64-bit integer, which is the limit of many
libraries."""
_LONGEST = 60
"""Maximum length of an invalid value in an error message, in characters; longer values are truncated."""


MOST_THREADS = 4096
"""Maximum number of threads for one inference."""


def check_threads(threads: Any) -> None:
    """Raise UsageError or WrongTypeError unless `threads` is a whole number from 1 to 4096."""
    if not hasattr(threads, "__index__") or isinstance(threads, bool):
        raise WrongTypeError(f"`threads` must be a whole number, not {_shown(threads)}.")
    if not 1 <= threads <= MOST_THREADS:
        limit = "1 or more" if threads < 1 else f"at most {MOST_THREADS}"
        raise UsageError(f"`threads` must be {limit}, not {_shown(threads)}.")


def given(**arguments: Any) -> dict[str, Any]:
    """Return the given keyword arguments as a dictionary, without those that are None."""
    return {name: value for name, value in arguments.items() if value is not None}


def check_fields(options: Any, **converters: Callable[[Any], Any]) -> None:
    """Convert and check the fields of a frozen dataclass in place, according to their annotations.

    Args:
        options: a dataclass instance, usually `self` in `__post_init__`.
        converters: mapping from field names to functions that convert the values before the check; for example, the
            function for the field `architecture` converts a name to an `Architecture`.

    Raises:
        WrongTypeError: the value of a field has the wrong type.
        UsageError: the value of a field is not one of its choices, not finite, or too large.
    """
    for name, hint in _hints(options.__class__).items():
        value = getattr(options, name)
        converted = convert(converters[name](value) if name in converters else value, hint, name)
        if converted is not value:
            object.__setattr__(options, name, converted)


def convert(value: Any, hint: Any, name: str) -> Any:
    """Return `value` converted to the type that the annotation `hint` describes.

    Strings and path objects are converted to `Path`, lists and single values to tuples, and integers of types from
    other libraries (such as `numpy.int64`) to `int`.

    Args:
        name: name of the parameter, for error messages.

    Raises:
        WrongTypeError: the value has the wrong type.
        UsageError: the value is not one of the choices in the annotation, not finite, or too large.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, (str, typing.TypeVar)):
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(value, arguments, hint, name)
    if origin is Literal:
        if value not in arguments:
            _check_hashable_text(value, hint, name)
            raise UsageError(f"`{name}` must be {' or '.join(map(repr, arguments))}, not {_shown(value)}.")
        return value
    if origin is tuple:
        return _convert_tuple(value, arguments, hint, name)
    if hint is Path:
        if isinstance(value, (str, os.PathLike)):
            return value if isinstance(value, Path) else Path(value)
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not _is_finite(value):
                raise UsageError(f"`{name}` must be a finite number, not {_shown(value)}.")
            return value
    elif hint is int:
        if hasattr(value, "__index__") and not isinstance(value, bool):
            if not -_LARGEST - 1 <= value <= _LARGEST:
                raise UsageError(f"`{name}` must fit into 64 bits; {_shown(value)} does not.")
            return int(value)
    elif isinstance(value, _class_of(hint, origin)):
        return value
    raise WrongTypeError(f"`{name}` must be {_described(hint)}, not {_shown(value)}.")


def _convert_union(value: Any, members: tuple[Any, ...], hint: Any, name: str) -> Any:
    if value is None and types.NoneType in members:
        return None
    refusals: list[UsageError] = []
    for member in members:
        if member is types.NoneType:
            continue
        try:
            return convert(value, member, name)
        except UsageError as error:
            refusals.append(error)
    values = [error for error in refusals if not isinstance(error, WrongTypeError)]
    raise values[0] if values else WrongTypeError(f"`{name}` must be {_described(hint)}, not {_shown(value)}.")


def _convert_tuple(value: Any, members: tuple[Any, ...], hint: Any, name: str) -> Any:
    if len(members) == 2 and members[1] is Ellipsis:
        values = value if isinstance(value, (list, tuple)) else (value,)
        converted = tuple(convert(one, members[0], name) for one in values)
    elif isinstance(value, (list, tuple)) and len(value) == len(members):
        converted = tuple(convert(one, member, name) for one, member in zip(value, members, strict=True))
    else:
        raise WrongTypeError(f"`{name}` must be {_described(hint)}, not {_shown(value)}.")
    unchanged = isinstance(value, tuple) and all(a is b for a, b in zip(value, converted, strict=True))
    return value if unchanged else converted


def _check_hashable_text(value: Any, hint: Any, name: str) -> None:
    choices = typing.get_args(hint)
    if not isinstance(value, tuple({type(choice) for choice in choices})):
        raise WrongTypeError(f"`{name}` must be {_described(hint)}, not {_shown(value)}.")


def _class_of(hint: Any, origin: Any) -> type:
    found = origin or hint
    return found if isinstance(found, type) else object


def _described(hint: Any) -> str:
    """Return a description of an annotation for error messages, such as "a path" or "a whole number or None"."""
    words = {Path: "a path", int: "a whole number", float: "a number", str: "text", bool: "True or False"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("None" if one is types.NoneType else _described(one) for one in arguments)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple:
        several = len(arguments) == 2 and arguments[1] is Ellipsis
        return f"a tuple, each {_described(arguments[0])}" if several else f"a tuple of {len(arguments)}"
    if origin is not None and issubclass(_class_of(hint, origin), Mapping):
        return "a mapping"
    if _class_of(hint, origin).__name__ == "Callable":
        return "callable"
    return words.get(hint) or f"a `{getattr(hint, '__name__', hint)}`"


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes at most 4300 digits
        text = "a longer number"
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return f"{short} ({type(value).__name__})" if not isinstance(value, (str, int, float, type(None))) else short


@functools.cache
def _hints(options: type) -> dict[str, Any]:
    hints = typing.get_type_hints(options)
    return {field.name: hints[field.name] for field in dataclasses.fields(options) if field.init}
