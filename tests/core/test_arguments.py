"""Tests of the conversion and validation of arguments of library calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from poets_edge.bench.sustained import SustainedOptions
from poets_edge.core.arguments import check_fields, check_threads, convert
from poets_edge.errors import UsageError, WrongTypeError
from tests.needs import need_module


@dataclass(frozen=True, kw_only=True)
class Options:
    folder: Path
    names: tuple[str, ...] = ()
    share: float = 0.5
    count: int | None = None
    mode: Literal["fast", "exact"] = "fast"
    quiet: bool = False

    def __post_init__(self) -> None:
        check_fields(self, mode=lambda mode: mode.lower() if isinstance(mode, str) else mode)


class _Located(os.PathLike[str]):
    def __fspath__(self) -> str:
        return "here"


@pytest.mark.parametrize("folder", ["here", Path("here"), _Located()])
def test_strings_in_path_fields_are_converted_to_paths(folder: Any) -> None:
    assert Options(folder=folder).folder == Path("here")


def test_single_values_and_lists_in_tuple_fields_are_converted_to_tuples() -> None:
    assert Options(folder=Path(), names="one").names == ("one",)  # type: ignore[arg-type]
    assert Options(folder=Path(), names=["one", "two"]).names == ("one", "two")  # type: ignore[arg-type]


def test_field_values_are_converted_before_they_are_checked() -> None:
    assert Options(folder=Path(), mode="EXACT").mode == "exact"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("folder", 3),
        ("folder", None),
        ("folder", b"here"),
        ("names", (1,)),
        ("share", "0.5"),
        ("share", True),
        ("count", 1.5),
        ("count", True),
        ("mode", 3),
        ("quiet", 1),
    ],
)
def test_error_names_the_field_that_has_a_wrong_type(field: str, value: Any) -> None:
    with pytest.raises(WrongTypeError, match=f"`{field}`") as caught:
        Options(**{"folder": Path(), field: value})
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "slow"),
        ("share", float("nan")),
        ("share", float("inf")),
        pytest.param("share", 10**400, id="share-401 digits"),
        ("count", 1 << 63),
        ("count", -(1 << 63) - 1),
        pytest.param("count", 10**5000, id="count-5001 digits"),
    ],
)
def test_field_values_out_of_range_are_rejected(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"`{field}`") as caught:
        Options(**{"folder": Path(), field: value})
    assert not isinstance(caught.value, TypeError)


def test_conversion_returns_values_of_the_correct_type_unchanged() -> None:
    names, path = ("one",), Path("here")
    assert convert(names, tuple[str, ...], "names") is names
    assert convert(path, Path | None, "path") is path
    assert convert(len, Callable[[Any], int], "function") is len
    with pytest.raises(WrongTypeError):
        convert(3, Callable[[Any], int], "function")


def test_conversion_accepts_numpy_integers() -> None:
    numpy = need_module("numpy")
    assert type(convert(numpy.int64(3), int, "count")) is int


@pytest.mark.parametrize("threads", [0, -1, 4097, 10**20, pytest.param(10**5000, id="5001 digits")])
def test_thread_counts_out_of_range_are_rejected(threads: int) -> None:
    with pytest.raises(UsageError, match="`threads` must be"):
        check_threads(threads)
    with pytest.raises(UsageError, match="`threads` must"):
        SustainedOptions(models=(Path("model.tflite"),), seconds=1, threads=threads)


@pytest.mark.parametrize("threads", [1.0, "1", None, True])
def test_thread_counts_that_are_not_integers_are_rejected(threads: Any) -> None:
    with pytest.raises(WrongTypeError, match="`threads` must be a whole number"):
        check_threads(threads)


def test_conversion_accepts_signed_64_bit_integers() -> None:
    assert convert(-(2**63), int, "seed") == -(2**63) and convert(2**63 - 1, int, "seed") == 2**63 - 1
    for value in (-(2**63) - 1, 2**63):
        with pytest.raises(UsageError, match="64 bits"):
            convert(value, int, "seed")


def test_thread_counts_from_1_to_4096_are_accepted() -> None:
    for threads in (1, 4096):
        check_threads(threads)
        assert SustainedOptions(models=(Path("model.tflite"),), seconds=1, threads=threads).threads == threads


def test_error_for_a_union_type_reports_the_value_rather_than_the_type() -> None:
    """The value has the type of the second member, so its limits are reported; the first member's type is not."""
    with pytest.raises(UsageError, match="`seed` must be a finite number, not nan") as caught:
        convert(float("nan"), int | float | None, "seed")
    assert not isinstance(caught.value, WrongTypeError)
    with pytest.raises(WrongTypeError, match="`seed` must be a whole number or a number or None, not 'x'"):
        convert("x", int | float | None, "seed")
    assert convert(None, int | float | None, "seed") is None


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (str, ["x" * 100], f"must be text, not ['{'x' * 55}... (list)."),
        (str, b"x" * 57, f"must be text, not b'{'x' * 57}' (bytes)."),
        (tuple[int, str], (1,), "must be a tuple of 2, not (1,) (tuple)."),
        (tuple[int, ...], ["a"], "must be a whole number, not 'a'."),
        (dict[str, int], 3, "must be a mapping, not 3."),
        (Literal["a", "b"], "c", "must be 'a' or 'b', not 'c'."),
        (Literal["a", "b"], 3, "must be 'a' or 'b', not 3."),
        (bool, 1, "must be True or False, not 1."),
        (Path, 1.5, "must be a path, not 1.5."),
        (Options, None, "must be a `Options`, not None."),
    ],
)
def test_conversion_errors_describe_the_expected_type_and_the_value(hint: Any, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert(value, hint, "it")
    assert str(caught.value) == f"`it` {message}"


def test_conversion_applies_to_each_item_of_a_tuple_of_fixed_length() -> None:
    assert convert(["a", "b"], tuple[Path, str], "it") == (Path("a"), "b")
    assert convert(("a",), tuple[Path, ...], "it") == (Path("a"),)


def test_conversion_accepts_none_only_if_the_annotation_contains_it() -> None:
    assert convert(None, int | str | None, "seed") is None and convert(None, Path | None, "seed") is None
    for hint in (int | str, int, Path, tuple[int, ...], Literal["a"]):
        with pytest.raises(WrongTypeError, match=r"`seed` must be .*, not None"):
            convert(None, hint, "seed")


def test_conversion_distinguishes_fixed_length_tuples_from_variable_length_tuples() -> None:
    assert convert([1, 2], tuple[int, int], "size") == (1, 2) and convert([1, 2, 3], tuple[int, ...], "size") == (
        1,
        2,
        3,
    )
    for hint, described in ((tuple[int, int], "a tuple of 2"), (tuple[int, ...], "a tuple, each a whole number")):
        with pytest.raises(WrongTypeError, match=f"`size` must be {described} or None, not "):
            convert({}, hint | None, "size")
    with pytest.raises(WrongTypeError, match="`size` must be a tuple of 2, not"):
        convert([1, 2, 3], tuple[int, int], "size")
