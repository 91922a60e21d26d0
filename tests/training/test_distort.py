"""Tests of distortions: limits of their options, names of variants, and pixels at the limits of the range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import UsageError
from poets_edge.photos.image import fit
from poets_edge.training.distort import Distortions, distort


@pytest.mark.parametrize("name", ["random_crop", "random_scale", "random_brightness"])
def test_distortions_reject_values_outside_0_to_100_percent(name: str) -> None:
    for value in (0, 100):
        Distortions(**{name: value})  # type: ignore[arg-type]
    for value in (-1, 101):
        with pytest.raises(UsageError, match=f"`{name}` is a percentage between 0 and 100, not {value}"):
            Distortions(**{name: value})  # type: ignore[arg-type]


def test_distortions_require_at_least_one_variant() -> None:
    assert len(Distortions(variants=1).names()) == 1
    with pytest.raises(UsageError, match="`variants` must be 1 or more"):
        Distortions(variants=0)


@pytest.mark.parametrize(
    ("fields", "is_active"),
    [
        ({}, False),
        ({"variants": 3}, False),
        ({"flip_left_right": True}, True),
        ({"random_crop": 1}, True),
        ({"random_scale": 1}, True),
        ({"random_brightness": 1}, True),
    ],
)
def test_distortions_are_active_if_any_distortion_is_set(fields: dict[str, Any], is_active: bool) -> None:
    assert Distortions(**fields).active == is_active


def test_variant_names_depend_on_settings_but_not_on_the_total_number_of_variants() -> None:
    names = Distortions(random_crop=5).names()
    assert len(names) == len(set(names)) == 8
    assert Distortions(random_crop=5, variants=3).names() == names[:3]
    assert not set(names) & set(Distortions(random_crop=6).names())


def test_distortion_clips_bright_pixels() -> None:
    white = Image.new("RGB", (20, 20), "white")
    copies = [distort(white, (4, 4), Distortions(random_brightness=100), f"{n}", b"") for n in range(20)]
    assert {int(copy.max()) for copy in copies} >= {255}, "and none wraps around to a dark pixel"
    assert all(copy.min() == copy.max() for copy in copies)
    assert sum(int(copy[0, 0, 0]) == 255 for copy in copies) in range(4, 17), "about half become brighter"


def test_photo_without_distortions_is_only_resized() -> None:
    image = Image.fromarray(np.arange(30 * 20 * 3, dtype=np.uint8).reshape(30, 20, 3))
    assert (distort(image, (8, 6), Distortions(), "x", b"1") == fit(image, (8, 6))).all()


def test_random_crops_are_distributed_over_the_whole_photo() -> None:
    """Windows of half the photo's size start at all positions in the left half and in the upper half of the photo."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(100), np.arange(100)[:, None]
    corners = [
        distort(Image.fromarray(pixels), (50, 50), Distortions(random_crop=100), f"{n}", b"")[0, 0] for n in range(60)
    ]
    for channel in (0, 1):
        starts = [int(corner[channel]) for corner in corners]
        assert min(starts) < 8 and 42 < max(starts) <= 51
    assert any(abs(int(corner[0]) - int(corner[1])) > 10 for corner in corners)


def test_distortion_rounds_pixels_to_the_nearest_value() -> None:
    """A line fitted to a darkened ramp of all pixel values starts at 0; with truncation, it would start at -0.5."""
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2).repeat(2, axis=0)
    copies = (
        distort(Image.fromarray(ramp), (2, 256), Distortions(random_brightness=60), f"{n}", b"") for n in range(9)
    )
    darker = [copy[0, :, 0] for copy in copies if copy.max() < 250]
    assert len(darker) > 1
    for found in darker:
        factor, offset = np.polyfit(np.arange(256), found, 1)
        assert abs(offset) < 0.2 and 0.4 <= factor < 1


def test_distortion_generates_different_variants_for_different_photos() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    one, other = (distort(image, (8, 8), Distortions(random_crop=50), "n", digest) for digest in (b"one", b"other"))
    assert not np.array_equal(one, other)
