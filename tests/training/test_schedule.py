"""Tests of the order of photos and views in fine-tuning, and of the limits of its options."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.errors import UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo
from poets_edge.training.bottlenecks import HashedPhoto
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.schedule import Schedule

VIEWS, WHOLE = ("a", "b", "c"), ("w", "x")


def schedule(classes: list[int], batch_size: int = 4, seed: int = 1) -> Schedule:
    photos = [HashedPhoto(Photo(Path(f"{n}.jpg"), f"{n}.jpg", "x"), bytes([n] * 32)) for n in range(len(classes))]
    return Schedule(
        photos=photos,
        classes=np.array(classes),
        views=VIEWS,
        whole=WHOLE,
        whole_from=5,
        batch_size=batch_size,
        seed=seed,
    )


def shown(order: Schedule, number: int) -> list[tuple[str, str, int]]:
    """Return (photo, view, class) for each photo shown in an epoch, in order."""
    return [
        (view.photo.photo.name, view.name, int(number))
        for views, numbers in order.epoch(number)
        for view, number in zip(views, numbers, strict=True)
    ]


@pytest.mark.parametrize(("photos", "batch_size", "steps", "batch"), [(9, 4, 2, 4), (8, 4, 2, 4), (3, 4, 1, 3)])
def test_schedule_divides_an_epoch_into_full_batches(photos: int, batch_size: int, steps: int, batch: int) -> None:
    order = schedule([number % 2 for number in range(photos)], batch_size)
    assert (order.steps, order.batch) == (steps, batch)
    assert [len(views) for views, _ in order.epoch(0)] == [batch] * steps


@given(st.lists(st.integers(0, 3), min_size=4, max_size=30), st.integers(0, 9))
def test_epoch_shows_all_classes_equally_often(classes: list[int], number: int) -> None:
    order = schedule(classes)
    epoch = shown(order, number)
    counts = Counter(which for _, _, which in epoch)
    present = set(classes)
    assert set(counts) == present or len(epoch) < len(present)
    assert max(counts.values()) - min(counts.get(which, 0) for which in present) <= 1
    for name, _, which in epoch:
        assert classes[int(name.removesuffix(".jpg"))] == which
    per_photo = Counter(name for name, _, _ in epoch)
    for which in present:
        of_class = [per_photo.get(f"{n}.jpg", 0) for n, one in enumerate(classes) if one == which]
        assert max(of_class) - min(of_class) <= 1, "photos of a class take turns"


def test_order_of_an_epoch_is_determined_by_seed_and_epoch_number() -> None:
    classes = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    order = schedule(classes)
    assert shown(order, 2) == shown(schedule(classes), 2)
    assert shown(order, 2) != shown(order, 3)
    assert shown(order, 2) != shown(schedule(classes, seed=2), 2)


def test_distorted_views_of_a_photo_alternate_between_epochs() -> None:
    """Every photo is shown once per epoch, beginning with a random view."""
    order = schedule([0, 0, 0, 0, 1, 1, 1, 1])
    by_epoch = [{name: view for name, view, _ in shown(order, number)} for number in range(5)]
    for name in by_epoch[0]:
        first = VIEWS.index(by_epoch[0][name])
        assert [epoch[name] for epoch in by_epoch] == [VIEWS[(first + number) % 3] for number in range(5)]
    assert len(set(by_epoch[0].values())) > 1


def test_photos_that_are_repeated_in_an_epoch_are_cropped_differently() -> None:
    order = schedule([0, *[1] * 7], batch_size=8)
    views = [view for name, view, _ in shown(order, 0) if name == "0.jpg"]
    assert sorted(Counter(views).values()) == [1, 1, 2], "four views, of which there are three"


def test_photos_are_not_cropped_in_the_last_epochs() -> None:
    order = schedule([0, 1, 0, 1, 0, 1, 0, 1])
    assert {view for _, view, _ in shown(order, 4)} <= set(VIEWS)
    assert {view for _, view, _ in shown(order, 5)} <= set(WHOLE)
    assert {view for _, view, _ in shown(order, 5)} | {view for _, view, _ in shown(order, 6)} == set(WHOLE)


def test_list_of_all_views_contains_each_view_of_each_photo_once() -> None:
    views = [(view.photo.photo.name, view.name) for view in schedule([0, 1]).all_views()]
    assert views == [(f"{n}.jpg", name) for n in range(2) for name in ("a", "b", "c", "w", "x")]


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"blocks": -1}, "fine_tune"),
        ({"epochs": 0}, "fine_tune_epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"folds": 1}, "fine_tune_folds"),
        ({"folds": -2}, "fine_tune_folds"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"weight_decay": 1.0}, "weight_decay"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"averaging": 1.0}, "averaging"),
    ],
)
def test_fine_tuning_rejects_options_out_of_range(options: dict[str, Any], parameter: str) -> None:
    with pytest.raises(UsageError, match=f"`{parameter}` must be"):
        FineTuning(**options)


def test_fine_tuning_accepts_options_at_their_limits() -> None:
    FineTuning(blocks=0, epochs=1, batch_size=1, folds=2, learning_rate=1e9, weight_decay=0.0)
    FineTuning(folds=0, label_smoothing=0.0, averaging=0.0)
    assert (FineTuning().batch_size, FineTuning().weight_decay, FineTuning().label_smoothing) == (32, 0.01, 0.1)
    assert FineTuning().averaging == 0.99 and FineTuning().blocks == 0 and FineTuning().folds is None


def test_fine_tuning_rejects_more_blocks_than_an_architecture_has() -> None:
    entry = architecture("mobilenet_0.25_128")
    FineTuning(blocks=0).check(entry)
    FineTuning(blocks=13).check(entry)
    with pytest.raises(UsageError):
        FineTuning(blocks=14).check(entry)


def test_oversampled_classes_and_photos_differ_between_epochs() -> None:
    """Eight places are divided among three classes, of which one has nine photos for two or three places."""
    order = schedule([0] * 9 + [1] + [2], batch_size=8)
    fewest, seen = set(), set()
    for number in range(40):
        epoch = shown(order, number)
        counts = Counter(which for _, _, which in epoch)
        assert sorted(counts.values()) == [2, 3, 3]
        fewest.add(min(counts, key=lambda which: counts[which]))
        seen |= {f"{n}.jpg" for n in range(9)} & {name for name, _, _ in epoch}
    assert fewest == {0, 1, 2} and len(seen) == 9, "no class and no photo is always left out"
