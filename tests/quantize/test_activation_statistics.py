"""Tests of calibration: photos are read in order, and the number of threads does not affect the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.errors import DatasetError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.network import Network
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import Photo, scan
from poets_edge.quantize.activation_statistics import calibrate, calibration_pixels
from poets_edge.quantize.quantize import quantize

EMBEDDED = architecture("mobilenet_0.25_128")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    """Return 13 photos, so that the last task has fewer photos than the others."""
    folder = tmp_path_factory.mktemp("photos")
    draw_photos(folder / "photos", per_class=3)
    return list(scan(folder / "photos").photos)[:13]


@pytest.fixture(scope="module")
def network() -> Network:
    backbone = read_backbone(EMBEDDED, find_weights(EMBEDDED, Path("none"), "embedded"))
    head = np.random.default_rng(0).normal(0, 0.4, (EMBEDDED.bottleneck_size, 5)).astype(np.float32)
    return backbone.with_head(head, np.zeros(5, np.float32), "final_result")


def test_calibrate_returns_identical_results_for_any_number_of_workers(network: Network, photos: list[Photo]) -> None:
    pixels = calibration_pixels(photos, EMBEDDED.size)
    one, four = (calibrate(network, pixels, workers=workers) for workers in (1, 4))
    assert one.ranges == four.ranges
    assert len(one.kernels) == 27
    for name, kernel in one.kernels.items():
        np.testing.assert_array_equal(kernel, four.kernels[name])
    backwards = calibrate(network, pixels[::-1], workers=4)
    assert backwards.ranges == one.ranges, "ranges do not depend on the order"
    assert quantize(network, "int8", pixels) == quantize(network, "int8", pixels)


def test_calibration_pixels_keeps_order_and_skips_unreadable_photos(photos: list[Photo], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    some = [*photos[:4], replace(photos[0], path=broken, name="daisy/broken.jpg", sha256=""), *photos[4:]]
    found = calibration_pixels(some, EMBEDDED.size)
    assert len(found) == len(photos)
    for picture, photo in zip(found, photos, strict=True):
        np.testing.assert_array_equal(picture, calibration_pixels([photo], EMBEDDED.size)[0])
    with pytest.raises(DatasetError, match="none can be read"):
        calibration_pixels(some[4:5], EMBEDDED.size)
