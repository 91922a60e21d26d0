"""Tests of strict JSON parsing, of shapes of JSON values, and of their conversion to dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from poets_edge.core.json_checks import (
    COUNT,
    DEEPEST,
    SHA256,
    SHARE,
    Check,
    DictOf,
    OneOf,
    Optional,
    check,
    json_bytes,
    parse_json,
)
from poets_edge.core.json_objects import from_json, shape_of
from poets_edge.errors import RecordError

_EVEN = Check(int, "an even number", lambda value: value % 2 == 0)


@pytest.mark.parametrize(
    ("shape", "accepted", "refused"),
    [
        (str, ["", "a"], [1, None, ["a"]]),
        (bool, [True, False], [0, 1, "true"]),
        (int, [0, -(1 << 64), 1 << 64], [True, 1.0, "1", None, (1 << 64) + 1, -(1 << 64) - 1]),
        (float, [0, 1.5, -2, 1 << 64], [True, "1", None, (1 << 64) + 1, float("nan"), float("inf")]),
        (object, [None, True, [1], {}], []),
        (dict, [{}, {"a": 1}], [[], "a", None]),
        (SHARE, [0, 1, 0.5, 1.0], [-0.001, 1.001, True, "0.5", 2]),
        (COUNT, [0, (1 << 63) - 1], [-1, 1 << 63, 1.0, True]),
        (SHA256, ["0" * 64, "0123456789abcdef" * 4], ["0" * 63, "0" * 65, "", "A" * 64, "g" * 64, 0]),
        (OneOf((1, "a", None)), [1, "a", None], [1.0, True, "b", 2, [1]]),
        (_EVEN, [0, 2, -4], [1, 2.0, "2", True]),
        ([int], [[], [1, 2]], [(1, 2), [1, "2"], {}, None, 1]),
        ((int, str), [[1, "a"]], [[1], [1, "a", 2], ["a", 1], {}, None]),
        (DictOf(int), [{}, {"a": 1, "b": 2}], [{"a": "1"}, [], None]),
        ({"a": int, "b": Optional(str)}, [{"a": 1}, {"a": 1, "b": None}, {"a": 1, "b": "x", "c": 3}],
         [{}, {"b": "x"}, {"a": None}, {"a": 1, "b": 2}, [], None]),
        (Optional([int]), [None, [1]], [["a"], 1]),
        (None, [1, None, "a"], []),
    ],
)  # fmt: skip
def test_shape_check_accepts_exactly_the_values_that_match_a_shape(
    shape: Any, accepted: list[Any], refused: list[Any]
) -> None:
    for value in accepted:
        assert check(value, shape) is value
    for value in refused:
        with pytest.raises(RecordError):
            check(value, shape)


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        ({"a": [{"b": 1}, {"b": "x"}]}, {"a": [{"b": int}]}, "a[1].b is 'x', not a whole number"),
        ({"a": [1, "x"]}, {"a": (int, int)}, "a[1] is 'x', not a whole number"),
        ({"a": {"k": None}}, {"a": DictOf(bool)}, "a.k is None, not true or false"),
        ({"a": {}}, {"a": {"b": str}}, "a.b is missing"),
        ([1], (int, int), "the document is [1], not a list of 2"),
        (3, OneOf(("x", 4)), "the document is 3, not 'x' or 4"),
        ({"a": 3}, {"a": _EVEN}, "a is 3, not an even number"),
        ("x" * 50, int, "the document is '" + "x" * 36 + "..., not a whole number"),
        ("x" * 38, int, "the document is '" + "x" * 38 + "', not a whole number"),
    ],
)
def test_shape_check_reports_the_path_of_the_first_invalid_field(value: Any, shape: Any, message: str) -> None:
    with pytest.raises(RecordError) as raised:
        check(value, shape)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[-1e400]", "", "{", "'a'", b"\xff"]
)
def test_text_that_is_not_strict_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(RecordError, match="not JSON"):
        parse_json(text)


def test_nesting_depth_of_json_is_limited() -> None:
    for open_, close in (("[", "]"), ('{"a":', "}")):
        inside = "1" if close == "}" else ""
        assert parse_json(open_ * DEEPEST + inside + close * DEEPEST) is not None
        with pytest.raises(RecordError, match="more than 32 levels deep"):
            parse_json(open_ * (DEEPEST + 1) + inside + close * (DEEPEST + 1))


def test_json_bytes_is_the_inverse_of_parse_json() -> None:
    value = {"é": [1, 2.5, None, True, "\n"], "surrogate": "\udce9"}
    data = json_bytes(value)
    assert parse_json(data) == value and data.endswith(b"}\n") and "é".encode() in data
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes(float("nan"))


@dataclass(frozen=True)
class Inner:
    name: str
    size: Annotated[int, COUNT] = 0


@dataclass(frozen=True)
class Outer:
    inner: Inner
    several: tuple[Inner, ...]
    pair: tuple[int, str]
    numbers: tuple[float, ...]
    by_name: dict[str, Inner]
    kind: Literal["a", "b"]
    anything: Any
    maybe: Inner | None = None


FIELDS: dict[str, Any] = {
    "inner": {"name": "x", "size": 3},
    "several": [{"name": "y", "size": 1}, {"name": "z", "size": 2}],
    "pair": [4, "w"],
    "numbers": [1, 2.5],
    "by_name": {"k": {"name": "v", "size": 0}},
    "kind": "b",
    "anything": {"not": ["checked"]},
}


def test_from_json_converts_nested_objects_to_dataclasses() -> None:
    found = from_json(Outer, {**FIELDS, "unknown": 1})
    assert found == Outer(
        inner=Inner("x", 3),
        several=(Inner("y", 1), Inner("z", 2)),
        pair=(4, "w"),
        numbers=(1, 2.5),
        by_name={"k": Inner("v", 0)},
        kind="b",
        anything={"not": ["checked"]},
        maybe=None,
    )
    assert from_json(Outer, {**FIELDS, "maybe": {"name": "m", "size": 9}}).maybe == Inner("m", 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, "kind is 'c', not 'a' or 'b'"),
        ({"inner": {"name": "x", "size": -1}}, "inner.size is -1, not a whole number from 0 to"),
        ({"several": [{"name": 1, "size": 1}]}, r"several[0].name is 1, not text"),
        ({"pair": [4]}, "pair is [4], not a list of 2"),
        ({"by_name": {"k": None}}, "by_name.k is None, not an object"),
        ({"maybe": 3}, "maybe is 3, not an object"),
        ({"inner": {"size": 1}}, "inner.name is missing"),
    ],
)
def test_from_json_reports_invalid_fields(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as raised:
        from_json(Outer, {**FIELDS, **change})
    assert str(raised.value).startswith(message)


def test_shape_of_a_json_field_is_derived_from_its_type_annotation() -> None:
    assert shape_of(int | None) == Optional(int) and shape_of(dict[str, float]) == DictOf(float)
    assert shape_of(tuple[int, ...]) == [int] and shape_of(tuple[int, str]) == (int, str)
    assert shape_of(Inner) == {"name": str, "size": COUNT} and shape_of(Any) is object


@dataclass(frozen=True)
class Range:
    """Two objects in a list of fixed length, and a list of optional objects."""

    ends: tuple[Inner, Inner]
    others: tuple[Inner | None, ...] = ()


def test_from_json_converts_objects_in_lists_of_fixed_length() -> None:
    one, other = {"name": "a", "size": 1}, {"name": "b", "size": 2}
    found = from_json(Range, {"ends": [one, other], "others": [None, one]})
    assert found == Range((Inner("a", 1), Inner("b", 2)), (None, Inner("a", 1)))
