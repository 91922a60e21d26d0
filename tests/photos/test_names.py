"""Tests of class names: Unicode normalization, comparison keys, line breaks and control characters."""

from __future__ import annotations

import os
import unicodedata

import pytest

from poets_edge.errors import DatasetError
from poets_edge.photos.names import check_distinct, class_name, composed, folded, has_controls

CAFE, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_class_name_is_the_folder_name_in_composed_form() -> None:
    assert class_name("Red rose ") == "Red rose " and class_name(DECOMPOSED) == CAFE == composed(DECOMPOSED)


@pytest.mark.parametrize("name", ["a\nb", "a\n", "\ra", "a\u2028", "a\x0bb", "a\x85"])
def test_class_names_with_line_breaks_are_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="contains a line break"):
        class_name(name)


def test_class_names_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(DatasetError, match="is not UTF-8"):
        class_name(os.fsdecode(b"caf\xe9"))


def test_comparison_of_names_ignores_case_normalization_and_surrounding_spaces() -> None:
    assert folded(f"  {DECOMPOSED.upper()}\t") == folded(CAFE) == CAFE
    assert folded("a b") != folded("ab")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("roses", "Roses"), "the classes 'roses' and 'Roses' differ only in case or spaces"),
        (("roses", "daisy", "roses "), "the classes 'roses' and 'roses ' differ only in case or spaces"),
        ((CAFE, DECOMPOSED), "differ only in the encoding of their accents"),
    ],
)
def test_class_names_that_look_alike_are_refused(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=f"^photos: .*{message}"):
        check_distinct(labels, "photos")
    check_distinct(("roses", "roses", "red roses"), "photos")


def test_control_characters_and_line_separators_are_recognized() -> None:
    """Unassigned, private and format characters are not printable either, but they are not control characters."""
    for number in [*range(0x250), *range(0x2000, 0x2070), 0xE000, 0xFEFF, 0x1F33B]:
        expected = unicodedata.category(chr(number)) in ("Cc", "Zl", "Zp")
        assert has_controls(f"a{chr(number)}b") is expected, hex(number)
    assert not has_controls("") and not has_controls(os.fsdecode(b"\xff"))
