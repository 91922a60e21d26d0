"""Test of detecting rotated photos, on synthetic landscapes with a bright sky above dark ground."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import poets_edge


def _landscape(rng: np.random.Generator, sun: tuple[int, int, int]) -> Image.Image:
    width, height, horizon = 160, 128, int(rng.integers(50, 80))
    pixels = np.empty((height, width, 3))
    pixels[:horizon] = np.linspace([90, 150, 240], [200, 220, 250], horizon)[:, None]
    pixels[horizon:] = np.array([60, 110, 40]) + rng.integers(-25, 25, (height - horizon, width, 1))
    x, y = rng.integers(20, 140), rng.integers(15, 40)
    rows, columns = np.mgrid[:height, :width]
    pixels[(rows - y) ** 2 + (columns - x) ** 2 < 100] = sun
    return Image.fromarray((pixels + rng.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8))


def test_audit_finds_rotated_photos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clockwise, upside_down = "turn it 90 degrees clockwise", "turn it upside down"
    turned = {"day/3.png": (90, clockwise), "day/11.png": (180, upside_down), "dusk/7.png": (90, clockwise)}
    for label, sun in (("day", (255, 250, 200)), ("dusk", (220, 60, 30))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(25):
            name = f"{label}/{number}.png"
            image = _landscape(rng, sun).rotate(turned.get(name, (0, ""))[0], expand=True)
            image.save(tmp_path / "photos" / name)
    audit = ("audit", tmp_path / "photos", "--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--json")
    plain = json.loads(poets_edge(*audit, cwd=tmp_path).ok().stdout)
    assert not any(group["reason"] == "turned" for group in plain["oddities"])
    found = json.loads(poets_edge(*audit, "--orientation", cwd=tmp_path).ok().stdout)
    [group] = [group for group in found["oddities"] if group["reason"] == "turned"]
    listed = dict(zip(group["photos"], group["details"], strict=True))
    assert set(turned) <= set(listed) and len(listed) <= 5
    assert all(listed[name] == remedy for name, (_, remedy) in turned.items())
