"""Frames like those of a camera, made from the shared photos, and a display that ignores predictions."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from poets_edge.device.watch.prediction import Prediction

SIZE = (320, 240)


def photos_of(flowers: Path, each: int) -> list[Path]:
    """Return the paths of the first `each` photos of each class, sorted by class."""
    folders = sorted(path for path in flowers.iterdir() if path.is_dir())
    return [photo for folder in folders for photo in sorted(folder.glob("*.jpg"))[:each]]


def jpeg(photo: Path | Image.Image, size: tuple[int, int] = SIZE) -> bytes:
    """Return a photo as a JPEG, resized to the size of a camera frame."""
    image = photo if isinstance(photo, Image.Image) else Image.open(photo)
    data = io.BytesIO()
    image.convert("RGB").resize(size).save(data, "JPEG", quality=90)
    return data.getvalue()


def exact_photos(flowers: Path, each: int, folder: Path) -> Path:
    """Write photos as PNGs of 224 x 224 pixels, which every version of Pillow decodes equally; return the folder."""
    for photo in photos_of(flowers, each):
        (folder / photo.parent.name).mkdir(parents=True, exist_ok=True)
        Image.open(photo).convert("RGB").resize((224, 224)).save(folder / photo.parent.name / f"{photo.stem}.png")
    return folder


def frame_folder(folder: Path, frames: list[bytes]) -> Path:
    """Write frames as frame_1.jpg, frame_2.jpg, ... into a folder; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(frames, 1):
        (folder / f"frame_{number}.jpg").write_bytes(data)
    return folder


class Nowhere:
    """A display that ignores predictions."""

    def show(self, prediction: Prediction) -> None:
        pass

    def idle(self) -> None:
        pass
