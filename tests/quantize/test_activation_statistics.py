"""Tests of calibration: photos are read in order, and the number of threads does not affect the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.demo.draw import draw_photos
from poets_edge.errors import DatasetError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.network import Network
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import Photo, scan
from poets_edge.quantize import quantize as quantize_module
from poets_edge.quantize.activation_statistics import Int8Calibration, calibrate, calibration_pixels
from poets_edge.quantize.quantize import quantize
from tests.quantize.test_detector import bottlenecks, detector, pictures
from tests.quantize.test_detector import network as network_with

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


def test_calibration_returns_identical_results_for_any_number_of_workers(network: Network, photos: list[Photo]) -> None:
    pixels = calibration_pixels(photos, EMBEDDED.size)
    one, four = (calibrate(network, pixels, workers=workers) for workers in (1, 4))
    assert one.ranges == four.ranges
    assert len(one.kernels) == 27
    for name, kernel in one.kernels.items():
        np.testing.assert_array_equal(kernel, four.kernels[name])
    backwards = calibrate(network, pixels[::-1], workers=4)
    assert backwards.ranges == one.ranges, "ranges do not depend on the order"
    assert quantize(network, "int8", pixels) == quantize(network, "int8", pixels)


def test_calibration_photos_keep_their_order_and_unreadable_ones_are_skipped(
    photos: list[Photo], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    some = [*photos[:4], replace(photos[0], path=broken, name="daisy/broken.jpg", sha256=""), *photos[4:]]
    found = calibration_pixels(some, EMBEDDED.size)
    assert len(found) == len(photos)
    for picture, photo in zip(found, photos, strict=True):
        np.testing.assert_array_equal(picture, calibration_pixels([photo], EMBEDDED.size)[0])
    with pytest.raises(DatasetError, match="none can be read"):
        calibration_pixels(some[4:5], EMBEDDED.size)


def _saved(folder: Path, values: list[int]) -> list[Photo]:
    """Write one image for each value: 40 x 30 pixels of black and one half of the given gray."""
    found = []
    for number, value in enumerate(values):
        pixels = np.zeros((30, 40, 3), np.uint8)
        pixels[:, 20:] = value
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        found.append(Photo(path, path.name, "a"))
    return found


def test_calibration_is_refused_only_if_all_photos_are_blank(tmp_path: Path) -> None:
    """A photo is blank if its values differ by less than 8."""
    assert len(calibration_pixels(_saved(tmp_path, [0, 8, 0]), (30, 40))) == 3
    assert len(calibration_pixels(_saved(tmp_path, [8]), (30, 40))) == 1
    with pytest.raises(DatasetError, match="all of one color"):
        calibration_pixels(_saved(tmp_path, [0, 7]), (30, 40))


def test_calibration_collects_the_bottlenecks_of_all_photos_for_a_detector() -> None:
    images = pictures(7)
    assert calibrate(network_with(None), images).bottlenecks is None
    found = calibrate(network_with(detector()), images, workers=2).bottlenecks
    assert found is not None
    np.testing.assert_allclose(found, bottlenecks(images), rtol=1e-4, atol=1e-5)


def test_biases_are_corrected_only_in_full_int8_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only full-int8 files have corrected biases; both have rounded kernels."""
    written: list[tuple[str, Network, Any]] = []

    def record(kind: str) -> Any:
        def write(network: Network, ranges: object, **options: Any) -> bytes:
            written.append((kind, network, options))
            return b""

        return write

    for name in ("int8", "full_int8"):
        monkeypatch.setattr(quantize_module, f"write_{name}_model", record(name))
    net = network_with(detector())
    rounded = np.full_like(net.parameters["first"].kernel, 0.5)
    corrections = np.arange(1, len(net.parameters["first"].bias) + 1).astype(np.float32)
    vectors = np.ones((2, 3), np.float32)
    statistics = Int8Calibration({}, {"first": rounded}, {"first": corrections}, vectors)
    quantize_module.quantize_int8(net, replace(statistics, bottlenecks=None), [], float_io=True)
    quantize_module.quantize_fully(net, statistics, input_type="int8", gray=True)
    (_, plain, first), (_, full, second) = written
    for one in (plain, full):
        np.testing.assert_array_equal(one.parameters["first"].kernel, rounded)
        for name in set(net.parameters) - {"first"}:
            np.testing.assert_array_equal(one.parameters[name].kernel, net.parameters[name].kernel)
            np.testing.assert_array_equal(one.parameters[name].bias, net.parameters[name].bias)
    np.testing.assert_array_equal(plain.parameters["first"].bias, net.parameters["first"].bias)
    np.testing.assert_allclose(full.parameters["first"].bias, net.parameters["first"].bias + corrections)
    assert first == {"float_io": True, "bottleneck_shift": None}
    assert second["bottlenecks"] is vectors and second["input_type"] == "int8" and second["gray"] is True
