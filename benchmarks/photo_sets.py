"""Photo sets whose groups of dependent photos are known, for `benchmarks.truth`.

Photos of one object, person or burst, and altered versions of one photo, form a group. Each photo is represented by its
feature vector from mobilenet_0.25_128. `benchmarks.truth` describes the sets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from poets_edge.demo.draw import draw_photo
from poets_edge.demo.flowers import HEADS
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottlenecks import Extractor
from poets_edge.training.head import Indices, Matrix
from tests.hands import draw_hands

ARCHITECTURE = architecture("mobilenet_0.25_128")
SCENES, FRAMES = 100, 6
VARIED = {"variants": 24, "triples": 60, "originals": 60, "rotated": 60}
"""Number of photos per class that have variants (cropped, rotated or recolored pictures), by photo set."""
PERSONS, OF_PERSON, ALONE = 60, 8, 400
OBJECTS, OF_OBJECT = 24, 12

Labeled = Iterator[tuple[Image.Image, str, str]]
"""Iterator over photos, each as (picture, class name, group name)."""


@dataclass(frozen=True)
class PhotoSet:
    """Photos as three arrays: feature vectors, class numbers, and numbers of the true groups of dependent photos."""

    vectors: Matrix
    classes: Indices
    groups: Indices

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"class{number}" for number in range(int(self.classes.max()) + 1))

    def hashed(self, rows: Indices, *, in_order: bool = False) -> HashedPhotos:
        """Return a table of the photos with the given row numbers, named such that names do not reveal the groups.

        Args:
            in_order: whether to give photos in one group successive names instead, which does reveal the groups.
        """
        labels = [self.labels[number] for number in self.classes[rows]]
        numbers = 10 * rows if in_order else 7919 * (rows + 1) % 1_000_003
        names = [f"{label}/{number:06}.jpg" for label, number in zip(labels, numbers, strict=True)]
        return HashedPhotos.of(
            [
                HashedPhoto(Photo(Path(name), name, label), int(row).to_bytes(32, "big"))
                for name, label, row in zip(names, labels, rows, strict=True)
            ]
        )


def one_of_each_group(photos: PhotoSet) -> PhotoSet:
    rows = np.unique(photos.groups, return_index=True)[1]
    return PhotoSet(photos.vectors[rows], photos.classes[rows], photos.groups[rows])


def read(name: str, shared: Path, work: Path) -> PhotoSet:
    """Return the photo set `name`; compute its feature vectors unless an earlier run has saved them in `work`."""
    file = work / f"{name}.npz"
    if not file.exists():
        weights = find_weights(ARCHITECTURE, work / "models")
        extractor = Extractor(prepare_backbone(ARCHITECTURE, weights, work / "bottlenecks").model)
        vectors, labels, groups = [], [], []
        for picture, label, group in pictures(name, shared, work):
            vectors.append(extractor(fit(picture, ARCHITECTURE.size)).copy())
            labels.append(label)
            groups.append(group)
        classes, numbers = (np.unique(of, return_inverse=True)[1].reshape(-1) for of in (labels, groups))
        np.savez(file, vectors=np.stack(vectors), classes=classes, groups=numbers)
    with np.load(file) as stored:
        return PhotoSet(stored["vectors"], stored["classes"].astype(np.int64), stored["groups"].astype(np.int64))


def pictures(name: str, shared: Path, work: Path) -> Labeled:
    """Yield the picture, the class name and the group name of each photo in a set."""
    if name in ("flowers", "defects"):
        folder = shared / "data" / {"flowers": "flower_photos", "defects": "surface_defects"}[name]
        for path in sorted(folder.glob("*/*")):
            if path.suffix.lower() in (".jpg", ".bmp", ".png"):
                yield read_photo(path.read_bytes()), path.parent.name, str(path)
    elif name == "bursts":
        rng = np.random.default_rng(0)
        for label in HEADS:
            for number in range(SCENES):
                scene = read_photo(draw_photo(label, number, seed=3))
                for _ in range(FRAMES):
                    yield frame(scene, rng), label, f"{label}/{number}"
    elif name in VARIED:
        rng = np.random.default_rng(5)
        for folder in sorted((shared / "data/flower_photos").glob("*/")):
            for path in sorted(folder.glob("*.jpg"))[: VARIED[name]]:
                for picture in variants(name, read_photo(path.read_bytes()), rng):
                    yield picture, folder.name, path.name
    elif name in ("objects", "series"):
        rng = np.random.default_rng(6)
        for label, draw in HEADS.items():
            for number in range(OBJECTS):
                flower = draw(Random(f"{label}/{number}"), 160)
                for _ in range(OF_OBJECT):
                    yield on_plain_background(flower, rng), label, f"{label}/{number}"
    else:
        persons, of_person = (PERSONS, OF_PERSON) if name == "persons" else (ALONE, 1)
        with tempfile.TemporaryDirectory(dir=work) as temporary:
            draw_hands(Path(temporary) / "hands", persons=persons, per_class=of_person, named=True, seed=len(name))
            for path in sorted((Path(temporary) / "hands").glob("*/*.jpg")):
                group = path.stem.removeprefix(path.parent.name).split("-")[0]
                yield read_photo(path.read_bytes()), path.parent.name, group if of_person > 1 else path.stem


def frame(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a frame of a burst: the scene with a small random motion and change of exposure."""
    width, height = scene.size
    part = rng.uniform(0.8, 0.95)
    left, top = rng.uniform(0, width * (1 - part)), rng.uniform(0, height * (1 - part))
    box = (round(left), round(top), round(left + width * part), round(top + height * part))
    return ImageEnhance.Brightness(scene.crop(box).rotate(rng.normal(0, 3))).enhance(rng.uniform(0.9, 1.1))


def on_plain_background(thing: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a photo of an object with random size, rotation, position and brightness, on a noisy plain background."""
    side, size = 160, round(160 * rng.uniform(0.2, 0.35))
    noise = rng.normal(0, 20, (side, side, 3))
    photo = Image.fromarray(np.clip(rng.integers(60, 235, 3) + noise, 0, 255).astype(np.uint8))
    turned = thing.resize((size, size)).rotate(rng.uniform(0, 360))
    left, top = rng.integers(0, side - size, 2).tolist()
    photo.paste(turned, (left, top), turned)
    return ImageEnhance.Brightness(photo).enhance(rng.uniform(0.7, 1.3))


def variants(name: str, photo: Image.Image, rng: np.random.Generator) -> list[Image.Image]:
    """Return the pictures that represent a photo in the photo set `name`.

    They are the photo and a rotated copy ("rotated"); the photo and two randomly distorted copies ("originals"); or
    only eight or three randomly distorted copies ("variants", "triples").
    """
    if name == "rotated":
        return [photo, photo.rotate(90, expand=True)]
    if name == "originals":
        return [photo, variant(photo, rng), variant(photo, rng)]
    return [variant(photo, rng) for _ in range(8 if name == "variants" else 3)]


def variant(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a randomly cropped, mirrored, rotated and recolored version of a photo, as in data augmentation."""
    width, height = photo.size
    part = rng.uniform(0.45, 0.8)
    left, top = rng.uniform(0, width * (1 - part)), rng.uniform(0, height * (1 - part))
    found = photo.crop((round(left), round(top), round(left + width * part), round(top + height * part)))
    found = ImageOps.mirror(found) if rng.random() < 0.5 else found
    found = ImageEnhance.Brightness(found.rotate(rng.normal(0, 12))).enhance(rng.uniform(0.6, 1.4))
    return ImageEnhance.Color(found).enhance(rng.uniform(0.5, 1.5))
