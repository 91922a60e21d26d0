"""Draw five kinds of flower heads with Pillow.

Each function in HEADS returns a square RGBA image with `size` pixels per side, which shows one head on a transparent
background, with random variations from `rng`. The kinds differ in shape and share most of their colors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]

WHITE, CREAM, YELLOW, ORANGE = (245, 243, 238), (244, 230, 170), (247, 205, 40), (240, 140, 30)
PINK, RED, PURPLE, RUST = (235, 130, 165), (200, 25, 40), (140, 70, 160), (170, 70, 30)
GREEN, BROWN, DARK = (90, 130, 50), (95, 60, 30), (50, 32, 22)


def shade(color: Color, factor: float) -> Color:
    """Return a color, lightened if `factor` is above 1 and darkened if it is below 1."""
    if factor <= 1:
        red, green, blue = (round(channel * factor) for channel in color)
    else:
        red, green, blue = (round(255 - (255 - channel) / factor) for channel in color)
    return red, green, blue


def blend(one: Color, other: Color, share: float) -> Color:
    """Return the color (1 - share) * one + share * other; `share` is from 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def daisy(rng: Random, size: int) -> Image.Image:
    """Draw a daisy: narrow petals with gaps around a small disk."""
    head, pen, middle, reach = _blank(size)
    color = rng.choice((WHITE, WHITE, WHITE, CREAM, YELLOW, PINK, PURPLE, ORANGE))
    count, button = rng.randint(11, 24), rng.uniform(0.2, 0.3) * reach
    width = reach * rng.uniform(1.5, 2.2) / count
    for layer in range(rng.randint(1, 2)):
        turn, length = rng.random(), reach * (1 - 0.15 * layer)
        for index in range(count):
            angle = (index + turn + rng.uniform(-0.15, 0.15)) / count * math.tau
            fill = shade(color, rng.uniform(0.82, 1.02) - 0.06 * layer)
            _petal(pen, middle, angle, button * 0.6, length * rng.uniform(0.88, 1), width, fill, belly=1.35, power=0.7)
    _disk(pen, rng, middle, button, rng.choice((YELLOW, YELLOW, ORANGE, BROWN, GREEN)), 60)
    return head


def sunflower(rng: Random, size: int) -> Image.Image:
    """Draw a sunflower: two rings of pointed petals around a wide disk of seeds."""
    head, pen, middle, reach = _blank(size)
    color = rng.choice((YELLOW, YELLOW, YELLOW, ORANGE, CREAM, RUST, RED))
    count, disk = rng.randint(15, 26), rng.uniform(0.4, 0.56) * reach
    width = reach * rng.uniform(2.6, 3.4) / count
    for layer in range(2):
        for index in range(count):
            angle = (index + layer / 2 + rng.uniform(-0.2, 0.2)) / count * math.tau
            fill, length = shade(color, rng.uniform(0.72, 0.9) + 0.14 * layer), reach * rng.uniform(0.84, 1)
            _petal(pen, middle, angle, disk * 0.8, length - 0.08 * reach * layer, width, fill, belly=0.8, power=0.9)
    _disk(pen, rng, middle, disk, rng.choice((DARK, DARK, BROWN, RUST, GREEN, YELLOW)), 260)
    _disk(pen, rng, middle, disk * rng.uniform(0.35, 0.6), rng.choice((DARK, BROWN, GREEN)), 80)
    return head


def dandelion(rng: Random, size: int) -> Image.Image:
    """Draw a dandelion: a tuft of many thin petals, or a seed head."""
    return _clock(rng, size) if rng.random() < 0.4 else _tuft(rng, size)


def _tuft(rng: Random, size: int) -> Image.Image:
    head, pen, middle, reach = _blank(size)
    color = rng.choice((YELLOW, YELLOW, YELLOW, YELLOW, ORANGE, CREAM))
    for layer in range(6):
        length = reach * (1 - 0.15 * layer)
        count = 46 - 5 * layer
        for index in range(count):
            angle = (index + rng.random()) / count * math.tau
            fill = shade(color, rng.uniform(0.72, 1.06) - 0.015 * layer)
            tip = length * rng.uniform(0.8, 1)
            _petal(pen, middle, angle, tip * 0.25, tip, reach * 0.075, fill, belly=1.7, power=0.5)
    return head


def _clock(rng: Random, size: int) -> Image.Image:
    head, pen, middle, reach = _blank(size)
    tone = rng.choice((WHITE, (225, 222, 215), CREAM))
    pen.ellipse(_box(middle, reach * 0.9), fill=(*tone, rng.randint(25, 70)))
    lost = rng.uniform(0, math.tau), rng.choice((0.0, 0.0, 1.2, 2.0))  # a sector whose seeds are missing
    for index in range(rng.randint(110, 170)):
        # Seeds are distributed evenly over a ball; those towards the viewer appear short.
        angle, tip = index * 2.39996, reach * math.sqrt(rng.uniform(0.04, 1)) * 0.88
        if (angle - lost[0]) % math.tau < lost[1]:
            continue
        end = _at(middle, angle, tip)
        ink = (*shade(tone, rng.uniform(0.8, 1)), rng.randint(130, 230))
        pen.line([middle, end], fill=ink)
        for spoke in range(5):
            pen.line([end, _at(end, angle + (spoke - 2) * 0.55, reach * 0.13)], fill=ink)
    pen.ellipse(_box(middle, reach * rng.uniform(0.08, 0.16)), fill=rng.choice((BROWN, GREEN, (150, 140, 100))))
    return head


def rose(rng: Random, size: int) -> Image.Image:
    """Draw a rose: broad overlapping petals that are tighter towards the center."""
    head, pen, middle, reach = _blank(size)
    color = rng.choice((RED, RED, PINK, PINK, WHITE, CREAM, YELLOW, ORANGE, PURPLE))
    layers, openness, turn = rng.randint(5, 8), rng.uniform(0.5, 0.62), rng.uniform(0, math.tau)
    for layer in range(layers):
        share = 1 - layer / layers
        count = 5 if share > 0.6 else 4 if share > 0.3 else 3
        turn += 2.2 + rng.uniform(-0.3, 0.3)
        for index in range(count):
            angle = turn + (index + rng.uniform(-0.15, 0.15)) / count * math.tau
            center = _at(middle, angle, reach * share * openness * rng.uniform(0.85, 1.05))
            span = reach * share * rng.uniform(0.5, 0.6)
            tone = rng.uniform(0.78, 0.95) - 0.25 * (1 - share)
            edge, inner = shade(color, tone + 0.2), shade(color, tone)
            _lobe(pen, rng, center, span, angle, shade(color, tone * 0.62))
            _lobe(pen, rng, _at(center, angle, -0.04 * reach), span * 0.95, angle, edge)
            _lobe(pen, rng, _at(center, angle, -0.12 * reach * share), span * 0.84, angle, inner)
    spiral = [_at(middle, turn + step * 0.5, reach * 0.012 * step) for step in range(14)]
    pen.line(spiral, fill=shade(color, 0.45), width=max(1, size // 70), joint="curve")
    return head


def tulip(rng: Random, size: int) -> Image.Image:
    """Draw a tulip from the side: a cup of a few tall petals."""
    head, pen, _, reach = _blank(size)
    color = rng.choice((RED, RED, YELLOW, PINK, PURPLE, WHITE, ORANGE, CREAM))
    flame = rng.choice((None, None, YELLOW, WHITE, RED))
    foot, height = (size / 2, size / 2 + reach * 0.8), reach * 1.7
    spread, girth = rng.uniform(0.12, 0.42), reach * rng.uniform(0.8, 1.05)
    back = [(-0.55, 0.94, 0.66), (0.55, 0.94, 0.66), (0.0, 0.97, 0.62)]
    front = [(-1.0, 0.98, 0.8), (1.0, 0.98, 0.8), (rng.uniform(-0.25, 0.25), 0.86, 0.92)]
    for row, tone in ((back, 0.62), (front, 0.92)):
        for lean, share, width in row:
            angle = -math.pi / 2 + lean * spread
            fill = shade(color, tone * rng.uniform(0.88, 1.05))
            start = _at(foot, 0.0, lean * girth * 0.12)
            _petal(pen, start, angle, 0, height * share, girth * width, fill, belly=0.72, power=0.62, edge=0.7)
            if flame and row is front:
                _petal(pen, start, angle, 0, height * share * 0.6, girth * width * 0.3, blend(fill, flame, 0.6))
    return head


HEADS: dict[str, Callable[[Random, int], Image.Image]] = {
    "daisy": daisy,
    "dandelion": dandelion,
    "roses": rose,
    "sunflowers": sunflower,
    "tulips": tulip,
}
"""Functions that draw a flower head, keyed by the name of the flower."""


def _blank(size: int) -> tuple[Image.Image, ImageDraw.ImageDraw, Point, float]:
    """Return a transparent square image, its drawing context, its center, and the radius for a flower head."""
    image = Image.new("RGBA", (size, size))
    return image, ImageDraw.Draw(image), (size / 2, size / 2), size * 0.48


def _at(origin: Point, angle: float, distance: float) -> Point:
    return origin[0] + math.cos(angle) * distance, origin[1] + math.sin(angle) * distance


def _box(center: Point, radius: float) -> tuple[float, float, float, float]:
    return center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius


def _petal(
    pen: ImageDraw.ImageDraw,
    origin: Point,
    angle: float,
    start: float,
    end: float,
    width: float,
    fill: Color,
    belly: float = 1.0,
    power: float = 0.8,
    edge: float = 0.8,
) -> None:
    """Draw a petal that extends from distance `start` to distance `end` from `origin` in the direction `angle`.

    Args:
        belly: position of the widest part; 1 is the middle, and larger values are nearer to the tip.
        power: exponent of the outline; low values result in blunt ends.
        edge: brightness of the outline relative to `fill`.
    """
    steps = 9
    sides: list[list[Point]] = [[], []]
    for step in range(steps + 1):
        share = step / steps
        half = width / 2 * max(0.0, math.sin(math.pi * share**belly)) ** power
        spine = _at(origin, angle, start + (end - start) * share)
        for side, points in zip((-1, 1), sides, strict=True):
            points.append(_at(spine, angle + side * math.pi / 2, half))
    pen.polygon([*sides[0], *reversed(sides[1])], fill=fill, outline=shade(fill, edge))
    vein = [_at(origin, angle, start + (end - start) * share) for share in (0.15, 0.75)]
    pen.line(vein, fill=shade(fill, (1 + edge) / 2))


def _lobe(pen: ImageDraw.ImageDraw, rng: Random, center: Point, radius: float, angle: float, fill: Color) -> None:
    """Draw a round petal with a wavy outline, which is wider across the direction `angle` than along it."""
    phase = rng.uniform(0, math.tau)
    points = []
    for step in range(20):
        around = step / 20 * math.tau
        wave = radius * (1 + 0.05 * math.sin(3 * around + phase))
        along, across = wave * 0.8 * math.cos(around), wave * 1.1 * math.sin(around)
        points.append(_at(_at(center, angle, along), angle + math.pi / 2, across))
    pen.polygon(points, fill=fill)


def _disk(pen: ImageDraw.ImageDraw, rng: Random, middle: Point, radius: float, color: Color, seeds: int) -> None:
    """Draw the disk of a flower, with `seeds` seeds arranged in spirals."""
    pen.ellipse(_box(middle, radius), fill=shade(color, 0.75))
    for index in range(seeds):
        share = math.sqrt((index + 0.5) / seeds)
        fill = shade(color, rng.uniform(0.7, 1.15) - 0.15 * share)
        pen.ellipse(_box(_at(middle, index * 2.39996, radius * share), radius / math.sqrt(seeds) * 0.75), fill=fill)
