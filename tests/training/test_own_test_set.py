"""Tests of `train`, `audit` and `grid` with a test set that the user chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.demo.draw import draw_photos
from poets_edge.photos.folder import Photo
from poets_edge.photos.folds import NO_FOLD
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.photos.table import HashedPhoto
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.choice import choose
from poets_edge.training.cross_validation import evaluate_folds, fit_to_training
from poets_edge.training.data import TrainingData
from poets_edge.training.head import HeadOptions
from tests.conftest import poets_edge
from tests.sweep.test_points import point

SMALL, LARGE = "mobilenet_0.25_128", "mobilenet_1.0_224"


def divided(*splits: SplitName | None) -> TrainingData:
    """Return a photo for each given split, in the folder of that split unless it is None. Two classes alternate."""
    photos = [
        HashedPhoto(Photo(Path(f"{row}.jpg"), f"{row}.jpg", "ab"[row % 2], split), row.to_bytes(32, "big"))
        for row, split in enumerate(splits)
    ]
    sets = np.array([SPLIT_NAMES.index(split or "training") for split in splits], np.int8)
    return TrainingData.of(photos, np.zeros((len(photos), 2), np.float32), sets, ("a", "b"))


def test_cross_validated_rows_exclude_the_users_test_set() -> None:
    assert divided("training", "test", "validation", "training").cross_validated_rows.tolist() == [0, 2, 3]
    assert divided(None, None, None).cross_validated_rows.tolist() == [0, 1, 2]
    assert divided("training", "validation").cross_validated_rows.tolist() == [0, 1]


def test_users_test_photos_are_evaluated_with_the_head_trained_on_training_photos() -> None:
    """The classes of the test photos are exchanged, so a head trained on the training photos is always wrong."""
    parts: tuple[tuple[SplitName, int], ...] = (("training", 20), ("test", 10), ("validation", 10))
    data = divided(*(split for split, count in parts for _ in range(count)))
    classes = data.photos.photos.classes.astype(np.int64)
    vectors = np.eye(2, dtype=np.float32)[np.where(data.sets == SPLIT_NAMES.index("training"), classes, 1 - classes)]
    found = evaluate_folds(
        data.photos, vectors, data.labels, *fit_to_training(data.photos, vectors, data.labels, data.sets, HeadOptions())
    )
    assert found.count == 10 and found.accuracy == 0
    assert (found.folds.assignment != NO_FOLD).nonzero()[0].tolist() == list(range(20, 30))


def test_cross_validation_breaks_ties_on_the_users_test_set() -> None:
    """Three more mistakes in 100 test photos are not significant, but 40 more in 1,000 cross-validated photos are."""
    fast, slow = point(SMALL, 1.0, range(3)), point(LARGE, 9.0, range(0))
    assert choose((fast, slow), Budget()).point == fast
    worse = replace(fast, cross_validated=(0,) * 40 + (1,) * 960)
    better = replace(slow, cross_validated=(1,) * 1000)
    choice = choose((worse, better), Budget())
    assert choice.point == better
    assert "100 photos of the test set cannot tell 2 points apart" in choice.reason
    assert "1000 training and validation photos decided" in choice.reason


def test_choice_of_a_model_prefers_the_users_test_set_to_cross_validation() -> None:
    accurate = replace(point(LARGE, 9.0, range(0)), cross_validated=(0,) * 40 + (1,) * 960)
    flattered = replace(point(SMALL, 1.0, range(20)), cross_validated=(1,) * 1000)
    assert choose((flattered, accurate), Budget()).point == accurate


@pytest.mark.parametrize("order", [1, -1])
def test_faster_model_is_chosen_if_cross_validation_shows_no_difference(order: int) -> None:
    points = [replace(point(name, ms, range(2)), cross_validated=(1,) * 50) for name, ms in ((SMALL, 1.0), (LARGE, 9))]
    assert choose(points[::order], Budget()).point == points[0]


def test_train_warns_about_copies_of_training_photos_in_the_users_test_set(tmp_path: Path) -> None:
    """Classes are random, so half of the new photos are misclassified, but not the copies of training photos."""
    draw_photos(tmp_path / "drawn", per_class=16)
    rng = np.random.default_rng(0)
    for number, photo in enumerate(sorted((tmp_path / "drawn").rglob("*.jpg"))):
        label = "ab"[rng.integers(2)]
        is_new = number % 4 == 0
        for part in ("test",) if is_new else ("train", "test"):
            folder = tmp_path / "photos" / part / label
            folder.mkdir(parents=True, exist_ok=True)
            with Image.open(photo) as image:
                image.save(folder / f"{(number + 1) * 7919 % 1009}-x.jpg", quality=60 if part == "test" else 95)
    found = poets_edge("train", "photos", "--architecture", "mobilenet_0.25_128", "--weights", "embedded", cwd=tmp_path)
    [warning] = [line for line in found.ok().stderr.splitlines() if "of your 80 test photos" in line]
    related = int(warning.removeprefix("warning: ").split(" of your 80 test photos look like training photos")[0])
    assert 60 <= related <= 62 and "too high for new photos" in warning, "drawn photos may look alike by chance"
    assert f"; on the other {80 - related} it is " in warning and "; cross-validated with groups held out, " in warning
    assert "differ by more than chance" not in found.stderr
