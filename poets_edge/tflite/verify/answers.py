"""Shapes of a network's outputs -> a sentence about a network of another kind than these: one score for each label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def other_answer(shapes: Iterable[Sequence[int]]) -> str:
    """A sentence about a network whose outputs, of these shapes, are not one score for each label; "" for others."""
    for shape in shapes:
        lengths = [str(length) for length in shape if length > 1]
        if len(lengths) > 1:
            return (
                f"no image classifier: it answers with {' x '.join(lengths[:4])} numbers, as networks for segmentation,"
                " poses or detection do, and not with one score for each label."
            )
    return ""
