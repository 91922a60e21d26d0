"""HTML report of an audit, which shows suspect photos with controls for excluding or relabeling them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from markupsafe import Markup

from poets_edge.auditing.learning_curve import LearningCurve
from poets_edge.auditing.outliers import OutlierGroup
from poets_edge.auditing.results import AuditResult
from poets_edge.core.wording import percent
from poets_edge.device.temperature import ReliabilityBin
from poets_edge.photos.address import Location
from poets_edge.photos.sources import photo_at
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.reports.charts import Axis, Line, line_chart
from poets_edge.reports.page import write_page
from poets_edge.reports.thumbnails import thumbnails

_MAX_SUSPECTS, _MIN_SUSPECTS = 60, 12
_MAX_GROUPS = 30
_MAX_IN_GROUP = 6
_MAX_OUTLIERS = 18
_MAX_CONFUSED = 12
_NAMED_CLASSES = 2


@dataclass(frozen=True, kw_only=True)
class ShownPhoto:
    """Photo shown in the report.

    Attributes:
        path: file or address of the photo, for its thumbnail.
        name: path relative to the folder, with `/` as separator.
        label: class of the photo; empty for outliers.
        likely: class that the photo may belong to instead; empty if none.
        score: evidence that the photo belongs to the class `likely`, 0 to 1.
        split: "training", "validation" or "test"; empty unless the photo is a near-duplicate.
        crosses: whether the photo's group of near-duplicates contains several classes.
        detail: measured value, error message or remedy for an outlier; may be empty.
    """

    path: Location
    name: str
    label: str = ""
    likely: str = ""
    score: float = 0.0
    split: str = ""
    crosses: bool = False
    detail: str = ""


@dataclass(frozen=True)
class ShownOutliers:
    """Group of outliers, with the photos in the group that are shown in the report."""

    group: OutlierGroup
    photos: list[ShownPhoto]


def write_report(result: AuditResult, path: Path) -> None:
    """Write the HTML report of an audit to a path, reading only the photos it shows.

    Raises:
        OutputError: the report cannot be written.
    """
    evaluation = result.evaluation
    suspects = _suspects(result)
    groups = _near_duplicates(result)
    outliers = [_outliers(result, group) for group in result.outliers]
    confused = [
        [_shown(result, row) for row in pair.rows[:_MAX_CONFUSED]]
        for pair in (evaluation.confused_classes if evaluation else ())
    ]
    shown = chain(suspects, *groups, *(one.photos for one in outliers), *confused)
    write_page(
        path,
        "audit.html.j2",
        result=result,
        name=result.options.image_dir.resolve().name,
        folder=str(result.options.image_dir),
        labels=list(result.photos.labels),
        evaluation=evaluation,
        suspects=suspects,
        pair_count=sum(1 for _ in result.near_duplicates.pairs()),
        groups=groups,
        outliers=outliers,
        outlier_count=sum(len(group.names) for group in result.outliers),
        confused=confused,
        gains=dict(evaluation.curve.next_hundred) if evaluation else {},
        confusion=(
            evaluation.cross_validation.scored.evaluation(result.photos.labels).confusion.tolist()
            if evaluation
            else None
        ),
        most_helped=most_helped(evaluation.curve) if evaluation else "",
        curve_chart=_curve_chart(evaluation.curve) if evaluation else "",
        reliability_chart=_reliability_chart(evaluation.calibration.bins) if evaluation else "",
        pictures=thumbnails(photo.path for photo in shown),
    )


def _shown(
    result: AuditResult, row: int, *, likely: str = "", score: float = 0.0, split: str = "", crosses: bool = False
) -> ShownPhoto:
    photo = result.photos.photos[row].photo
    return ShownPhoto(
        path=photo.path, name=photo.name, label=photo.label, likely=likely, score=score, split=split, crosses=crosses
    )


def _suspects(result: AuditResult) -> list[ShownPhoto]:
    if result.evaluation is None:
        return []
    scores = result.evaluation.label_scores
    count = min(_MAX_SUSPECTS, max(_MIN_SUSPECTS, 2 * result.evaluation.mislabeled_count))
    return [
        _shown(result, int(row), likely=result.photos.labels[scores.likely[row]], score=float(scores.score[row]))
        for row in scores.order[:count]
    ]


def _near_duplicates(result: AuditResult) -> list[list[ShownPhoto]]:
    """Return the groups of near-duplicates to show in the report, limited in number and size.

    Groups with photos of several classes come first, then those with photos in several splits.
    """
    photos = result.photos
    splits = photos.splits

    def crosses(group: tuple[int, ...]) -> bool:
        return len({int(photos.classes[row]) for row in group}) > 1

    def straddles(group: tuple[int, ...]) -> bool:
        return len(np.unique(splits[list(group)])) > 1 or crosses(group)

    def other_label(row: int, group: tuple[int, ...]) -> str:
        return next((other for other in map(photos.label, group) if other != photos.label(row)), "")

    groups = sorted(result.near_duplicates.groups, key=lambda group: (not crosses(group), not straddles(group)))
    return [
        [
            _shown(result, row, split=SPLIT_NAMES[splits[row]], crosses=crosses(group), likely=other_label(row, group))
            for row in group[:_MAX_IN_GROUP]
        ]
        for group in groups[:_MAX_GROUPS]
    ]


def _outliers(result: AuditResult, group: OutlierGroup) -> ShownOutliers:
    photos = [
        ShownPhoto(path=photo_at(result.options.image_dir, name), name=name, detail=detail)
        for name, detail in islice(zip(group.names, group.details, strict=True), _MAX_OUTLIERS)
    ]
    return ShownOutliers(group, photos)


def most_helped(curve: LearningCurve) -> str:
    """Return the names of the two classes for which more photos would help most, joined by "and"."""
    return " and ".join(label for label, _ in curve.next_hundred[:_NAMED_CLASSES])


def _curve_chart(curve: LearningCurve) -> Markup:
    measured = [(float(point.photos), point.accuracy) for point in curve.points]
    beyond = [(float(one.photos), one.accuracy) for one in curve.forecasts]
    band = [(float(one.photos), *one.interval) for one in curve.forecasts]
    values = [value for _, value in measured + beyond] + [edge for _, low, high in band for edge in (low, high)]
    x = Axis(
        "photos", measured[0][0], beyond[-1][0], lambda value: f"{value:,.0f}", True, _every_other([*measured, *beyond])
    )
    y = Axis("accuracy", max(0.0, min(values) - 0.01), min(1.0, max(values) + 0.01), lambda v: percent(v, 0))
    start = measured[-1]
    lines = [
        Line("", [start, *beyond], "dashed", [(start[0], start[1], start[1]), *band], dots=True),
        Line("", measured, "main", dots=True),
    ]
    return line_chart(lines, x, y, title="Accuracy over the number of photos")


def _every_other(points: Iterable[tuple[float, float]]) -> list[float]:
    """Return the x values of every second point, starting with the first, for the ticks of an axis."""
    return [value for value, _ in points][::2]


def _reliability_chart(bins: Sequence[ReliabilityBin]) -> Markup:
    x = Axis("score", 0.0, 1.0, lambda value: f"{value:.1f}")
    y = Axis("fraction of correct answers", 0.0, 1.0, lambda value: percent(value, 0))
    points = [(one.score, one.accuracy) for one in bins]
    counts = [one.count for one in bins]
    lines = [Line("", [(0.0, 0.0), (1.0, 1.0)], "faint"), Line("", points, "main", dots=True, counts=counts)]
    return line_chart(lines, x, y, title="Fraction of correct answers at each score")
