"""Budgets for a model (limits on latency, file size and accuracy), and their parsing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from poets_edge.core.arguments import check_fields
from poets_edge.errors import UsageError
from poets_edge.exporting.microcontroller.boards import Board
from poets_edge.sweep.points import GridPoint

_LATENCY_UNITS = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
_SIZE_UNITS = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1024.0, "mib": 1024.0**2}
_SHARE_UNITS = {"": 1.0, "%": 0.01}
_SMALLEST_SIZE = 10_000
"""Smallest size limit accepted without a unit, in bytes. A lower number is rejected: no model is that small, so its
unit is probably missing."""


@dataclass(frozen=True)
class Budget:
    """Limits for the model that a run of `grid` chooses. A limit that is None is not applied.

    Attributes:
        latency: maximum median latency, milliseconds.
        size: maximum file size, bytes.
        accuracy: minimum accuracy, 0 to 1.
        board: microcontroller board that the full-int8 model must fit.
    """

    latency: float | None = None
    size: float | None = None
    accuracy: float | None = None
    board: Board | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def violations(self, point: GridPoint) -> dict[str, float]:
        """Return the relative excess over each violated limit, by limit name; 0.1 means 10 % worse than the limit."""
        found = {}
        if self.latency is not None and point.latency.median > self.latency:
            found["latency"] = point.latency.median / self.latency - 1
        if self.size is not None and point.size > self.size:
            found["size"] = point.size / self.size - 1
        if self.accuracy is not None and point.accuracy < self.accuracy:
            found["accuracy"] = 1 - point.accuracy / self.accuracy
        if self.board is not None and not self.fits_board(point):
            cost, board = point.cost, self.board
            found["board"] = max(cost.arena / board.memory, cost.size / board.flash) - 1 if cost else math.inf
        return found

    def fits_board(self, point: GridPoint) -> bool:
        """Return whether a model fits the microcontroller board in this budget; False for a float32 model."""
        return bool(point.cost and self.board and point.cost.fits(self.board))

    def __str__(self) -> str:
        parts = []
        if self.latency is not None:
            parts.append(f"at most {self.latency:g} ms")
        if self.size is not None:
            parts.append(f"at most {self.size / 1e6:g} MB")
        if self.accuracy is not None:
            parts.append(f"at least {100 * self.accuracy:g} % accuracy")
        if self.board is not None:
            parts.append(f"a full-int8 model that fits {self.board.name} ({self.board.memory:,} bytes for tensors)")
        return ", ".join(parts) or "no limits"


def parse_budget(latency: str | None, size: str | None, accuracy: str | None) -> Budget:
    """Convert strings such as `20ms`, `1MB` and `0.9` or `90%` to a budget. Raises UsageError if one is invalid."""
    share = _parse_quantity("min_accuracy", accuracy, _SHARE_UNITS, "0.9 or 90%")
    if share is not None and share > 1:
        raise UsageError(f"`min_accuracy` {accuracy}: more than 100 %. Write 0.9 or 90%.")
    if size is not None and size.strip().isdecimal() and int(size) < _SMALLEST_SIZE:
        raise UsageError(f"`max_size` {size}: that is {size} bytes. Write {size}MB or {size}kB.")
    return Budget(
        _parse_quantity("max_latency", latency, _LATENCY_UNITS, "20ms"),
        _parse_quantity("max_size", size, _SIZE_UNITS, "1MB"),
        share,
    )


def _parse_quantity(name: str, text: str | None, units: dict[str, float], example: str) -> float | None:
    """Parse a positive number with a unit and return it in base units.

    Args:
        name: parameter name for the error message.
        text: text to parse; if it is None, None is returned.
        units: dictionary that maps the name of each unit to its value in base units.
        example: valid text for the error message.

    Raises:
        UsageError: the text is invalid.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-zµ%]*)", text.strip().lower())
    if not match or match[2] not in units or float(match[1]) <= 0:
        raise UsageError(f"`{name}` {text} is not a value such as {example}.")
    return float(match[1]) * units[match[2]]
