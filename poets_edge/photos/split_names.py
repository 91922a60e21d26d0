"""Names and numbers of the splits: training, validation and test."""

from __future__ import annotations

from typing import Literal, get_args

SplitName = Literal["training", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)
"""Names of the splits; the number of a split is its index."""

NO_SPLIT = -1
"""Split number of a photo that is not in a split folder."""
