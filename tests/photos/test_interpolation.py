"""Tests of bilinear resizing without antialiasing, with floating-point arithmetic as the reference."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from poets_edge.photos.interpolation import _neighbors, interpolate


@pytest.mark.parametrize("size", [(4, 7), (9, 13), (30, 5), (8, 12)])
def test_interpolation_agrees_with_floating_point_arithmetic(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)

    def along(
        values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], new: int
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Interpolate along the first axis at the positions i * length / new; round half up."""
        places = np.arange(new) * len(values) / new
        columns = values.reshape(len(values), -1).T
        found = np.stack([np.interp(places, np.arange(len(values)), column) for column in columns], axis=1)
        return np.asarray(np.floor(found + 0.5).reshape(new, *values.shape[1:]))

    narrowed = along(pixels.astype(np.float64).transpose(1, 0, 2), size[1]).transpose(1, 0, 2)
    expected = along(narrowed, size[0])
    found = interpolate(Image.fromarray(pixels), size)
    assert found.shape == (*size, 3) and found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1 and (found != expected).mean() < 0.01


def test_interpolation_rounds_half_up_and_does_not_average_over_skipped_pixels() -> None:
    pixels = np.repeat(np.array([[0, 10, 20, 31], [1, 110, 121, 130]], np.uint8)[..., None], 3, axis=2)
    image = Image.fromarray(pixels)
    assert interpolate(image, (4, 4))[..., 0].T.tolist() == [
        [0, 1, 1, 1], [10, 60, 110, 110], [20, 71, 121, 121], [31, 81, 130, 130],
    ]  # fmt: skip
    assert interpolate(image, (1, 2))[0, :, 0].tolist() == [0, 20], "every other pixel"


@pytest.mark.parametrize(("size", "new_size"), [(7, 13), (640, 224), (3, 224), (224, 3), (5, 5), (1, 4)])
def test_interpolation_weights_are_rounded_to_22_bits(size: int, new_size: int) -> None:
    first, second, weights = _neighbors(size, new_size)
    for place in range(new_size):
        exact = Fraction(place * size, new_size)
        assert first[place] == int(exact) and second[place] == min(int(exact) + 1, size - 1)
        assert abs(weights[place] - (exact - int(exact)) * 2**22) <= Fraction(501, 1000)
