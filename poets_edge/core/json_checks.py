"""Notes and records in JSON, ours or somebody else's: parsed strictly, and checked against what they must hold.

Bytes come in, plain Python values that can be relied on go out; a RecordError names the first wrong field by its path
(`results[3].latency_ms.median`). Shapes are written as they look: `{"labels": [str], "test": Maybe({...})}`. It is our
own because compiled validators (msgspec, pydantic) have no wheels for a 32-bit Raspberry Pi, where `compare` runs too.
Its parts are named tuples, which are made in a tenth of the time of dataclasses: every `label` makes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from poets_edge.errors import RecordError

DEEPEST = 32
"""Levels of nesting; ours have seven. Deeper ones could exhaust the parser's stack."""


class Maybe(NamedTuple):
    """A field that may be missing or null."""

    shape: Shape


class Each(NamedTuple):
    """An object of any keys, each with a value of this shape."""

    shape: Shape


class OneOf(NamedTuple):
    """One of these values."""

    values: tuple[Any, ...]


class Such(NamedTuple):
    """A value of a shape for which `holds` is true; `what` says what that is."""

    shape: Shape
    what: str
    holds: Callable[[Any], bool]


Shape: TypeAlias = "type | list[Any] | tuple[Any, ...] | Mapping[str, Any] | Maybe | Each | OneOf | Such | None"
"""str, bool, int or float (finite); object for anything; [shape] a list of them; (shape, shape) a list of just these;
{key: shape} an object with these keys, and any others."""

SHARE = Such(float, "a number from 0 to 1", lambda value: 0 <= value <= 1)
COUNT = Such(int, "a whole number, 0 or more", lambda value: value >= 0)
PERCENT = Such(int, "a whole number from 0 to 100", lambda value: 0 <= value <= 100)
SHA256 = Such(str, "64 hexadecimal digits", lambda value: len(value) == 64 and set(value) <= set("0123456789abcdef"))
PERCENTAGES = Such(
    {"testing": PERCENT, "validation": PERCENT},
    "shares that leave something to train on",
    lambda shares: shares["testing"] + shares["validation"] < 100,
)
JUDGED = Maybe(
    {
        "photos": COUNT,
        "correct": COUNT,
        "accuracy": Maybe(SHARE),
        "interval95": (Maybe(SHARE), Maybe(SHARE)),
        "cross_entropy": Maybe(float),
        "confusion": [[COUNT]],
    }
)
"""The fields that `Evaluation.to_json` writes."""

_INSIDE = Such(
    str,
    "the relative path of a photo",
    lambda name: bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\0" not in name,
)
_TRAINING = {
    "graph_sha256": SHA256,
    "architecture": str,
    "weights": {"file": str, "sha256": SHA256},
    "image_dir": str,
    "percentages": PERCENTAGES,
    "labels": [str],
    "classes": Each({"training": COUNT, "validation": COUNT, "test": COUNT}),
    "sets": Maybe({"training": [_INSIDE], "validation": [_INSIDE], "test": [_INSIDE]}),
    "photos": Maybe(Each(SHA256)),
    "photos_sketch": Maybe([int]),
    "set_folders": Maybe(bool),
    "exclude": Maybe({"belongs_to": Maybe(Each(str))}),
    "final_tensor_name": Maybe(str),
    "head": dict,
    "distortions": Maybe(dict),
    "versions": Each(str),
    "test": JUDGED,
}
_FACTS = {
    "sha256": Maybe(SHA256),
    "quantization": Maybe(str),
    "percentages": Maybe(PERCENTAGES),
    "training": Maybe(
        {
            "architecture": Maybe(str),
            "weights": Maybe({"file": Maybe(str), "sha256": Maybe(SHA256)}),
            "classes": Maybe(Each(Each(COUNT))),
            "versions": Maybe(Each(str)),
            "graph_sha256": Maybe(SHA256),
            "photos_sketch": Maybe([int]),
        }
    ),
    "test": JUDGED,
    "agreement_with_float": Maybe(SHARE),
    "exported_with": Maybe(Each(str)),
}


_POSITIVE = Such(float, "a positive number", lambda value: value > 0)
_BENCHMARK = {
    "format": str,
    "warnings": [str],
    "machine": {
        "interpreter": str,
        "interpreter_version": str,
        "board": Maybe(str),
        "cpu": Maybe(str),
        "architecture": Maybe(str),
        "cores": Maybe(int),
        "host": Maybe(str),
    },
    "results": [
        {
            "name": str,
            "threads": int,
            "latency_ms": {"median": _POSITIVE},
            "rounds_differ": float,
            "size": COUNT,
            "architecture": Maybe(str),
            "quantization": Maybe(str),
            "accuracy": Maybe({"accuracy": Maybe(SHARE)}),
            "rounds": Maybe([{"samples_ms": Maybe([_POSITIVE])}]),
        }
    ],
}


_MILLISECONDS = Maybe([_POSITIVE])
_ROUND = {
    "load_ms": float,
    "first_ms": float,
    "steady": bool,
    "samples_ms": Such([_POSITIVE], "at least one time", bool),
    "decode_ms": _MILLISECONDS,
    "resize_ms": _MILLISECONDS,
    "inference_ms": _MILLISECONDS,
    "peak_memory_mb": Maybe(float),
    "accelerated": bool,
    "state": {"throttled": Maybe([str]), "temperature_c": Maybe(float)},
}


def parse_json(data: bytes | str) -> Any:
    """JSON text -> values: no NaN, no infinity, not deeper than DEEPEST. Raises RecordError."""
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
    """Values -> JSON text, indented, with a line end; the other way round than `parse_json`.

    File names that are not UTF-8 are escaped as JSON escapes, and come back as they were.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", errors="backslashreplace")


def training_record(value: Any) -> dict[str, Any]:
    """Check the record that `train` writes beside a graph. Raises RecordError."""
    return _object(check(value, _TRAINING))


def benchmark_results(value: Any) -> dict[str, Any]:
    """Check what `benchmark` writes about one device. Raises RecordError."""
    return _object(check(value, _BENCHMARK))


def measured_round(value: Any) -> dict[str, Any]:
    """Check what one process has measured of one model. Raises RecordError."""
    return _object(check(value, _ROUND))


def model_facts(value: Any) -> dict[str, Any]:
    """Check the facts that `export` writes into a model. Raises RecordError."""
    return _object(check(value, _FACTS))


def check(value: Any, shape: Shape, path: str = "") -> Any:
    """Give a value back if it has a shape. Raises RecordError."""
    if isinstance(shape, Maybe):
        return value if value is None else check(value, shape.shape, path)
    if isinstance(shape, Such):
        check(value, shape.shape, path)
        if not shape.holds(value):
            raise _wrong(path, shape.what, value)
    elif isinstance(shape, OneOf):
        if not any(value == one and type(value) is type(one) for one in shape.values):
            raise _wrong(path, " or ".join(map(repr, shape.values)), value)
    elif isinstance(shape, Each):
        for key, inner in _typed(value, dict, path).items():
            check(inner, shape.shape, f"{path}.{key}")
    elif isinstance(shape, Mapping):
        _typed(value, dict, path)
        for key, inner_shape in shape.items():
            if key not in value and not isinstance(inner_shape, Maybe):
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
    if not fits or (kind is float and not math.isfinite(value)):
        raise _wrong(path, _NAMES.get(kind, kind.__name__), value)
    return value


def _object(value: Any) -> dict[str, Any]:
    return dict(_typed(value, dict, ""))


def _wrong(path: str, wanted: str, value: Any) -> RecordError:
    shown = repr(value)
    return RecordError(f"{_place(path)} is {shown if len(shown) <= 40 else shown[:37] + '...'}, not {wanted}")


def _place(path: str) -> str:
    return path.removeprefix(".") or "the whole"


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


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
