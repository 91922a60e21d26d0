"""Use the shapes of the outputs to recognize networks that are not classifiers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def other_answer(shapes: Iterable[Sequence[int]]) -> str:
    """Return a sentence that describes the output of a network that is not a classifier; "" for a classifier.

    Args:
        shapes: dimensions of each output of the network.
    """
    for shape in shapes:
        lengths = [str(length) for length in shape if length > 1]
        if len(lengths) > 1:
            return (
                f"not an image classifier: its output has {' x '.join(lengths[:4])} values, as in networks for"
                " segmentation, poses or detection, instead of one score for each label."
            )
    return ""
