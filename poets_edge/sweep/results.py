"""The result of a grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poets_edge.sweep.points import Choice, Point
from poets_edge.training.record import versions


@dataclass(frozen=True, kw_only=True)
class GridResult:
    """The result of `grid`.

    Attributes:
        points: float32 and int8 of each architecture, in the order asked for.
        front: the points that no other beats in accuracy and latency at once, the fastest first.
        machine: facts of this device.
        seconds: how long the parts of this run took; what had been done before took none.
    """

    points: tuple[Point, ...]
    labels: tuple[str, ...]
    front: tuple[Point, ...]
    choice: Choice
    machine: dict[str, Any]
    threads: int
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format": "poets_edge-grid-1",
            "machine": self.machine,
            "threads": self.threads,
            "labels": list(self.labels),
            "points": [point.as_dict() for point in self.points],
            "front": [point.name for point in self.front],
            "choice": {"point": self.choice.point.name if self.choice.point else None, "reason": self.choice.reason},
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "versions": versions(),
        }
