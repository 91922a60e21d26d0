"""Tests of translations of a model's labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from poets_edge.device.model_labels import renamed_labels, renaming
from poets_edge.errors import ModelError

MODEL = Path("m.tflite")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ()),
        (("z", "a", "a=b"), ("z", "a", "a=b")),
        (("a=b=c",), ("z", "a", "c")),  # of the label `a=b`, the longest that fits
        (("a=b", "z=y"), ("y", "b", "a=b")),
        (("a=x=y",), ("z", "x=y", "a=b")),
    ],
)
def test_translations_apply_to_the_longest_matching_label(given: tuple[str, ...], names: tuple[str, ...]) -> None:
    own = ("z", "a", "a=b")
    assert renamed_labels(own, given, source="l.txt", model=MODEL) == names
    if names and names != own:
        translations = renaming(own, names)
        assert translations is not None
        assert renamed_labels(own, translations, source="l.txt", model=MODEL) == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("a", "z"), "the labels in another order"), (("z", "b"), "other labels"), (("z=x", "z=y"), "two new names"),
        (("a=z",), "'z' would be the name of two labels"),
    ],
)  # fmt: skip
def test_labels_that_contradict_the_model_are_refused(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        renamed_labels(("z", "a"), given, source="l.txt", model=MODEL)


def test_model_without_labels_gets_the_given_labels() -> None:
    assert renamed_labels((), ("b", "a"), source="l.txt", model=MODEL) == ("b", "a")
    assert renaming((), ("b", "a")) == ("b", "a") and renaming(("a",), ("a",)) is None
