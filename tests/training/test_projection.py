"""Tests of the PCA projection of bottlenecks, with numpy's singular value decomposition as the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poets_edge.training.projection import pca_projection


def test_pca_projection_keeps_the_directions_of_the_largest_variance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((100, 100)))[0]
    spreads = np.where(np.arange(100) < 64, 2.0, 0.1)
    vectors = (3 + rng.standard_normal((300, 100)) * spreads @ axes).astype(np.float32)
    found = np.asarray(pca_projection(vectors, tmp_path)[:])
    centered = vectors - vectors.mean(axis=0)
    largest = np.linalg.svd(centered, full_matrices=False)[2][:64]
    expected = centered @ largest.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert found.shape == (300, 64)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        found @ found.T, expected @ expected.T, atol=1e-4
    )  # the axes are unique but for rotation
