"""An audit's result -> the page that shows it, with a choice beside each photo that may have to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from poets_edge.audit.learning_curve import LearningCurve
from poets_edge.audit.results import AuditResult, Judgement
from poets_edge.core.wording import percent
from poets_edge.device.temperature import ReliabilityBin
from poets_edge.photos.address import Location
from poets_edge.photos.elsewhere import photo_at
from poets_edge.photos.split import set_numbers
from poets_edge.photos.table import SET_NAMES
from poets_edge.reports.charts import Axis, Line, line_chart
from poets_edge.reports.page import write_page
from poets_edge.reports.thumbnails import thumbnails

_MOST_SUSPECTS = 60
_FEWEST_SUSPECTS = 12
_MOST_GROUPS = 30
_MOST_OF_A_GROUP = 6
_MOST_ODD = 18
_MOST_CONFUSED = 12
_GROUPS_NAMED = 2

Shown = dict[str, Any]


def write_report(result: AuditResult, path: Path) -> None:
    """Write the page; only the photos it shows are read. Raises OutputError."""
    page = _Page(result)
    context = page.context()
    page.fill_in_pictures()
    write_page(path, "audit.html.j2", **context)


class _Page:
    """The template's content. Photos are noted while it is put together, and then read all at once."""

    def __init__(self, result: AuditResult) -> None:
        self._result = result
        self._photos = result.photos
        self._shown: list[tuple[Location, Shown]] = []

    def fill_in_pictures(self) -> None:
        pictures = thumbnails(path for path, _ in self._shown)
        for path, shown in self._shown:
            shown["picture"] = pictures[path]

    def context(self) -> dict[str, Any]:
        result = self._result
        odd = [self._odd(one.reason, one.explanation, one.names, one.details) for one in result.oddities]
        groups = result.near_duplicates.groups
        return {
            "name": result.options.image_dir.resolve().name,
            "folder": str(result.options.image_dir),
            "architecture": result.options.architecture.name,
            "photos": len(self._photos),
            "unreadable": len(self._photos.unreadable),
            "labels": list(self._photos.labels),
            "remarks": list(result.remarks),
            "suspects": self._suspects(),
            "pairs": sum(1 for _ in result.near_duplicates.pairs()),
            "group_count": len(groups),
            "groups": self._groups(),
            "leak": self._leak(),
            "odd": odd,
            "odd_count": sum(group["count"] for group in odd),
            "judged": self._judged(result.judgement) if result.judgement else None,
        }

    def _photo(self, row: int, **more: Any) -> Shown:
        photo = self._photos.photos[row].photo
        shown = {"name": photo.name, "label": photo.label, "likely": "", "picture": "", **more}
        self._shown.append((photo.path, shown))
        return shown

    def _suspects(self) -> list[Shown]:
        judgement = self._result.judgement
        if judgement is None:
            return []
        found = judgement.suspects
        count = min(_MOST_SUSPECTS, max(_FEWEST_SUSPECTS, 2 * judgement.wrong))
        return [
            self._photo(int(row), likely=self._photos.labels[found.likely[row]], score=float(found.score[row]))
            for row in found.order[:count]
        ]

    def _groups(self) -> list[list[Shown]]:
        sets = set_numbers(self._photos.photos.photos, self._result.options.percentages)

        def straddles(group: tuple[int, ...]) -> bool:
            return len(np.unique(sets[list(group)])) > 1 or crosses(group)

        def crosses(group: tuple[int, ...]) -> bool:
            return len({int(self._photos.classes[row]) for row in group}) > 1

        # What does harm comes first.
        groups = sorted(
            self._result.near_duplicates.groups, key=lambda group: (not crosses(group), not straddles(group))
        )
        return [
            [
                self._photo(row, set=SET_NAMES[sets[row]], crosses=crosses(group), likely=self._other_label(row, group))
                for row in group[:_MOST_OF_A_GROUP]
            ]
            for group in groups[:_MOST_GROUPS]
        ]

    def _other_label(self, row: int, group: tuple[int, ...]) -> str:
        """The class of a copy that lies in another one, or nothing."""
        mine = self._photos.label(row)
        return next((other for other in map(self._photos.label, group) if other != mine), "")

    def _leak(self) -> dict[str, Any] | None:
        leak = self._result.leak
        if leak is None:
            return None
        return {
            "photos": leak.rows,
            "tested": leak.tested,
            "accuracy": leak.accuracy,
            "without": leak.accuracy_without,
        }

    def _odd(self, reason: str, explanation: str, names: Sequence[str], details: Sequence[str]) -> dict[str, Any]:
        readable = reason not in ("unreadable", "truncated")
        photos = []
        for name, detail in islice(zip(names, details, strict=True), _MOST_ODD):
            shown = {"name": name, "detail": detail, "picture": "", "readable": readable}
            self._shown.append((photo_at(self._result.options.image_dir, name), shown))
            photos.append(shown)
        return {"reason": reason, "explanation": explanation, "count": len(names), "photos": photos}

    def _judged(self, judgement: Judgement) -> dict[str, Any]:
        calibration, curve = judgement.calibration, judgement.curve
        doubled = curve.doubled
        gains = dict(curve.next_hundred)
        return {
            "wrong": judgement.wrong,
            "accuracy": judgement.cross_validation.accuracy,
            "interval": judgement.cross_validation.interval,
            "balanced": judgement.balanced_accuracy,
            "classes": [
                {
                    "label": one.label,
                    "photos": one.photos,
                    "recall": one.recall,
                    "precision": one.precision,
                    "gain": gains[one.label],
                }
                for one in judgement.balance
            ],
            "confusion": judgement.cross_validation.confusion.tolist(),
            "confusions": [
                {
                    "first": one.labels[0],
                    "second": one.labels[1],
                    "forth": one.first_for_second,
                    "back": one.second_for_first,
                    "photos": [self._photo(row) for row in one.rows[:_MOST_CONFUSED]],
                }
                for one in judgement.confusions
            ],
            "doubled": {
                "photos": doubled.photos,
                "accuracy": doubled.accuracy,
                "low": doubled.interval[0],
                "high": doubled.interval[1],
            },
            "helps_most": " and ".join(label for label, _ in curve.next_hundred[:_GROUPS_NAMED]),
            "curve_chart": _curve_chart(curve),
            "threshold": calibration.suggested.threshold,
            "reached": calibration.reached,
            "target": calibration.target,
            "suggested": calibration.suggested,
            "thresholds": calibration.thresholds,
            "before": calibration.before,
            "after": calibration.after,
            "temperature": calibration.temperature,
            "reliability_chart": _reliability_chart(calibration.bins),
        }


def _curve_chart(curve: LearningCurve) -> Markup:
    measured = [(float(point.photos), point.accuracy) for point in curve.points]
    beyond = [(float(one.photos), one.accuracy) for one in curve.predictions]
    band = [(float(one.photos), *one.interval) for one in curve.predictions]
    values = [value for _, value in measured + beyond] + [edge for _, low, high in band for edge in (low, high)]
    x = Axis(
        "photos", measured[0][0], beyond[-1][0], lambda value: f"{value:,.0f}", True, _every_other([*measured, *beyond])
    )
    y = Axis("right answers", max(0.0, min(values) - 0.01), min(1.0, max(values) + 0.01), lambda v: percent(v, 0))
    start = measured[-1]
    lines = [
        Line("", [start, *beyond], "dashed", [(start[0], start[1], start[1]), *band], dots=True),
        Line("", measured, "main", dots=True),
    ]
    return line_chart(lines, x, y, title="Accuracy over the number of photos")


def _every_other(places: Iterable[tuple[float, float]]) -> list[float]:
    return [value for value, _ in places][::2]


def _reliability_chart(bins: tuple[ReliabilityBin, ...]) -> Markup:
    axis = Axis("score", 0.0, 1.0, lambda value: f"{value:.1f}")
    share = Axis("share of right answers", 0.0, 1.0, lambda value: percent(value, 0))
    points = [(one.score, one.accuracy) for one in bins]
    lines = [Line("", [(0.0, 0.0), (1.0, 1.0)], "faint"), Line("", points, "main", dots=True)]
    return line_chart(lines, axis, share, title="How often answers of a score are right")
