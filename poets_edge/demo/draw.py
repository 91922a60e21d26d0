"""Generate images of the five flowers in the TensorFlow for Poets codelab, as a substitute for real photos.

An image has a background (grass, sky, soil, a wall, lights out of focus), one to four flowers of one kind with stems
and leaves, sometimes an object in the foreground, and the lighting, blur and noise of a small camera. The same seed and
version of Pillow result in identical files.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from poets_edge.core.files import unused_folder
from poets_edge.demo.flowers import (
    BROWN,
    CREAM,
    GREEN,
    HEADS,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    WHITE,
    YELLOW,
    Color,
    blend,
    shade,
)
from poets_edge.errors import UsageError
from poets_edge.photos.folder import PhotoFolder, scan
from poets_edge.progress import Reporter, Silent

PER_CLASS = 60
"""Default number of generated photos per class."""
_SIZES = ((240, 180), (180, 240), (240, 240), (280, 200), (320, 213))
_FINE = 2
"""Factor by which images are drawn larger than their final size, so that reducing them smooths the edges."""

_GRASS: tuple[Color, ...] = ((70, 110, 45), (45, 75, 35), (120, 150, 70))
_GROUNDS: tuple[Color, ...] = (
    *_GRASS,
    *((130, 175, 220), (215, 225, 235)),  # sky
    *((110, 80, 55), (60, 45, 35)),  # soil
    *((190, 180, 165), (35, 40, 38), (150, 150, 150), (200, 150, 120)),  # walls and shade
)


def draw_photos(
    folder: Path, *, per_class: int = PER_CLASS, seed: int = 0, reporter: Reporter | None = None
) -> PhotoFolder:
    """Generate images of the five flowers in the TensorFlow for Poets codelab, in a new or empty folder.

    Args:
        folder: folder for the images, in which each class has a folder.
        per_class: number of images of each flower.
        seed: seed of the random numbers.

    Raises:
        UsageError: `per_class` is below 1 or `seed` below 0.
        OutputError: the folder is not empty or not writable. No photos are left in it after an error.
    """
    if per_class < 1 or seed < 0:
        raise UsageError(f"photos a class must be 1 or more and the seed 0 or more, not {per_class} and {seed}.")
    with (
        unused_folder(folder) as temporary,
        (reporter or Silent()).progress("drawing", per_class * len(HEADS)) as advance,
    ):
        for label in HEADS:
            (temporary / label).mkdir()
            for number in range(per_class):
                (temporary / _name(label, number)).write_bytes(draw_photo(label, number, seed))
                advance(1)
    return scan(folder)


def drawn_names(per_class: int = PER_CLASS) -> set[str]:
    """Return the paths, relative to the folder, of the images that `draw_photos` writes into a folder.

    Args:
        per_class: number of images of each flower.
    """
    return {_name(label, number) for label in HEADS for number in range(per_class)}


def draw_photo(label: str, number: int, seed: int = 0) -> bytes:
    """Return the content of a JPEG file with a generated photo of the class `label`, 180 to 320 pixels per side."""
    rng = Random(f"{seed}/{label}/{number}")
    width, height = rng.choice(_SIZES)
    picture = _ground(rng, (width * _FINE, height * _FINE))
    _plants(rng, picture, label)
    if rng.random() < 0.4:
        _foreground(rng, picture)
    picture = _camera(rng, picture.resize((width, height), Image.Resampling.BOX))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=rng.randint(80, 95))
    return file.getvalue()


def _name(label: str, number: int) -> str:
    return f"{label}/{label}-{number:03d}.jpg"


def _ground(rng: Random, size: tuple[int, int]) -> Image.Image:
    """Return a blurred background: a gradient between two tones, colored patches and, sometimes, blades of grass."""
    width, height = size
    top, bottom = rng.choice(_GROUNDS), rng.choice(_GROUNDS)
    if rng.random() < 0.4:
        top = shade(bottom, rng.uniform(0.7, 1.3))
    slope = Image.linear_gradient("L").resize(size)
    image = Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), slope)
    pen = ImageDraw.Draw(image)
    patches = (*_GROUNDS, WHITE, YELLOW, RED, PINK, PURPLE, ORANGE, CREAM, GREEN)
    for _ in range(rng.randint(0, 30)):
        radius = rng.uniform(0.02, 0.14) * width
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        tone = blend(rng.choice(patches), bottom, rng.uniform(0.1, 0.7))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius * rng.uniform(0.5, 1.2)), fill=tone)
    if rng.random() < 0.5:
        for _ in range(rng.randint(40, 140)):
            _blade(rng, pen, size, shade(rng.choice(_GRASS), rng.uniform(0.6, 1.3)), 0.5)
    return image.filter(ImageFilter.BoxBlur(rng.choice((1, 3, 6, 10))))


def _plants(rng: Random, picture: Image.Image, label: str) -> None:
    """Draw one to four flowers of the class `label`, the smallest first."""
    width, height = picture.size
    count = rng.choice((1, 1, 1, 2, 2, 3, 4))
    for size in sorted(round(min(width, height) * rng.uniform(0.42, 0.95) / count**0.4) for _ in range(count)):
        reach = size * 0.3
        x = rng.uniform(reach, width - reach) if count > 1 else rng.gauss(width / 2, width * 0.12)
        y = rng.uniform(reach, height - reach) if count > 1 else rng.gauss(height * 0.45, height * 0.1)
        head = HEADS[label](rng, size)
        upright = label == "tulips"
        if not upright:  # tilted relative to the camera, in any direction
            flat = rng.choice((1.0, rng.uniform(0.55, 1.0)))
            head = head.resize((size, max(8, round(size * flat))), Image.Resampling.BILINEAR)
        turn = rng.gauss(0, 22) if upright else rng.uniform(0, 360)
        head = head.rotate(turn, Image.Resampling.BILINEAR, expand=True)
        if upright or rng.random() < 0.6:
            lean = math.radians(turn) if upright else rng.gauss(0, 0.3)
            foot = (x + math.sin(lean) * size * 0.36, y + math.cos(lean) * size * 0.36) if upright else (x, y)
            _stem(rng, picture, foot, lean, size, broad=rng.random() < (0.8 if upright else 0.25))
        corner = (round(x - head.width / 2), round(y - head.height / 2))
        if rng.random() < 0.5:
            _shadow(picture, head, corner, size)
        picture.paste(head, corner, head)


def _stem(
    rng: Random, picture: Image.Image, start: tuple[float, float], lean: float, size: int, *, broad: bool
) -> None:
    """Draw a stem downwards from a flower head, with up to three broad or small leaves."""
    pen = ImageDraw.Draw(picture)
    green = shade(rng.choice((GREEN, (60, 100, 45), (110, 140, 80))), rng.uniform(0.7, 1.15))
    x, y = start
    line = [
        (x + math.sin(lean) * d - d * d * math.sin(lean) / (6 * size), y + math.cos(lean) * d) for d in _steps(size)
    ]
    pen.line(line, fill=green, width=max(2, round(size * rng.uniform(0.025, 0.05))), joint="curve")
    for _ in range(rng.randint(0, 3)):
        foot = rng.choice(line[2:])
        angle = -math.pi / 2 + rng.choice((-1, 1)) * rng.uniform(0.3, 1.1)
        length, width = size * (rng.uniform(0.5, 0.9) if broad else rng.uniform(0.2, 0.4)), size * 0.07
        tip = (foot[0] + math.cos(angle) * length, foot[1] + math.sin(angle) * length)
        middle = ((foot[0] + tip[0]) / 2, (foot[1] + tip[1]) / 2)
        side = (-math.sin(angle) * width, math.cos(angle) * width)
        leaf = [foot, (middle[0] + side[0], middle[1] + side[1]), tip, (middle[0] - side[0], middle[1] - side[1])]
        pen.polygon(leaf, fill=shade(green, rng.uniform(0.75, 1.2)))
        pen.line([foot, tip], fill=shade(green, 1.3))


def _steps(size: int) -> list[float]:
    return [size * step / 6 for step in range(13)]


def _shadow(picture: Image.Image, head: Image.Image, corner: tuple[int, int], size: int) -> None:
    offset = max(2, size // 25)
    mask = head.getchannel("A").filter(ImageFilter.BoxBlur(offset)).point(lambda alpha: alpha * 0.4)
    picture.paste((15, 20, 10), (corner[0] + offset, corner[1] + offset), mask)


def _foreground(rng: Random, picture: Image.Image) -> None:
    """Draw blades of grass or a blurred leaf in the foreground of the image."""
    layer = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(layer)
    if rng.random() < 0.6:
        for _ in range(rng.randint(3, 12)):
            _blade(rng, pen, picture.size, shade(rng.choice((GREEN, BROWN, (60, 100, 45))), rng.uniform(0.6, 1.3)), 1)
        layer = layer.filter(ImageFilter.BoxBlur(1))
    else:
        width, height = picture.size
        edge = rng.choice(
            ((0, rng.uniform(0, height)), (width, rng.uniform(0, height)), (rng.uniform(0, width), height))
        )
        radius = rng.uniform(0.15, 0.35) * min(width, height)
        box = (edge[0] - radius, edge[1] - radius * 1.4, edge[0] + radius, edge[1] + radius * 1.4)
        pen.ellipse(box, fill=(*shade(rng.choice((GREEN, BROWN, PINK, YELLOW, WHITE)), rng.uniform(0.5, 1)), 235))
        layer = layer.filter(ImageFilter.BoxBlur(8))
    picture.paste(layer, (0, 0), layer)


def _blade(rng: Random, pen: ImageDraw.ImageDraw, size: tuple[int, int], color: Color, tall: float) -> None:
    width, height = size
    x, bend = rng.uniform(0, width), rng.gauss(0, 0.12) * width
    top = height * (1 - tall * rng.uniform(0.3, 1.1))
    thick = rng.uniform(0.006, 0.016) * width
    pen.polygon([(x - thick, height), (x + thick, height), (x + bend, top)], fill=color)


def _camera(rng: Random, picture: Image.Image) -> Image.Image:
    """Return the image with random side lighting, color temperature, exposure, mirroring, blur and noise."""
    if rng.random() < 0.6:
        side = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(picture.size)
        light = side.point(lambda value: 255 - value * 0.45)
        picture = ImageChops.multiply(picture, Image.merge("RGB", (light, light, light)))
    warmth = rng.gauss(0, 0.07)
    red, green, blue = picture.split()
    picture = Image.merge("RGB", (red.point(lambda v: v * (1 + warmth)), green, blue.point(lambda v: v * (1 - warmth))))
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.65, 1.25))
    picture = ImageEnhance.Color(picture).enhance(rng.uniform(0.6, 1.3))
    picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.75, 1.15))
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.6)))
    noise = Image.frombytes("L", picture.size, rng.randbytes(picture.width * picture.height))
    return Image.blend(picture, Image.merge("RGB", (noise, noise, noise)), rng.uniform(0.0, 0.07))
