"""Tests of groups of photos that look alike, and of accuracies and intervals for photos in groups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from poets_edge.device.metrics import independent_count, wilson_interval
from poets_edge.photos.folder import Photo
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training.look_alikes import PhotoGroups, find_groups, similar_pairs
from tests.conftest import poets_edge
from tests.hands import draw_hands

EMBEDDED = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "-q", "--json")


def photos(count: int, classes: int = 2) -> HashedPhotos:
    listed = [
        HashedPhoto(Photo(Path(f"{row}.jpg"), f"{row % classes}/{row * 7919 % 10007}.jpg", str(row % classes)),
                    row.to_bytes(32, "big"))
        for row in range(count)
    ]  # fmt: skip
    return HashedPhotos.of(listed)


def bursts(groups: int, size: int, spread: float) -> npt.NDArray[np.float32]:
    """Return vectors of photos in groups; the spread within groups is `spread` times that between groups."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((groups, 64))
    return (np.repeat(centers, size, axis=0) + spread * rng.standard_normal((groups * size, 64))).astype(np.float32)


def test_photos_of_a_burst_are_grouped(tmp_path: Path) -> None:
    found = find_groups(photos(240), bursts(40, 6, 0.2), tmp_path)
    assert found.numbers.tolist() == np.repeat(np.arange(40) * 6, 6).tolist()
    assert found.count == 40 and found.are_dependent and not found.are_divided


def test_independent_photos_are_not_grouped(tmp_path: Path) -> None:
    found = find_groups(photos(300), bursts(300, 1, 0), tmp_path)
    assert found.count == 300 and found.alike == 0 and not found.are_dependent


@pytest.mark.parametrize(("size", "uniform", "dependent"), [(8, False, True), (1, False, False), (8, True, False)])
def test_similar_photos_are_dependent_only_if_they_stand_out_from_their_class(
    tmp_path: Path, size: int, uniform: bool, dependent: bool
) -> None:
    """Neighbors have a similarity of 0.8 to 0.9. In uniform classes, all photos of a class are similar."""
    vectors = bursts(240 // size, size, 0.45)
    if uniform:
        rng = np.random.default_rng(0)
        centers = np.linalg.qr(rng.standard_normal((64, 2)))[0].T[np.arange(240) % 2]
        vectors = (centers + 0.065 * rng.standard_normal((240, 64))).astype(np.float32)
    best = similar_pairs(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), 0.8)[2]
    assert (np.median(best) > 0.8) == (size > 1) and (best >= 0.9).mean() < 0.25
    assert find_groups(photos(240), vectors, tmp_path).are_dependent == dependent


@pytest.mark.parametrize(("spread", "dependent"), [(0.5, False), (0.3, True)])
def test_photos_of_similar_surfaces_are_independent_but_frames_of_a_video_are_not(
    tmp_path: Path, spread: float, dependent: bool
) -> None:
    """All photos of a class have a mean similarity of 0.67, as surfaces do, or of 0.85, like frames of one video."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((64, 5)))[0].T
    around = rng.standard_normal((240, 3))
    around *= spread / np.linalg.norm(around, axis=1, keepdims=True)
    vectors = (axes[np.arange(240) % 2] + around @ axes[2:]).astype(np.float32)
    found = find_groups(photos(240), vectors, tmp_path)
    assert found.are_dependent is dependent


def test_groups_that_are_too_large_to_hold_out_are_split(tmp_path: Path) -> None:
    """All photos of a class show one slowly moving object, so photos of a different object cannot be held out."""
    angles = np.linspace(0, 1.5, 100)
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((64, 4)))[0].T
    films = [np.outer(np.cos(angles), axes[a]) + np.outer(np.sin(angles), axes[b]) for a, b in ((0, 1), (2, 3))]
    vectors = np.stack(films, axis=1).reshape(200, 64).astype(np.float32)
    found = find_groups(photos(200), vectors, tmp_path)
    assert found.are_divided and found.are_dependent
    per_class = [len(np.unique(found.numbers[number::2])) for number in range(2)]
    assert min(per_class) >= 5


def test_groups_of_look_alikes_are_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_groups(photos(240), bursts(40, 6, 0.2), tmp_path)
    monkeypatch.setattr("poets_edge.training.look_alikes.similar_pairs", None)
    again = find_groups(photos(240), bursts(40, 6, 0.2), tmp_path)
    assert again.numbers.tolist() == first.numbers.tolist()
    assert (again.alike, again.are_divided) == (first.alike, first.are_divided)


def test_similar_pairs_of_photos_equal_the_pairs_found_by_brute_force() -> None:
    vectors = bursts(30, 4, 0.4)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs, similarities, best = similar_pairs(vectors, 0.6)
    every = vectors @ vectors.T - 2 * np.eye(120)
    assert {tuple(pair) for pair in pairs.tolist()} == set(zip(*map(np.ndarray.tolist, np.nonzero(every >= 0.6)),
                                                               strict=True))  # fmt: skip
    assert similarities == pytest.approx(every[pairs[:, 0], pairs[:, 1]], abs=1e-6)
    assert best == pytest.approx(np.where(every.max(axis=1) >= 0.6, every.max(axis=1), -1), abs=1e-6)


def test_selected_photo_groups_are_numbered_by_their_first_selected_row() -> None:
    groups = PhotoGroups(np.array([0, 0, 2, 0, 2, 5]))
    assert groups.take(np.array([1, 2, 4, 5])).numbers.tolist() == [0, 1, 1, 3]


def test_number_of_independent_photos_without_groups_is_the_number_of_photos() -> None:
    assert independent_count(np.array([1, 0, 1, 1]), np.arange(4)) == 4


def test_independent_count_of_repeated_photos_is_the_number_of_distinct_photos() -> None:
    rng = np.random.default_rng(0)
    correct = np.repeat(rng.random(200) < 0.8, 10)
    assert independent_count(correct, np.arange(2000) // 10) == pytest.approx(200, rel=0.1)
    assert independent_count(np.ones(2000), np.arange(2000) // 10) == 200


def test_interval_of_grouped_photos_contains_the_true_accuracy() -> None:
    """Accuracies of 12 groups have a standard deviation of 0.15, so intervals for independent photos are too narrow."""
    rng = np.random.default_rng(1)
    covered, naive = 0, 0
    groups = np.arange(12 * 30) // 30
    for _ in range(200):
        share = np.clip(rng.normal(0.75, 0.15, 12), 0, 1)
        correct = rng.random(len(groups)) < share[groups]
        count = independent_count(correct, groups)
        for number, of in ((count, "grouped"), (len(groups), "naive")):
            low, high = wilson_interval(float(correct.mean()) * number, number)
            if of == "grouped":
                covered += low <= 0.745 <= high
            else:
                naive += low <= 0.745 <= high
    assert covered >= 184 and naive < 150


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "person-in-name"])
def test_train_estimates_the_accuracy_on_unseen_people(tmp_path: Path, *, named: bool) -> None:
    draw_hands(tmp_path / "hands", persons=8, per_class=12, named=named)
    draw_hands(tmp_path / "others", persons=30, per_class=4, seed=1)
    ran = poets_edge("train", "hands", *EMBEDDED, "--steps", "1000", cwd=tmp_path).ok()
    result = json.loads(ran.stdout)
    truth = json.loads(
        poets_edge("evaluate", "tf_files/retrained_graph.pb", "others", "-q", "--json", cwd=tmp_path).ok().stdout
    )
    low, high = result["cross_validation"]["interval95"]
    [accuracy] = {model["accuracy"] for model in truth["models"]} if "models" in truth else {truth["accuracy"]}
    assert low <= accuracy <= high
    warning = "The accuracy on new people or objects is not known"
    assert warning in ran.stderr and warning in (tmp_path / "tf_files/retrained_graph.html").read_text()
    if not named:
        audited = poets_edge("audit", "hands", *EMBEDDED, cwd=tmp_path).ok()
        assert warning in audited.stderr and warning in (tmp_path / "tf_files/audit.html").read_text()
    assert result["groups"]["groups"] <= 12


@pytest.mark.slow
def test_train_keeps_user_defined_groups_in_one_split(tmp_path: Path) -> None:
    draw_hands(tmp_path / "hands", persons=8, per_class=6, named=True)
    ran = poets_edge(
        "train", "hands", *EMBEDDED, "--steps", "100", "--group-by", r"(\d\d)-\d+\.jpg$", cwd=tmp_path
    ).ok()
    assert json.loads(ran.stdout)["groups"]["groups"] == 8
    record = json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())
    persons = {name: {photo[-10:-8] for photo in of} for name, of in record["sets"].items()}
    assert not persons["training"] & persons["test"] and not persons["training"] & persons["validation"]


@pytest.mark.parametrize(("alike", "dependent"), [(0.25, True), (0.249, False)])
def test_photos_are_considered_dependent_if_a_quarter_of_them_look_alike(alike: float, dependent: bool) -> None:
    assert PhotoGroups(np.arange(4), alike).are_dependent == dependent


def test_search_for_groups_is_repeated_if_classes_or_backbone_have_changed(tmp_path: Path) -> None:
    def labeled(classes: npt.NDArray[np.int64]) -> HashedPhotos:
        return HashedPhotos.of(
            [
                HashedPhoto(Photo(Path(f"{row}.jpg"), f"{row * 7919 % 10007}.jpg", str(label)), row.to_bytes(32, "big"))
                for row, label in enumerate(classes.tolist())
            ]
        )

    alike, rows = bursts(10, 6, 0.2), np.arange(60)
    assert find_groups(labeled(rows % 2), alike, tmp_path).count == 10
    assert find_groups(labeled(rows % 2), bursts(60, 1, 0), tmp_path).count == 60, "another backbone"
    assert find_groups(labeled(rows // 6), alike, tmp_path).count == 60, "a burst that is a whole class is divided"
