"""Tests of tables of vectors in memory and in files, projections, and tasks that compute vectors in processes."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import DatasetError
from poets_edge.training import projection, unknown, vector_task, vectors
from poets_edge.training.projection import blocks, pca_projection, spans, table_of, tiles, unit
from poets_edge.training.unknown import _folds, _joint_limit, _sample, _weighted_limit, detect_unknown, upper_quantile
from poets_edge.training.unknown_chart import unknown_chart
from poets_edge.training.vector_task import PhotoFile, compute_vectors
from poets_edge.training.vectors import StoredVectors, VectorTableBuilder, apply, in_parts, pick, take
from tests.training.test_unknown import training_data

ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)


@pytest.fixture(params=["memory", "file"])
def table(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Table that contains ROWS, in memory or in a file, with capacity for more rows."""
    monkeypatch.setattr(vectors, "LARGE", 22 * 3 * 4 + (request.param == "memory"))
    monkeypatch.setattr(vectors, "_ROWS_PER_READ", 3)
    made = VectorTableBuilder(22, 3, tmp_path / "new")
    for start, stop in ((0, 7), (7, 8), (8, 20)):
        made.append(ROWS[start:stop])
    found = made.finish()
    assert isinstance(found, StoredVectors) == (request.param == "file")
    return found


def test_rows_of_a_table_are_selected_and_read(table: Any) -> None:
    assert table.shape == (20, 3) and len(table) == 20
    for chosen in (np.array([19, 0, 7, 7, 8, 3, 4]), slice(2, 17, 2), ROWS[:, 0] % 2 == 0, slice(None)):
        assert table[chosen].tolist() == ROWS[chosen].tolist()
    rows = np.array([5, 18, 2, 11, 3, 9, 10, 12])
    some = take(table, rows)
    assert some[:].tolist() == ROWS[rows].tolist() and len(some) == 8
    assert take(some, np.array([7, 1]))[:].tolist() == ROWS[[12, 18]].tolist()
    assert pick(some, np.array([0, 0, 6])).tolist() == ROWS[[5, 5, 10]].tolist()


def test_vector_tables_are_read_in_parts_of_limited_size(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_ROWS_PER_PART", 8)
    assert [len(part) for part in in_parts(table)] == [8, 8, 4]
    assert apply(lambda part: part.sum(axis=1), table).tolist() == ROWS.sum(axis=1).tolist()
    assert [len(part) for part in in_parts(take(table, np.arange(8)))] == [8]
    monkeypatch.setattr(vectors, "_BYTES_PER_PART", 5 * 3 * 4)
    assert [len(part) for part in in_parts(table)] == ([5] * 4 if isinstance(table, StoredVectors) else [8, 8, 4])


def test_vector_table_constants_have_the_benchmarked_values() -> None:
    assert (vectors.LARGE, vectors._ROWS_PER_PART, vectors._BYTES_PER_PART) == (1 << 24, 1 << 14, 1 << 22)


def test_spans_blocks_and_tiles_of_rows_end_at_the_last_row() -> None:
    assert list(spans(3, 12, 4)) == [slice(3, 7), slice(7, 11), slice(11, 12)] and list(spans(5, 5, 4)) == []
    assert list(blocks(2049)) == [slice(0, 2048), slice(2048, 2049)]
    assert list(tiles(100, 700)) == [slice(100, 612), slice(612, 700)]


def test_table_of_computes_vectors_in_batches_in_the_given_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "_ROWS_AT_ONCE", 4)
    seen: list[int] = []

    def values(rows: Any) -> Any:
        seen.append(len(rows))
        return ROWS[rows, :2]

    rows = np.array([7, 1, 12, 3, 5, 19, 2, 4, 6])
    assert table_of(values, rows, 2, tmp_path)[:].tolist() == ROWS[rows, :2].tolist() and seen == [4, 4, 1]


def test_principal_components_are_computed_from_a_sample_of_the_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((300, 90)) * np.linspace(0.1, 3, 90) + 5).astype(np.float32)
    for size, step in ((2000, 1), (100, 3)):
        monkeypatch.setattr(projection, "_SAMPLE", size)
        found = pca_projection(table, tmp_path)[:]
        sample = table[::step].astype(float)
        _, axes = np.linalg.eigh(np.cov(sample.T))
        expected = (table - sample.mean(axis=0)) @ axes[:, -64:]
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        assert found.shape == (300, 64)
        np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)
    assert unit(np.array([[3, 4], [0, 0]], np.float32)).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


def test_task_computes_vectors_in_order_and_omits_changed_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        vector_task, "Extractor", lambda model: lambda pixels: np.array([*pixels.shape[:2], *pixels[0, 0]])
    )
    photos = []
    for gray in (30, 60, 90, 120):
        path = tmp_path / f"{gray}.png"
        Image.new("RGB", (20, 10), (gray, 0, 0)).save(path)
        photos.append(PhotoFile(str(path), hashlib.sha256(path.read_bytes()).digest()))
    photos[2] = PhotoFile(photos[2].path, bytes(32))
    models: Any = ["one", "two"]
    found = compute_vectors(photos, models, [(4, 8), (6, 3)])
    assert found.photo_count == 4 and found.digests == tuple(photos[n].digest for n in (0, 1, 3))
    assert found.vectors[0].tolist() == [[4, 8, gray, 0, 0] for gray in (30, 60, 120)]
    assert found.vectors[1].tolist() == [[6, 3, gray, 0, 0] for gray in (30, 60, 120)]


@pytest.mark.parametrize("quantile", [0.95, 0.9, 0.99, 0.5])
def test_upper_quantile_averages_seventeen_shifted_quantiles(quantile: float) -> None:
    values = np.exp(np.random.default_rng(0).standard_normal(400) ** 3 / 9 + 1)
    logs, normal = np.sort(np.log(values)), NormalDist()
    spread = math.sqrt(sum((log - logs.mean()) ** 2 for log in logs) / 399)
    found = []
    for step in range(-8, 9):
        near = min(max(quantile + step * 0.005, 0.005), 0.995)
        place = near * 399
        low = int(place)
        value = logs[low] + (place - low) * (logs[min(low + 1, 399)] - logs[low])
        found.append((round(near, 12), value + (normal.inv_cdf(quantile) - normal.inv_cdf(near)) * spread))
    expected = math.exp(np.mean([value for _, value in dict(found).items()]))
    assert upper_quantile(values, quantile) == pytest.approx(expected, rel=1e-6)


def test_distance_and_background_limits_together_reject_the_requested_fraction() -> None:
    rng = np.random.default_rng(0)
    distances, logits = rng.gamma(4, 1, 500), rng.standard_normal(500) * 2 - 3
    for rate in (0.05, 0.2):
        for weights in ((1.0, 0.4), (1.0, 1.0), (0.6, 1.0)):
            limit = _weighted_limit(distances, logits, rate, weights)
            middle, center = np.median(distances), np.median(logits)
            reach = upper_quantile(distances, 1 - rate * weights[0]) - middle
            spread = np.quantile(logits, 1 - rate * weights[1]) - center
            worse = np.maximum((distances - middle) / reach, (logits - center) / spread)
            bound = max(np.quantile(worse, 1 - rate), 1)
            assert limit.limit == pytest.approx(middle + bound * reach)
            relative = limit.relative(distances, logits)
            assert (relative > 1).tolist() == (worse > bound).tolist()
            assert (relative > 1).mean() <= rate + 0.003
            # The logit at which a photo is rejected is as many spreads above the median as the distance.
            assert limit.factor * (center + bound * spread) + limit.offset == pytest.approx(1)
            assert limit.factor == pytest.approx(reach / limit.limit / spread)


def test_joint_limit_uses_the_first_weights_close_to_the_best_rejection_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Limit(SimpleNamespace):
        def relative(self, distances: Any, logits: Any) -> Any:
            return np.where(np.arange(100) < self.rejected, 2.0, 1.0)

    found: list[int] = []

    def weighted(distances: Any, logits: Any, rate: float, weights: Any) -> Any:
        return Limit(rejected=found[[(1.0, 0.4), (1.0, 1.0), (0.6, 1.0)].index(weights)])

    monkeypatch.setattr(unknown, "_weighted_limit", weighted)
    nothing = np.zeros(1)
    for shares, chosen in (((60, 62, 62), 60), ((58, 62, 60), 62), ((10, 50, 55), 55), ((10, 53, 55), 53)):
        found[:] = shares
        assert _joint_limit(nothing, nothing, 0.1, (nothing, nothing)).rejected == chosen  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "folds"), [(60, 40), (999, 40), (1000, 20)])
def test_detector_uses_fewer_folds_for_wide_vectors(width: int, folds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def divided(groups: Any, count: int, seed: int) -> Any:
        asked.append(count)
        return np.zeros(len(groups), np.int64)

    monkeypatch.setattr(unknown, "_folds", divided)
    bottlenecks, classes = np.random.default_rng(0).random((30, width)).astype(np.float32), np.arange(30) % 3
    with pytest.raises(DatasetError, match="too few"):
        detect_unknown(training_data(bottlenecks, classes), 0.05, 0)
    assert asked == [folds]


def test_detector_result_states_the_rejection_rate_of_each_photo_set() -> None:
    def distances(count: int, refused: int) -> Any:
        return np.array([1.5] * refused + [1.0] * (count - refused), np.float32)

    values: Any = {
        "detector": None, "rate": 0.05, "rows": np.arange(40), "distances": distances(40, 2), "test": distances(10, 1),
        "background": distances(20, 15), "strangers": distances(8, 4),
    }  # fmt: skip
    found = unknown.UnknownDetection(**values)
    assert found.to_json() == {
        "rate": 0.05, "photos": 40, "refused": 0.05, "test_photos": 10, "test_refused": pytest.approx(0.1),
        "background_photos": 20, "background_refused": 0.75, "strangers": 8, "strangers_refused": 0.5,
    }  # fmt: skip
    assert str(found) == (
        "5.0 % of 40 held-out training photos, 10.0 % of 10 test photos, 75.0 % of 20 photos of the background,"
        " 50.0 % of 8 strangers (asked for: 5 % of known photos)"
    )
    empty = distances(0, 0)
    alone = unknown.UnknownDetection(**{**values, "test": empty, "background": empty, "strangers": empty})
    assert str(alone) == "5.0 % of 40 held-out training photos (asked for: 5 % of known photos)"
    assert alone.to_json()["test_refused"] is None and "strangers" not in alone.to_json()


def test_groups_are_divided_at_random_into_folds_of_equal_size() -> None:
    groups = np.repeat(np.arange(50) * 3, 2)
    fold = _folds(groups, 8, 0)
    assert (fold[::2] == fold[1::2]).all() and sorted(np.bincount(fold[::2]).tolist()) == [6] * 6 + [7] * 2
    assert fold[::2].tolist() != (np.arange(50) % 8).tolist() and fold.tolist() != _folds(groups, 8, 1).tolist()
    assert _folds(np.zeros(0, np.int64), 8, 0).tolist() == []


def test_sample_of_many_photos_has_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "_MAX_PHOTOS", 30)
    classes = np.repeat([0, 1, 2], [100, 5, 40])
    data: Any = SimpleNamespace(photos=SimpleNamespace(photos=SimpleNamespace(classes=classes)), labels=("a", "b", "c"))
    rows = np.arange(145)
    found = _sample(data, rows, 0)
    assert np.bincount(classes[found]).tolist() in ([13, 5, 12], [12, 5, 13]) and (np.diff(found) > 0).all()
    assert _sample(data, rows[:30], 0) is not None and len(_sample(data, rows[:30], 0)) == 30
    assert found.tolist() != _sample(data, rows, 1).tolist()


def test_chart_of_distances_has_a_line_at_the_limit_of_1(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def chart(lines: Any, x: Any, y: Any, *, title: str) -> str:
        drawn.append((lines, x, y))
        return title

    monkeypatch.setattr("poets_edge.training.unknown_chart.line_chart", chart)
    distances = np.array([0.25, 0.55, 0.58, 0.95, 5.0], np.float32)
    for strangers, names in ((distances[:0], ["second"]), (distances[4:], ["second", "faint"])):
        found: Any = SimpleNamespace(distances=distances, background=distances[3:], strangers=strangers)
        unknown_chart(found)
        lines, x, y = drawn.pop()
        assert [line.style for line in lines] == ["main", *names, "dashed"]
        shares = [0.0] * 30
        shares[2], shares[5], shares[9], shares[29] = 0.2, 0.4, 0.2, 0.2
        outline = [(edge * 0.1, share) for bin, share in enumerate(shares) for edge in (bin, bin + 1)]
        assert lines[0].points == [pytest.approx(point) for point in outline]
        highest = 1.0 if len(strangers) else 0.5
        assert lines[-1].points == [(1.0, 0.0), (1.0, highest)] and (y.low, y.high) == (0.0, highest)
        assert (x.low, x.high) == (0.0, pytest.approx(3.0))
