"""Tests of the logistic regression for background photos, compared with plain gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poets_edge.training import fold_heads
from poets_edge.training.background_model import fit_background

KNOWN = np.array([[0.6, 0.8, 0.0], [0.8, 0.6, 0.0], [1.0, 0.0, 0.0], [0.6, 0.0, 0.8]])
FOLD = np.array([0, 0, 1, 1])
STRANGER = np.array([0.0, 0.28, 0.96])
"""Vector of every background photo. All are identical, so their assignment to folds does not matter."""


def logit(known: Any, strangers: int, stranger: Any = STRANGER) -> Any:
    """Return the difference of the two logits as a function of unit vectors, fitted to photos and background photos.

    The penalty corresponds to 400 steps with a learning rate of 0.01 on vectors of length 15, where both
    classes have the same weight.
    """
    vectors = np.concatenate([known, np.repeat(stranger[None], strangers, axis=0)]) * 15
    inputs = np.column_stack([vectors, np.ones(len(vectors))])
    classes = np.repeat([0, 1], [len(known), strangers])
    shares = np.repeat([0.5 / len(known), 0.5 / strangers], [len(known), strangers])
    weights = np.zeros((4, 2))
    for _ in range(6000):  # far more than the steepest direction and the penalty need
        exponents = np.exp(inputs @ weights)
        errors = exponents / exponents.sum(axis=1, keepdims=True) - np.eye(2)[classes]
        weights -= (inputs.T @ (errors * shares[:, None]) + weights / (400 * 0.01)) / 120
    difference = weights[:, 1] - weights[:, 0]
    return lambda units: np.atleast_2d(units) @ difference[:3] * 15 + difference[3]


def test_background_model_agrees_with_gradient_descent_for_each_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_heads, "_TOLERANCE", 1e-7)
    found = fit_background(KNOWN, FOLD, np.repeat(STRANGER[None], 6, axis=0), seed=0)
    first, second = logit(KNOWN[FOLD != 0], 3), logit(KNOWN[FOLD != 1], 3)
    expected = np.concatenate([first(KNOWN[:2]), second(KNOWN[2:])])
    np.testing.assert_allclose(found.known, expected, atol=0.05)
    assert sorted(found.background.tolist()) == pytest.approx(
        sorted([*first(STRANGER)] * 3 + [*second(STRANGER)] * 3), abs=0.05
    )
    assert (found.known[:3] < 0).all() and (found.background > 0).all()
    every = np.concatenate([KNOWN, STRANGER[None]])
    np.testing.assert_allclose(found.model(every), (first(every) + second(every)) / 2, atol=0.05)


def test_background_model_uses_its_bias_to_separate_photos_between_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background photos lie between the others, so no plane through the origin separates them."""
    monkeypatch.setattr(fold_heads, "_TOLERANCE", 1e-7)
    known = np.array([[0.6, 0.8, 0.0], [0.6, -0.8, 0.0]] * 2)
    between = np.array([1.0, 0.0, 0.0])
    found = fit_background(known, FOLD, np.repeat(between[None], 6, axis=0), seed=0)
    expected = logit(known[:2], 3, between)
    assert found.known == pytest.approx(expected(known), abs=0.05) and found.model.bias < -0.8
    assert found.background == pytest.approx(expected(between).repeat(6), abs=0.05)
