"""Tests of the groups of related photos of an evaluation."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from poets_edge.device import dependence
from poets_edge.device.dependence import photo_groups


class Photos:
    """Stand-in for a table of photos, in which a number represents each photo."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: Any) -> Photos:
        return Photos([self.numbers[row] for row in rows])


class Known:
    """Stand-in for the photos of a training run, with the given group numbers."""

    def __init__(self, groups: list[int]) -> None:
        self.numbers = groups

    def groups(self, digests: Any) -> Any:
        assert len(digests) == len(self.numbers)
        return np.array(self.numbers, np.int64)


@pytest.fixture(autouse=True)
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relate photos by name if their numbers end in the same digit, and by time if their tens are equal."""

    def related(key: Any) -> Any:
        return lambda photos: [
            (row, other)
            for row, one in enumerate(photos.numbers)
            for other in range(row + 1, len(photos.numbers))
            if key(one) == key(photos.numbers[other])
        ]

    monkeypatch.setattr(dependence, "name_pairs", related(lambda number: number % 10))
    monkeypatch.setattr(dependence, "burst_pairs", related(lambda number: number // 10))


def groups(numbers: list[int], known: list[int] | None = None, contents: list[int] | None = None) -> list[int] | None:
    digests = np.zeros((len(numbers), 32), np.uint8)
    digests[:, 0] = contents or range(len(numbers))
    found = photo_groups(cast(Any, Photos(numbers)), digests, cast(Any, Known(known)) if known else None)
    return None if found is None else list(np.unique(found, return_inverse=True)[1].reshape(-1))


def partition(numbers: list[int] | None) -> list[list[int]]:
    assert numbers is not None
    return sorted([row for row, one in enumerate(numbers) if one == number] for number in set(numbers))


def test_photos_are_grouped_by_content_name_and_time() -> None:
    assert partition(groups([11, 21, 31 + 1, 33, 45, 56])) == [[0, 1], [2, 3], [4], [5]]
    assert partition(groups([11, 22, 33], contents=[5, 6, 5])) == [[0, 2], [1]]
    assert groups([11, 22, 33]) is None, "every photo is alone"


def test_test_photos_keep_their_groups_from_training() -> None:
    # The photos 1 and 3 have recorded groups 2 and 1: their names do not count, and the others are not joined to them.
    assert partition(groups([12, 11, 22, 21, 31], [-1, 2, -1, 1, -1])) == [[0, 2], [1], [3], [4]]
    assert partition(groups([12, 11, 23, 21, 34], [-1, 4, -1, 4, -1])) == [[0], [1, 3], [2], [4]]
    assert groups([12, 11, 23], [2, 1, 0]) is None


def test_groups_specified_by_the_user_replace_detected_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependence, "stated_groups", lambda photos, text: (len(photos), text))
    assert photo_groups(cast(Any, Photos([11, 21])), cast(Any, None), None, "folder") == (2, "folder")
