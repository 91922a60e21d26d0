"""Synthetic photos of the hands of several persons, for tests of groups of photos.

Persons differ in skin, sleeve, background, size and posture, and the photos of one person are alike. A model that has
learned from some photos of a person therefore classifies that person's other photos better than those of new persons.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

FINGERS = {"paper": (-0.7, -0.35, 0.0, 0.35, 1.1), "rock": (), "scissors": (-0.3, 0.3)}
_SIDE = 160
_SKIN = (225, 172, 140)

Color = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Person:
    """Features that all photos of a person have in common."""

    background: Color
    stripes: Color
    stripe_count: int
    skin: Color
    sleeve: Color
    size: float
    thickness: float
    blur: float
    place: tuple[float, float]
    tilt: float
    spread: float


def draw_hands(folder: Path, *, persons: int, per_class: int, named: bool = False, seed: int = 0) -> Path:
    """Write synthetic photos of each person in each class, named by numbers in random order; return the folder.

    Args:
        per_class: number of photos of each person in each class.
        named: whether to use names such as `CLASS/CLASS01-001.jpg`, with the number of the person and a counter.
    """
    rng = random.Random(f"hands/{seed}")
    everyone = [_person(rng) for _ in range(persons)]
    for label in FINGERS:
        (folder / label).mkdir(parents=True)
        order = [(person, number) for person in range(persons) for number in range(per_class)]
        rng.shuffle(order)
        for place, (person, number) in enumerate(order):
            name = f"{label}{person:02}-{number:03}" if named else f"{7919 * (place + 1) % 100_003:06}"
            _hand(everyone[person], label, rng).save(folder / label / f"{name}.jpg", quality=90)
    return folder


def _person(rng: random.Random) -> Person:
    shade = rng.uniform(0.5, 1.1)
    return Person(
        background=tuple(rng.randrange(40, 256) for _ in range(3)),
        stripes=tuple(rng.randrange(40, 256) for _ in range(3)),
        stripe_count=rng.randrange(12),
        skin=tuple(int(value * shade) for value in _SKIN),
        sleeve=tuple(rng.randrange(256) for _ in range(3)),
        size=rng.uniform(0.55, 1.1),
        thickness=rng.uniform(0.6, 1.4),
        blur=rng.uniform(0, 1.2),
        place=(rng.uniform(0.4, 0.6), rng.uniform(0.45, 0.6)),
        tilt=rng.uniform(-60, 60),
        spread=rng.uniform(0.7, 1.3),
    )


def _hand(person: Person, label: str, rng: random.Random) -> Image.Image:
    side = 2 * _SIDE
    image = Image.new("RGB", (side, side), person.background)
    pen = ImageDraw.Draw(image)
    for number in range(person.stripe_count):
        left = number * side / person.stripe_count
        pen.rectangle((left, 0, left + side / 2 / person.stripe_count, side), fill=person.stripes)
    size = person.size * _SIDE * rng.uniform(0.95, 1.05)
    x, y = (part * side + rng.gauss(0, 6) for part in person.place)
    turn = math.radians(person.tilt + rng.gauss(0, 8) - 90)

    def at(angle: float, reach: float) -> tuple[float, float]:
        return x + math.cos(angle) * reach * size, y + math.sin(angle) * reach * size

    def disc(center: tuple[float, float], radius: float, fill: Color) -> None:
        reach = radius * size
        pen.ellipse((center[0] - reach, center[1] - reach, center[0] + reach, center[1] + reach), fill=fill)

    pen.line([(x, y), at(turn, -1.2)], fill=person.skin, width=int(0.45 * size))
    pen.line([at(turn, -0.7), at(turn, -1.2)], fill=person.sleeve, width=int(0.5 * size))
    disc((x, y), 0.42, person.skin)
    for finger in FINGERS[label]:
        tip = at(turn + finger * person.spread + rng.gauss(0, 0.05), rng.uniform(0.85, 0.95))
        pen.line([(x, y), tip], fill=person.skin, width=int(0.16 * size * person.thickness))
        disc(tip, 0.08 * person.thickness, person.skin)
    if label == "rock":
        for knuckle in (-0.5, -0.2, 0.1, 0.4):
            disc(at(turn + knuckle, 0.36), 0.07, tuple(int(value * 0.7) for value in person.skin))
    image = image.resize((_SIDE, _SIDE)).filter(ImageFilter.GaussianBlur(person.blur + rng.uniform(0, 0.3)))
    return ImageEnhance.Brightness(image).enhance(rng.uniform(0.95, 1.05))
