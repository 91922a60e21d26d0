"""Videos for the fake camera of Chromium."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SCENES = {"mug": "#c8402f", "spoon": "#2f6fc8"}
"""Color of the object that the fake camera shows for each class."""

_FRAME = (320, 240)


def write_scenes(path: Path) -> None:
    """Write a video that alternates between two scenes, two seconds each. All frames of a scene are different."""
    scenes = enumerate(SCENES.values())
    frames = ((color, np.random.default_rng([seed, number])) for seed, color in scenes for number in range(20))
    write_video(path, (_scene(color, random) for color, random in frames))


def write_video(path: Path, frames: Iterable[Image.Image]) -> None:
    """Write frames of equal size as a Y4M video with 10 frames per second, for Chromium's fake camera."""
    with path.open("wb") as video:
        for number, frame in enumerate(frames):
            if number == 0:
                video.write(f"YUV4MPEG2 W{frame.width} H{frame.height} F10:1 Ip A1:1 C420jpeg\n".encode())
            video.write(b"FRAME\n" + _yuv(frame))


def _scene(color: str, random: np.random.Generator) -> Image.Image:
    grain = random.integers(150, 235, (_FRAME[1] // 8, _FRAME[0] // 8, 1)).repeat(3, axis=2).astype(np.uint8)
    picture = Image.fromarray(grain).resize(_FRAME)
    left, top, side = (int(random.integers(low, high)) for low, high in ((60, 120), (20, 80), (90, 140)))
    ImageDraw.Draw(picture).ellipse((left, top, left + side, top + side), fill=color)
    return picture


def _yuv(picture: Image.Image) -> bytes:
    luma, blue, red = picture.convert("YCbCr").split()
    halves = [plane.resize((picture.width // 2, picture.height // 2)) for plane in (blue, red)]
    return b"".join(plane.tobytes() for plane in (luma, *halves))
