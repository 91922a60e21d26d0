"""Result of a run of `grid`: the models with their measurements, and the chosen model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poets_edge.core.tabular import Tabular
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.choice import Choice, most_accurate
from poets_edge.sweep.points import GridPoint
from poets_edge.training.record import versions

FORMAT = "poets_edge-grid-1"
"""Value of "format" in the results that `GridResult.to_json` returns."""


@dataclass(frozen=True, kw_only=True, repr=False)
class GridResult(Tabular):
    """The result of `grid`.

    Attributes:
        points: results of each architecture as float32 and as int8, in the order in which architectures were specified.
        labels: class names, sorted.
        front: Pareto front of accuracy and latency, fastest first.
        choice: the chosen model, with the reason.
        machine: description of the measured device.
        threads: number of CPU threads for each inference.
        folds: number of cross-validation folds; 0 if the models were evaluated on the test set.
        has_own_test: whether the user provided a separate folder of test photos.
        seconds: duration of each part of this run, in seconds; near 0 for parts that an earlier run completed.
        warnings: warnings about the latencies, one sentence each.
        photo_warnings: warnings about the photos and the training, one sentence each.
        assumption: sentence that says that the confidence intervals assume independent photos; None if a
            warning says that they are not independent, or if the user specified the groups or the test photos.
        budget: limits that the chosen model must satisfy.
    """

    points: tuple[GridPoint, ...]
    labels: tuple[str, ...]
    front: tuple[GridPoint, ...]
    choice: Choice
    machine: dict[str, Any]
    threads: int
    folds: int
    has_own_test: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    photo_warnings: tuple[str, ...] = ()
    assumption: str | None = None
    budget: Budget = Budget()

    @property
    def best(self) -> GridPoint | None:
        """The chosen model; None if no model is within the budget."""
        return self.choice.point

    @property
    def most_accurate(self) -> GridPoint:
        """Most accurate model, with which the other models are compared."""
        return most_accurate(self.points)

    def comparison_text(self, point: GridPoint) -> str:
        """Return a phrase that compares the accuracy of a model with that of the most accurate one.

        It is `best`, `could be equal` or a difference in percentage points, for example `-2.3 points`.
        """
        if point == self.most_accurate:
            return "best"
        paired = point.compare(self.most_accurate)
        return "could be equal" if paired.could_be_chance else f"{paired.gain:.1f} points"

    @property
    def photos_text(self) -> str:
        """Text that states how many photos were evaluated and how, for example `1000 photos (5-fold cross-validation)`,
        `87 test photos` or `900 photos in 75 groups (5-fold cross-validation)`."""
        photos, groups = self.points[0].photos, set(self.points[0].groups or ())
        grouped = f" in {len(groups)} groups" if 0 < len(groups) < photos else ""
        if not self.folds:
            return f"{photos} {'photos of your test set' if self.has_own_test else 'test photos'}{grouped}"
        return f"{photos} photos{grouped} ({self.folds}-fold cross-validation)"

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-compatible dictionary."""
        best = self.most_accurate
        return {
            "format": FORMAT,
            "machine": self.machine,
            "threads": self.threads,
            "labels": list(self.labels),
            "folds": self.folds,
            "own_test_set": self.has_own_test,
            "points": [{**point.to_json(), "beside_best": point.compare(best).to_json()} for point in self.points],
            "front": [point.name for point in self.front],
            "choice": {"point": self.choice.point.name if self.choice.point else None, "reason": self.choice.reason},
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "photo_warnings": list(self.photo_warnings),
            "assumption": self.assumption,
            "versions": versions(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary per model with accuracy, latency and size, for `pandas.DataFrame(result.rows())`."""
        return [
            {
                "architecture": point.architecture.name,
                "quantization": point.quantization,
                "accuracy": point.accuracy,
                "median_ms": point.latency.median,
                "size": point.size,
                "path": str(point.model),
            }
            for point in self.points
        ]

    def __repr__(self) -> str:
        return f"<GridResult {len(self.points)} points; {self.choice.reason}>"
