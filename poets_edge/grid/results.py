"""The result of a grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poets_edge.grid.choice import Choice, most_accurate
from poets_edge.grid.points import Point
from poets_edge.train.record import versions


@dataclass(frozen=True, kw_only=True)
class GridResult:
    """The result of `grid`.

    Attributes:
        points: float32 and int8 of each architecture, in the order asked for.
        front: the points that no other beats in accuracy and latency at once, the fastest first.
        folds: of the cross-validation that judged the points on all photos; 0 where the test photos judged them.
        machine: facts of this device.
        seconds: how long the parts of this run took; what had been done before took none.
    """

    points: tuple[Point, ...]
    labels: tuple[str, ...]
    front: tuple[Point, ...]
    choice: Choice
    machine: dict[str, Any]
    threads: int
    folds: int
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def best(self) -> Point:
        """The most accurate point, which the others are compared with."""
        return most_accurate(self.points)

    def beside_best(self, point: Point) -> str:
        """`best`, `could be equal`, or the points of accuracy that are missing."""
        if point == self.best:
            return "best"
        paired = point.beside(self.best)
        return "could be equal" if paired.could_be_chance else f"{paired.gain:.1f} points"

    @property
    def judged_by(self) -> str:
        """`1000 photos, each by heads that have not seen it (5 folds)`, or `87 test photos`."""
        photos = self.points[0].photos
        if not self.folds:
            return f"{photos} test photos"
        return f"{photos} photos, each by heads that have not seen it ({self.folds} folds)"

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {
            "format": "poets_edge-grid-1",
            "machine": self.machine,
            "threads": self.threads,
            "labels": list(self.labels),
            "folds": self.folds,
            "points": [{**point.to_json(), "beside_best": point.beside(self.best).to_json()} for point in self.points],
            "front": [point.name for point in self.front],
            "choice": {"point": self.choice.point.name if self.choice.point else None, "reason": self.choice.reason},
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "versions": versions(),
        }
