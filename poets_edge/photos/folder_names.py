"""Recognize folders of photos whose names do not denote classes, such as `train` or `masks`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from poets_edge.photos.names import folded
from poets_edge.photos.split_names import FILLERS, SPLIT_WORDS, SplitName, is_unlabeled, parts, split_of, words

_CONTENTS = FILLERS | {"masks", "labels", "annotations", "trimaps", "gt", "groundtruth", "jpegimages", "segmentation"}
"""Words in the name of a folder that describe the kind of its files rather than their class, such as "masks"."""
_COPY = re.compile(r"(?i)[\s_-]+(\(\d+\)|copy(\s\(\d+\))?|aug(mented)?|augmentations?|resized|cropped|backup)$")
"""Pattern for endings of folder names that indicate copies or variants of other photos."""
_FOLDERS: dict[SplitName, str] = {"training": "train", "validation": "val", "test": "test"}


def is_no_class(name: str) -> bool:
    """Return whether a folder name denotes something other than a class.

    This may be a split (`train`), photos of unknown classes (`predictions`), or a kind of file (`masks`).
    """
    contents = set(words(name)) - {"class", "object"}  # of `SegmentationClass`; the name `class 1` is usual for a class
    return bool(split_of(name)) or is_unlabeled(name) or (bool(contents) and contents <= _CONTENTS)


def unusual_classes(labels: Collection[str]) -> dict[str, str]:
    """Map each label that does not look like the name of a class to the reason.

    A reason is the predicate of a sentence about the label, such as "is named like a split of roses".
    """
    known = {folded(label) for label in labels}
    found = {label: _split_and_class(label) for label in labels}
    splits = Counter(part[1] for part in set(found.values()) if part)
    reasons = {}
    for label in labels:
        original = _COPY.sub("", label)
        if is_no_class(label):
            reasons[label] = "is named like photos without a class"
        elif original != label and folded(original) in known:
            reasons[label] = f"is named like a copy of {original}"
        elif (part := found[label]) and splits[part[1]] > 1:
            reasons[label] = f"is named like a split of {part[1]}"
    return reasons


def folders_for_splits(names: Sequence[str]) -> dict[str, str]:
    """Map folder names that combine a split and a class, such as `trainA`, to paths, such as `train/A`.

    The result is empty unless every name combines a split and a class, there are at least two classes, and at least one
    class has several splits. This excludes class names that merely begin like a split, such as `test tube` and
    `train station`.
    """
    found = {name: part for name in names if (part := _split_and_class(name))}
    classes = {label for _, label in found.values()}
    if len(found) < len(names) or not 1 < len(classes) < len(set(found.values())):
        return {}
    return {name: f"{_FOLDERS[split]}/{label}" for name, (split, label) in found.items()}


def _split_and_class(name: str) -> tuple[SplitName, str] | None:
    splits = [word for word in words(name) if word in SPLIT_WORDS]
    others = [word for word in parts(name) if word.lower() not in FILLERS and word.lower() not in SPLIT_WORDS]
    return (SPLIT_WORDS[splits[0]], " ".join(others)) if len(splits) == 1 and others else None
