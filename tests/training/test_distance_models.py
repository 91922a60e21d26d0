"""Tests of the models that calibrate scores and recognize unknown photos, against formulas written out here."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.training import messages, temperature_scaling
from poets_edge.training.cross_validation import sample_rows
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fold_heads import MAX_EVALUATED, _sample_weights, training_rows
from poets_edge.training.head import (
    Head,
    HeadOptions,
    LabeledVectors,
    _check_finite,
    _evaluate,
    _initial_weights,
)
from poets_edge.training.mahalanobis import (
    LinearModel,
    Moments,
    _between,
    _ledoit_wolf,
    fit_distance,
    fourth_moment,
    unit_vectors,
)
from poets_edge.training.messages import EvaluatedHead, better_step
from poets_edge.training.options import TrainOptions
from poets_edge.training.temperature_scaling import _centered, _divided, _is_safe, _shrink, _stretch
from tests.training.test_unknown import draw, training_data


def units_of(count: int, seed: int = 0) -> tuple[Any, Any]:
    bottlenecks, classes = draw(count, seed)
    return unit_vectors(bottlenecks), classes


@pytest.mark.parametrize(("count", "weight"), [(10, 0.2), (40, 16 / 120), (80, 0.08), (26, 0.2), (27, 16 / 81)])
def test_residual_weight_of_the_distance_model_depends_on_the_number_of_photos(count: int, weight: float) -> None:
    units, classes = units_of(count)
    moments = Moments.of(units, classes, 3)
    model = fit_distance(moments, fourth_moment(units, classes, moments))
    assert model.rest_weight == pytest.approx(weight)


def test_distance_model_uses_the_shrunk_covariance() -> None:
    units, classes = units_of(60)
    moments = Moments.of(units, classes, 4)  # one class has no photo
    fourth = fourth_moment(units, classes, moments)
    model = fit_distance(moments, fourth)
    means = np.stack([units[classes == number].mean(axis=0) for number in range(3)])
    residuals = units - means[classes]
    features = units.shape[1]
    covariance = residuals.T @ residuals / (180 - 3)
    variance = np.trace(covariance) / features
    spread = (covariance**2).sum() / features - variance**2
    error = (((residuals**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()) / 180 / features
    assert model.shrinkage == pytest.approx(min(1, error / spread), rel=1e-6)
    shrunk = (1 - model.shrinkage) * covariance + model.shrinkage * variance * np.eye(features)
    within = model.basis.T @ shrunk @ model.basis
    np.testing.assert_allclose(np.linalg.inv(model.within), within, atol=1e-7 * variance + 3e-9 / features)
    centers = (means - units.mean(axis=0)) @ model.basis
    total = within + centers.T @ centers / 3
    np.testing.assert_allclose(np.linalg.inv(model.total), total, atol=1e-6 * float(np.abs(total).max()))
    directions = model.basis.shape[1]
    assert directions == 24 + 2
    assert model.rest == pytest.approx((np.trace(shrunk) - np.trace(within)) / (features - directions), rel=1e-4)
    np.testing.assert_allclose(model.mean, units.mean(axis=0))
    np.testing.assert_allclose(model.means, centers, atol=1e-12)


def test_covariance_that_is_a_multiple_of_the_identity_is_shrunk_completely() -> None:
    assert _ledoit_wolf(np.eye(3) * 2, 2.0, 10, 5.0) == 1.0
    covariance = np.diag([1.0, 2.0, 6.0])
    assert _ledoit_wolf(covariance, 3.0, 10, 41.0) == 0.0
    assert _ledoit_wolf(covariance, 3.0, 10, 111.0) == pytest.approx((70 / 10 / 3) / (41 / 3 - 9))
    assert _ledoit_wolf(covariance, 3.0, 1, 111.0) == 1.0


def test_class_means_span_one_fewer_dimension_than_there_are_classes() -> None:
    rng = np.random.default_rng(0)
    largest = np.linalg.qr(rng.standard_normal((10, 2)))[0]
    means = rng.standard_normal((4, 10))
    basis = _between(means - means.mean(axis=0), largest)
    assert basis.shape == (10, 3) and np.abs(basis.T @ largest).max() < 1e-12
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    assert _between(means, largest).shape == (10, 3), "at most one less than there are classes"
    inside = (rng.standard_normal((4, 2)) @ largest.T) + 1e-8 * rng.standard_normal((4, 10))
    assert _between(inside, largest).shape == (10, 0), "tiny differences are ignored"
    assert _between(rng.standard_normal((60, 80)), np.zeros((80, 0))).shape == (80, 32)


def test_photos_without_any_variance_have_finite_distances() -> None:
    units = np.repeat(unit_vectors(np.random.default_rng(0).random((3, 40)).astype(np.float32)), 10, axis=0)
    classes = np.repeat([0, 1, 2], 10)
    moments = Moments.of(units, classes, 3)
    model = fit_distance(moments, fourth_moment(units, classes, moments))
    assert np.isfinite(model.distances(units)).all()
    # The inverse of a covariance of zero with a floor of 1e-9 divided by the number of features.
    assert np.linalg.eigvalsh(model.within).min() >= 0.4e9 * 40 / 2
    assert np.linalg.eigvalsh(model.within).max() <= 0.99e9 * 40, "the floor is added"


def test_scaling_a_linear_model_also_scales_its_bias() -> None:
    model = LinearModel(np.array([1.0, -2.0]), 0.5)
    units = np.array([[0.6, 0.8], [1.0, 0.0]])
    assert model(units) == pytest.approx([0.6 - 1.6 + 0.5, 1.5])
    assert model.scaled(3.0, -0.25)(units) == pytest.approx([3 * -0.5 - 0.25, 3 * 1.5 - 0.25])


def losses(*values: float) -> Any:
    return SimpleNamespace(losses=lambda photos: np.array(values, np.float32))


@pytest.mark.parametrize(
    ("best", "last", "advised"),
    [
        ([0.5, 0.5, 0.5, 0.5], [0.70, 0.69, 0.70, 0.71], True), ([0.5, 0.5, 0.5, 0.5], [0.51, 0.52, 0.52, 0.51], False),
        ([0.5, 0.5, 0.5, 0.5], [0.53, 0.54, 0.54, 0.53], True),
        # Mean difference 0.1 and standard deviation 0.0816: p = 0.014, which is below 5 % but above 0.5 %.
        ([0.5, 0.5, 0.5, 0.5], [0.5, 0.6, 0.6, 0.7], False),
    ],
)  # fmt: skip
def test_better_step_reports_an_earlier_step_with_a_clearly_lower_loss(
    best: list[float], last: list[float], advised: bool
) -> None:
    photos = LabeledVectors(np.zeros((4, 1), np.float32), np.zeros(4, np.int64))
    found = better_step(EvaluatedHead(3, losses(*best)), EvaluatedHead(9, losses(*last)), photos, early_stop=True)
    assert (found is not None) == advised
    if found:
        assert "at step 3 (0.5000;" in found and "on 4 photos" in found and "that head was kept" in found
    assert messages._CLEARLY_WORSE == 1.05


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"model_dir": Path("photos/models")}, "model_dir"), ({"summaries_dir": Path("photos/x")}, "summaries_dir"),
        ({"runs_dir": Path("photos/x")}, "runs_dir"), ({"output_labels": Path("photos/x/l.txt")}, "output_labels"),
        ({"intermediate_output_graphs_dir": Path("photos/x")}, "intermediate_output_graphs_dir"),
        ({"final_tensor_name": "^x"}, "final_tensor_name"), ({"final_tensor_name": "a b"}, "final_tensor_name"),
        ({"cluster": "tcp://192.0.2.1:8786"}, "insecure_cluster"),
        ({"fine_tuning": FineTuning(blocks=2), "architecture": architecture("inception_v3")}, "inception_v3"),
    ],
)  # fmt: skip
def test_invalid_options_of_train_are_refused(
    changes: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=name):
        TrainOptions(image_dir=Path("photos"), **changes)
    if name == "insecure_cluster":
        assert TrainOptions(image_dir=Path("photos"), **changes, insecure_cluster=True).cluster


def test_files_of_train_are_named_after_the_graph_and_the_architecture() -> None:
    options = TrainOptions(image_dir=Path("p"), output_graph=Path("x/y.pb"), architecture="mobilenet_0.25_128")  # type: ignore[arg-type]
    assert (options.record, options.report) == (Path("x/y.json"), Path("x/y.html"))
    assert options.summaries == Path("tf_files/training_summaries/mobilenet_0.25_128")
    assert replace(options, summaries_dir=Path("s")).summaries == Path("s")


def scores_of(count: int, sharpness: float) -> tuple[Any, Any]:
    """Return scores that are calibrated by the temperature `sharpness`, and the classes."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((count, 3)) * 2
    truth = np.array([rng.choice(3, p=np.exp(row) / np.exp(row).sum()) for row in logits])
    powers = np.exp(logits * sharpness)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), truth


@pytest.mark.parametrize(("fitted", "errors"), [(2.0, 1.0), (0.5, 2.0)])
def test_temperature_is_moved_towards_one(fitted: float, errors: float, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, truth = scores_of(50, 1.0)
    monkeypatch.setattr(temperature_scaling, "temperature_spread", lambda *rest: 0.1)
    expected = math.log(fitted) - math.copysign(errors * 0.1, math.log(fitted))
    assert math.log(_shrink(fitted, scores, truth, None)) == pytest.approx(expected)
    monkeypatch.setattr(temperature_scaling, "temperature_spread", lambda *rest: 5.0)
    assert _shrink(fitted, scores, truth, None) == 1.0, "not beyond 1"
    assert _shrink(fitted, scores[:0], truth[:0], None) == 1.0


def test_logit_scale_is_the_ratio_of_the_centered_logits_of_two_heads() -> None:
    rng = np.random.default_rng(0)
    solved = Head(rng.standard_normal((60, 3)).astype(np.float32), np.zeros(3, np.float32))
    bottlenecks, classes = draw(10)
    sets = np.full(30, SPLIT_NAMES.index("training"))
    sets[20:] = SPLIT_NAMES.index("validation")
    bottlenecks[:20] *= rng.random((20, 60)).astype(np.float32)
    data = training_data(bottlenecks, classes, sets)
    head = Head(solved.weights * np.float32(1.7) + 0.5, solved.biases + np.float32(3))
    assert _stretch(head, solved, data) == pytest.approx(1.7, rel=1e-3)
    noise = rng.standard_normal((60, 3)).astype(np.float32)
    other = Head(solved.weights + noise, solved.biases)
    mine, theirs = (_centered(one.logits(bottlenecks[20:])) for one in (other, solved))
    assert _stretch(other, solved, data) == pytest.approx(
        max((mine * theirs).sum() / (theirs**2).sum(), 1e-3), rel=1e-4
    )
    trained = training_data(bottlenecks[:20], classes[:20], sets[:20])
    assert _stretch(head, solved, trained) == pytest.approx(1.7, rel=1e-3)
    assert _stretch(Head(-solved.weights, solved.biases), solved, data) == 1e-3


def test_dividing_the_logits_does_not_change_predictions() -> None:
    head = Head(np.array([[2.0, 1.0]], np.float32), np.array([0.5, 0.25], np.float32))
    vectors = np.array([[1.0], [-3.0]], np.float32)
    divided, used = _divided(head, 2.0, vectors)
    assert used == 2.0 and divided.weights.tolist() == [[1.0, 0.5]] and divided.biases.tolist() == [0.25, 0.125]

    class Unstable(Head):
        def logits(self, vectors: Any) -> Any:
            return np.array([[1.0, 0.0]] * len(vectors), np.float32)

    unstable = Unstable(np.array([[0.0, 1.0]], np.float32), np.zeros(2, np.float32))
    found, used = _divided(unstable, 1.5, vectors[:1])
    assert found is unstable and used == 1.0


def test_temperature_is_rejected_if_it_increases_the_loss_on_a_split_made_by_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Data(SimpleNamespace):
        def plain(self, name: str) -> LabeledVectors:
            return self.sets[name]  # type: ignore[no-any-return]

    vectors = np.array([[2.0], [-2.0], [2.0], [2.0]], np.float32)
    sure = LabeledVectors(vectors, np.array([0, 1, 0, 0]))
    wrong = LabeledVectors(vectors, np.array([1, 0, 1, 0]))
    head = Head(np.array([[1.0, -1.0]], np.float32), np.zeros(2, np.float32))

    def judged(temperature: float, groups: Any = None, **sets: LabeledVectors) -> bool:
        photos = SimpleNamespace(photos=SimpleNamespace(has_folder=lambda name: name in sets))
        return _is_safe(head, Data(photos=photos, sets=sets, groups=groups), temperature)  # type: ignore[arg-type]

    assert judged(0.5, validation=sure) and not judged(2.0, validation=sure)
    assert not judged(0.5, validation=wrong) and judged(2.0, validation=wrong)
    assert not judged(0.5, validation=sure, test=wrong) and not judged(0.5, validation=wrong, test=sure)
    assert judged(0.5) and judged(2.0)
    alike, distinct = SimpleNamespace(are_dependent=True), SimpleNamespace(are_dependent=False)
    assert not judged(0.5, alike) and judged(2.0, alike) and judged(0.5, distinct) and judged(0.5, alike, test=sure)


def test_large_data_sets_are_sampled_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.training.fold_heads.MAX_EVALUATED", 40)
    classes = np.arange(200) % 3
    classes[classes == 2] = np.where(np.arange(len(classes[classes == 2])) < 5, 2, 0)
    rows = np.arange(0, 200)
    chosen = training_rows(classes, rows)
    counts = np.bincount(classes[chosen])
    assert counts[2] == 5 and counts[0] == counts[1] == 13 and (np.diff(chosen) > 0).all()
    assert chosen.max() > 100 and not (chosen[classes[chosen] == 0] == np.flatnonzero(classes == 0)[:13]).all()
    assert MAX_EVALUATED == 20_000 or MAX_EVALUATED > 1000
    assert training_rows(classes, rows[:40]) is not None and len(training_rows(classes, rows[:40])) == 40
    monkeypatch.setattr("poets_edge.training.cross_validation.MAX_EVALUATED", 40)
    some = sample_rows(rows * 2, 3)
    assert len(some) == 40 and (np.diff(some) > 0).all() and set(some.tolist()) <= set((rows * 2).tolist())
    assert some.tolist() != sample_rows(rows * 2, 4).tolist() and len(sample_rows(rows[:40], 3)) == 40


def test_sample_weights_of_a_fold_sum_to_one_and_balance_the_classes() -> None:
    classes = np.array([0, 0, 0, 1, 1, 3, 3, 3, 3])
    fold = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0])
    found = _sample_weights(classes, fold, 5)
    assert found.sum(axis=0) == pytest.approx([1, 1])
    assert found[:, 1] == pytest.approx([1 / 3, 0, 0, 1 / 6, 1 / 6, 0, 0, 1 / 6, 1 / 6])
    assert found[:, 0] == pytest.approx([0, 1 / 4, 1 / 4, 0, 0, 1 / 4, 1 / 4, 0, 0]), "of two classes"


def test_head_with_an_infinite_weight_or_bias_is_reported_as_diverged() -> None:
    fine = Head(np.ones((2, 2), np.float32), np.ones(2, np.float32))
    _check_finite(fine, 3, HeadOptions())
    for part in ("weights", "biases"):
        values = getattr(fine, part).copy()
        values.flat[-1] = np.inf
        with pytest.raises(Exception, match="diverged by step 3"):
            _check_finite(replace(fine, **{part: values}), 3, HeadOptions(learning_rate=1.0))


def test_validation_batch_is_drawn_from_all_photos() -> None:
    head = Head(np.zeros((1, 2), np.float32), np.array([1.0, 0.0], np.float32))
    classes = np.repeat([0, 1], 500)  # the first half is predicted correctly
    data = LabeledVectors(np.zeros((1000, 1), np.float32), classes)
    rng = np.random.default_rng(0)
    batch = np.zeros((1, 1), np.float32)
    found = [_evaluate(0, head, batch, classes[:1], data, 100, rng).validation_accuracy for _ in range(20)]
    assert np.mean([one or 0 for one in found]) == pytest.approx(0.5, abs=0.05) and len(set(found)) > 3
    assert _evaluate(0, head, batch, classes[:1], data, -1, rng).validation_accuracy == 0.5


def test_initial_weights_are_truncated_at_two_standard_deviations() -> None:
    found = _initial_weights(200, 50, np.random.default_rng(0))
    assert np.abs(found).max() <= 0.002 and np.abs(found).max() > 0.00195
    assert float(found.std()) == pytest.approx(0.00088, rel=0.03)
