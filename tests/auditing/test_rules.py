"""Tests of outlier rules at their limits, class metrics, leaks and label scores on synthetic photo statistics."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.auditing.class_metrics import balanced_accuracy, class_metrics, most_confused_classes
from poets_edge.auditing.image_stats import compute_stats
from poets_edge.auditing.leaks import find_leak
from poets_edge.auditing.mislabeled import LabelScores, out_of_fold_logits, score_labels
from poets_edge.auditing.near_duplicates import NearDuplicates
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.outliers import OutlierGroup, find_outliers, find_unknown
from poets_edge.auditing.photos import AuditPhotos
from poets_edge.auditing.results import AuditResult
from poets_edge.photos.folder import Photo
from poets_edge.photos.folds import NO_FOLD
from poets_edge.photos.split import SplitConfig, assign_splits
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training.head import HeadOptions, LabeledVectors
from poets_edge.training.look_alikes import PhotoGroups
from tests.training.test_unknown import draw, training_data

SIDE = 128
NORMAL = {
    "width": 500.0, "height": 375.0, "brightness": 120.0, "contrast": 50.0, "colorfulness": 60.0, "sharpness": 0.4,
    "truncated_fraction": 0.0,
}  # fmt: skip


def photos_with(*changes: dict[str, float], labels: tuple[str, ...] = ("a", "b"), normal: int = 20) -> AuditPhotos:
    """Return photos with image statistics; those of the first photos, from `a/0.jpg` on, are unusual.

    Args:
        changes: unusual statistics of each of the first photos.
        labels: class names.
        normal: number of photos with normal statistics.
    """
    count = len(changes) + normal
    stats = [{**NORMAL, **change} for change in (*changes, *[{}] * normal)]
    rng = np.random.default_rng(0)
    vectors = rng.random((count, 8)).astype(np.float32)
    names = [f"{labels[number % len(labels)]}/{number}.jpg" for number in range(count)]
    hashed = HashedPhotos.of(
        [HashedPhoto(Photo(Path(name), name, name[0]), bytes([row] * 32)) for row, name in enumerate(names)]
    )
    columns: dict[str, Any] = {key: np.array([one[key] for one in stats], np.float32) for key in NORMAL}
    return AuditPhotos(
        photos=hashed, labels=labels, vectors=vectors, projections=vectors, unreadable=(),
        classes=np.arange(count) % len(labels), thumbnails=np.zeros((count, 32, 32), np.uint8),
        groups=PhotoGroups(np.arange(count)), splits=assign_splits(hashed.photos, SplitConfig()), **columns,
    )  # fmt: skip


def reasons(*changes: dict[str, float]) -> list[list[str]]:
    """Return the reasons for which `find_outliers` lists each photo with changed statistics."""
    photos = photos_with(*changes)
    groups = find_outliers(photos, SIDE)
    return [[group.reason for group in groups if photos.name(row) in group.names] for row in range(len(changes))]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 600, "height": 63}, "tiny"),  # the limit for the shorter side is 64, half of the network's input
        ({"width": 63, "height": 600}, "tiny"),
        ({"width": 64, "height": 64}, None),
        ({"brightness": 11.9, "contrast": 9.9}, "black"),
        ({"brightness": 12, "contrast": 9.9}, None),
        ({"brightness": 11.9, "contrast": 10}, None),
        ({"brightness": 243.1, "contrast": 9.9}, "white"),
        ({"brightness": 243, "contrast": 9.9}, None),
        ({"brightness": 120, "contrast": 3.9}, "blank"),
        ({"brightness": 120, "contrast": 4}, None),
        ({"truncated_fraction": 0.07}, "cut short"),
        ({"truncated_fraction": 0.05}, None),
        ({"truncated_fraction": 1, "contrast": 0}, "blank"),
        ({"sharpness": 0.059}, "blurred"),
        ({"sharpness": 0.061}, None),
        ({"sharpness": 0.059, "width": 63}, "tiny"),  # tiny photos are not listed as blurred
        ({"sharpness": 0.059, "contrast": 9}, None),
        ({"colorfulness": 5.9}, "gray"),
        ({"colorfulness": 6}, None),
    ],
)
def test_each_limit_for_outliers_is_applied(change: dict[str, float], reason: str | None) -> None:
    assert reasons(change) == [[reason] if reason else []]


def test_blur_limit_is_proportional_to_the_median_sharpness() -> None:
    """The limit is 0.025, a quarter of the median sharpness of 0.1."""
    soft = [{"sharpness": 0.1}] * 40
    assert reasons({"sharpness": 0.026}, {"sharpness": 0.024}, *soft)[:2] == [[], ["blurred"]]


def test_dark_colored_photos_are_not_listed_as_gray() -> None:
    """In a photo of a black cat, the channels differ by 5 of 255, which is a sixth of the photo's brightness."""
    assert reasons({"colorfulness": 5.0, "brightness": 30.0}) == [[]]
    assert reasons({"colorfulness": 1.0, "brightness": 30.0}) == [["gray"]]


def test_gray_photos_are_outliers_if_they_are_fewer_than_ten_percent() -> None:
    gray = {"colorfulness": 1.0}
    assert reasons(gray, gray) == [["gray"]] * 2  # of 22
    assert reasons(gray, gray, gray) == [[]] * 3  # of 23
    pale = [{"colorfulness": 15.0}] * 30
    assert reasons(gray, *pale)[0] == [], "the median colorfulness of the folder is too low"


def test_most_extreme_outliers_are_listed_first_with_details() -> None:
    photos = photos_with(
        {"width": 60, "height": 90}, {"width": 80, "height": 20},
        {"truncated_fraction": 0.25}, {"truncated_fraction": 0.5},
    )  # fmt: skip
    groups = {group.reason: group for group in find_outliers(photos, SIDE)}
    assert list(groups["tiny"].names) == ["b/1.jpg", "a/0.jpg"]
    assert list(groups["tiny"].details) == ["80 x 20 pixels", "60 x 90 pixels"]
    assert list(groups["cut short"].names) == ["b/3.jpg", "a/2.jpg"]
    assert list(groups["cut short"].details) == ["50% of its height", "25% of its height"]


def test_isolated_photo_is_an_outlier_only_among_30_or_more_photos() -> None:
    def isolated(count: int) -> list[OutlierGroup]:
        rng = np.random.default_rng(0)
        directions = np.eye(8, dtype=np.float32)[0] + 0.1 * rng.standard_normal((count, 8)).astype(np.float32)
        directions[4] = -np.eye(8, dtype=np.float32)[3]
        unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        photos = replace(photos_with(normal=count), projections=unit)
        return [group for group in find_outliers(photos, SIDE) if group.reason == "unlike all others"]

    [group] = isolated(30)
    assert group.names[0] == "a/4.jpg"
    assert isolated(29) == []


def test_statistics_of_photos_agree_with_hand_computation() -> None:
    """The upper three quarters of the image have the color (200, 100, 0), and the rest is mid-gray."""
    pixels = np.zeros((192, 192, 3), np.uint8)
    pixels[:144], pixels[144:] = (200, 100, 0), (128, 128, 128)
    found = compute_stats(Image.fromarray(pixels), width=300, height=200)
    upper = 0.299 * 200 + 0.587 * 100
    assert (found.width, found.height) == (300, 200)
    assert found.brightness == pytest.approx(0.75 * upper + 0.25 * 128, rel=1e-4)
    contrast = math.sqrt(0.75 * 0.25) * (128 - upper)
    assert found.contrast == pytest.approx(contrast, rel=1e-4)
    assert found.colorfulness == pytest.approx(0.75 * 200, rel=1e-4)
    assert found.truncated_fraction == pytest.approx(0.25)
    # The Laplacian equals the step in the two rows at the edge, and is 0 in the other 188 of 190 rows.
    assert found.sharpness == pytest.approx(2 * (128 - upper) / 190 / (contrast + 1), rel=1e-3)
    assert found.thumbnail.shape == (32, 32) and found.thumbnail[0, 0] == round(upper)


CONFUSION = np.array([[6.0, 3.0, 0.0], [0.5, 1.5, 0.0], [0.0, 1.0, 0.0]])


def test_recall_uses_rows_and_precision_uses_columns_of_the_confusion_matrix() -> None:
    labels, classes = ("tulips", "daisy", "roses"), np.repeat([0, 1, 2], [9, 5, 1])
    tulips, daisy, roses = class_metrics(labels, CONFUSION, classes)
    assert (tulips.recall, tulips.precision) == pytest.approx((6 / 9, 6 / 6.5))
    assert (daisy.recall, daisy.precision) == pytest.approx((1.5 / 2, 1.5 / 5.5))
    assert roses.recall == 0 and math.isnan(roses.precision)
    assert [one.photos for one in (tulips, daisy, roses)] == [9, 5, 1]
    assert [one.evaluated for one in (tulips, daisy, roses)] == [9, 2, 1]
    assert roses.to_json() == {"photos": 1, "judged": 1, "recall": 0.0, "precision": None}
    assert balanced_accuracy((tulips, daisy, roses)) == pytest.approx((6 / 9 + 0.75 + 0) / 3)


def test_balanced_accuracy_excludes_classes_without_evaluated_photos() -> None:
    confusion = np.array([[1.0, 1.0], [0.0, 0.0]])
    metrics = class_metrics(("a", "b"), confusion, np.array([0, 0, 1]))
    assert math.isnan(metrics[1].recall) and balanced_accuracy(metrics) == 0.5
    assert math.isnan(balanced_accuracy(metrics[1:]))


def test_most_confused_pairs_of_classes_are_counted_in_both_directions() -> None:
    scores = np.array(
        [[0.1, 0.9, 0.0], [0.4, 0.6, 0.0], [0.2, 0.1, 0.7], [0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.9, 0.1, 0.0]],
        np.float32,
    )
    classes, rows = np.array([0, 0, 0, 1, 1, 0]), np.array([10, 11, 12, 13, 14, 15])
    first, second = most_confused_classes(("x", "a", "m"), scores, classes, rows)
    assert first.labels == ("x", "a") and second.labels == ("x", "m")
    assert (first.first_as_second, first.second_as_first) == (2, 2)
    assert first.rows == (10, 13, 11, 14), "most confident first, by row number"
    assert (second.first_as_second, second.second_as_first, second.rows) == (1, 0, (12,))
    assert most_confused_classes(("x", "a", "m"), scores, classes, rows, count=1) == [first]


def test_leaked_test_photos_are_those_with_near_duplicates_in_the_training_set() -> None:
    photos = photos_with(normal=200)
    vectors = np.eye(2, 8, dtype=np.float32)[photos.classes] + 0.1 * photos.vectors[:]
    splits = assign_splits(photos.photos.photos, SplitConfig())
    training, validation, test = (np.flatnonzero(splits == SPLIT_NAMES.index(name)) for name in
                                  ("training", "validation", "test"))  # fmt: skip
    wrong = test[0]
    vectors[wrong, :2] = 1 - vectors[wrong, :2]
    photos = replace(photos, vectors=vectors)
    groups = ((training[0], wrong), (training[1], validation[0], test[1]), (validation[1], test[2]), (test[3], test[4]))
    leak = find_leak(photos, NearDuplicates(tuple(tuple(map(int, group)) for group in groups)), HeadOptions())
    assert leak is not None
    assert sorted(leak.rows) == sorted([wrong, test[1]])
    assert leak.tested == len(test)
    assert leak.accuracy == pytest.approx(1 - 1 / len(test))
    assert leak.accuracy_without == 1.0
    assert leak.to_json(photos) == {
        "photos": [photos.name(row) for row in leak.rows], "tested": len(test), "accuracy": leak.accuracy,
        "accuracy_without": 1.0,
    }  # fmt: skip
    assert find_leak(photos, NearDuplicates(((int(validation[1]), int(test[2])),)), HeadOptions()) is None


def test_swapped_labels_are_ranked_as_the_most_probable_label_errors() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [30, 20, 15])
    vectors = (np.eye(3)[truth] + 0.2 * rng.standard_normal((65, 3))).astype(np.float32)
    given = truth.copy()
    given[7], given[40] = 2, 0
    fold = np.arange(65) % 5
    fold[3] = NO_FOLD
    found = score_labels(LabeledVectors(vectors, given), fold, 3)
    assert set(found.order[:2].tolist()) == {7, 40} and 3 not in found.order and len(found.order) == 64
    assert (found.likely[7], found.likely[40]) == (0, 1)
    assert found.mislabeled[[7, 40]].all() and found.mislabeled.sum() <= 4
    scores = found.score[found.order]
    assert (np.diff(scores) <= 0).all() and scores[0] > 0.5 and math.isnan(found.score[3])


def flagged_by_definition(logits: Any, given: Any) -> Any:
    """Return whether each photo is mislabeled by the definition of confident learning, from out-of-fold logits."""
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    means = [scores[given == label, label].mean() for label in range(3)]
    found = np.zeros(len(given), bool)
    for row, values in enumerate(scores):
        reached = [label for label in range(3) if values[label] >= means[label]]
        found[row] = bool(reached) and max(reached, key=lambda label: values[label]) != given[row]
    return found


def test_labels_are_scored_by_heads_that_are_refitted_without_the_flagged_photos() -> None:
    """Six of 21 photos labeled as the last class belong to the first class; at most 30 % of a class are excluded."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [30, 20, 15])
    vectors = (np.eye(3)[truth] + 0.2 * rng.standard_normal((65, 3))).astype(np.float32)
    given = truth.copy()
    given[:6] = 2
    data, fold = LabeledVectors(vectors, given), np.arange(65) % 5
    flagged = flagged_by_definition(out_of_fold_logits(data, fold, 3, np.ones(65, bool)), given)
    assert 0.1 < flagged[given == 2].mean() <= 0.3 and not flagged[given != 2].any()
    trusted = ~flagged
    logits = out_of_fold_logits(data, fold, 3, trusted)
    found = score_labels(data, fold, 3)
    assert found.mislabeled.tolist() == flagged_by_definition(logits, given).tolist()
    for row in range(65):
        powers = np.exp(logits[row].astype(float))
        own, (other, name) = (
            powers[given[row]],
            max((powers[label], label) for label in range(3) if label != given[row]),
        )
        assert found.score[row] == pytest.approx(other / (other + own), rel=1e-4) and found.likely[row] == name


def test_outlier_limit_is_4_5_robust_standard_deviations_of_the_isolation() -> None:
    """The expected outliers are computed from the mean cosine distance of each photo to its five nearest photos."""
    rng = np.random.default_rng(4)
    vectors = np.column_stack([np.ones(80), rng.normal(0, 0.15, (80, 3))])
    vectors[:12, 1:] *= np.linspace(1.5, 9, 12)[:, None]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    distances = 1 - np.array([np.sort(np.delete(vectors[row] @ vectors.T, row))[-5:].mean() for row in range(80)])
    spread = np.median(np.abs(distances - np.median(distances)))
    expected = {row for row in range(80) if distances[row] > np.median(distances) + 4.5 * 1.4826 * spread}
    assert expected != {row for row in range(80) if distances[row] > np.median(distances) + 4.5 * spread}
    photos = replace(photos_with(normal=80), projections=vectors)
    [found] = [group for group in find_outliers(photos, SIDE) if group.reason == "unlike all others"]
    ordered = sorted(expected, key=lambda row: -distances[row])
    assert list(found.names) == [photos.name(row) for row in ordered]


def test_photos_unlike_all_classes_are_listed_in_descending_order_of_distance() -> None:
    bottlenecks, classes = draw(40)
    bottlenecks[7], bottlenecks[90] = draw(1, 5, shift=0.3)[0][0], draw(1, 6, shift=0.8)[0][0]
    bottlenecks, classes = np.delete(bottlenecks, 50, axis=0), np.delete(classes, 50)
    photos = replace(
        photos_with(normal=119, labels=("a", "b", "c")), vectors=bottlenecks, classes=classes,
        photos=training_data(bottlenecks, classes).photos,
    )  # fmt: skip
    [found] = find_unknown(photos, AuditOptions(image_dir=Path("photos")))
    values = [float(detail.removeprefix("distance ")) for detail in found.details]
    assert values == sorted(values, reverse=True) and values[-1] >= 1 and len(values) < 12
    assert list(found.names[:2]) == [photos.name(89), photos.name(7)]


def test_suspects_are_ten_percent_of_the_photos_plus_all_probable_label_errors() -> None:
    photos = photos_with(labels=("a", "b", "c"), normal=21)
    order = np.random.default_rng(0).permutation(21)
    wrong = np.zeros(21, np.bool_)
    wrong[order[[0, 5]]] = True
    certainty = np.linspace(0, 1, 21, dtype=np.float32)
    scores = LabelScores(order=order, score=certainty, likely=(photos.classes + 1) % 3, mislabeled=wrong)
    evaluation: Any = SimpleNamespace(label_scores=scores, cross_validation=SimpleNamespace(accuracy=0.875))
    result = AuditResult(
        options=AuditOptions(image_dir=Path("photos")), photos=photos, near_duplicates=NearDuplicates(()),
        outliers=(), leak=None, evaluation=evaluation, warnings=(),
    )  # fmt: skip
    rows = order[[0, 1, 2, 5]].tolist()  # 10 % of 21 photos are rounded up to 3
    assert [one.photo for one in result.suspects] == [photos.name(row) for row in rows]
    assert [one.label for one in result.suspects] == ["abc"[row % 3] for row in rows]
    assert [one.likely for one in result.suspects] == ["abc"[(row + 1) % 3] for row in rows]
    assert [one.score for one in result.suspects] == pytest.approx([row / 20 for row in rows])
    assert result.mislabeled == (photos.name(rows[0]), photos.name(rows[3]))
    assert repr(result) == "<AuditResult 21 photos: 2 probable label errors, accuracy 87.5 %>"
