"""Tests of the colors of generated flowers, and of the latency that `quickstart` measures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from poets_edge.demo import quickstart
from poets_edge.demo.draw import draw_photos, drawn_names
from poets_edge.demo.flowers import HEADS, _at, _box, blend, shade
from poets_edge.errors import OutputError, UsageError
from poets_edge.photos.folder import Photo


@pytest.mark.parametrize(
    ("factor", "expected"), [(0, (0, 0, 0)), (0.5, (100, 50, 5)), (1, (200, 100, 10)), (2, (228, 178, 132))]
)
def test_colors_are_darkened_by_factors_below_1_and_lightened_by_factors_above_1(
    factor: float, expected: tuple[int, int, int]
) -> None:
    assert shade((200, 100, 10), factor) == expected


def test_blend_mixes_two_colors() -> None:
    assert blend((200, 100, 10), (100, 200, 50), 0.25) == (175, 125, 20)
    assert blend((200, 100, 10), (100, 200, 50), 0) == (200, 100, 10)


def test_polar_coordinates_and_bounding_boxes_are_converted_to_pixels() -> None:
    assert _at((10, 20), 0, 5) == (15, 20)
    assert _at((10, 20), np.pi / 2, 5) == pytest.approx((10, 25))
    assert _box((10, 20), 3) == (7, 17, 13, 23)


def test_photos_are_not_drawn_with_an_invalid_number_or_seed(tmp_path: Path) -> None:
    for per_class, seed in ((0, 0), (1, -1)):
        with pytest.raises(UsageError, match=f"not {per_class} and {seed}"):
            draw_photos(tmp_path / "photos", per_class=per_class, seed=seed)
    found = draw_photos(tmp_path / "photos", per_class=2)
    assert drawn_names(2) == {photo.name for photo in found.photos} and len(found.photos) == 2 * len(HEADS)


def test_latency_is_the_median_in_milliseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    clock, durations = [0.0], [0.002] * 51 + [0.5] * 49

    class Model:
        size = (4, 6)

        def score_pixels(self, pixels: Any) -> None:
            assert pixels.shape == (4, 6, 3)
            clock[0] += durations.pop()

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    photo = Photo(tmp_path / "1.png", "a", "1.png")
    assert quickstart._latency_ms(cast(Any, Model()), photo) == pytest.approx(2.0)
    assert not durations, "one hundred inferences"


def test_photos_from_an_earlier_quickstart_are_reused_if_none_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickstart, "drawn_names", lambda: drawn_names(2))
    draw_photos(tmp_path / "photos", per_class=2)
    assert len(quickstart._existing_photos(tmp_path / "photos").photos) == 10
    (tmp_path / "photos" / sorted(drawn_names(2))[0]).unlink()
    with pytest.raises(OutputError, match=r"not the photos that quickstart draws.*`output_dir`"):
        quickstart._existing_photos(tmp_path / "photos")
