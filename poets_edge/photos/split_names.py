"""Names and numbers of the splits (training, validation and test), and the usual names of their folders."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, get_args

SplitName = Literal["training", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)
"""Names of the splits; the number of a split is its index."""

NO_SPLIT = -1
"""Split number of a photo that is not in a split folder."""

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Mapping from the usual names of split folders, in lower case and without words such as `set`, to splits."""
FILLERS = frozenset(
    {
        *("set", "data", "dataset", "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures"),
        *("pic", "pics", "jpg", "jpeg", "png", "seg", "split"),
    }
)
"""Words that may occur in the name of a split folder, or be the name of the only folder inside one."""
_ENDING = re.compile(r"(?:set|data|images|imgs|photos)$")
_UNLABELED = frozenset(
    {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "infer", "inference", "submission"}
)
"""Words that, in the name of a folder, show that the classes of its photos are unknown."""


def split_of(name: str, ignored: Collection[str] = ()) -> SplitName | None:
    """Return the split that a folder name such as `train` or `test_set` denotes; None for any other name.

    Args:
        ignored: lower-case words to ignore in the name, such as those that occur in the names of all sibling folders.
    """
    meant = [word for word in words(name) if word not in FILLERS and word not in ignored]
    return SPLIT_WORDS.get(_ENDING.sub("", meant[0]), SPLIT_WORDS.get(meant[0])) if len(meant) == 1 else None


def is_unlabeled(name: str) -> bool:
    """Return whether a folder name, such as `predictions`, shows that the classes of the photos are unknown."""
    return not _UNLABELED.isdisjoint(words(name))


def words(name: str) -> list[str]:
    """Return the words in a name, in lower case and without digits: ["train", "set"] for `trainSet_2017`."""
    return [word.lower() for word in parts(name)]


def parts(name: str) -> list[str]:
    """Return the words in a name, as spelled there and without digits: ["train", "Set"] for `trainSet_2017`."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_\d]+", parted) if word]
