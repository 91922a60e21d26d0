"""Report page of a training run: curves, confusion matrices, misclassified and skipped photos, suggested commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from poets_edge.core.paths import GRAPH
from poets_edge.core.wording import percent
from poets_edge.device.predictions import Predictions
from poets_edge.photos.table import class_numbers
from poets_edge.reports.charts import Axis, Line, Point, line_chart
from poets_edge.reports.page import write_page
from poets_edge.reports.thumbnails import thumbnails
from poets_edge.training.head import Step
from poets_edge.training.messages import disagreement
from poets_edge.training.options import TrainOptions
from poets_edge.training.results import TrainResult
from poets_edge.training.unknown_chart import unknown_chart

_MOST_MISTAKES = 24
_MOST_CORRECT = 18
_MOST_LISTED = 40


def write_report(
    options: TrainOptions, result: TrainResult, test: Predictions, excluded: Sequence[str], path: Path
) -> None:
    """Write the report page of a training run.

    Args:
        test: predictions of the head on the test photos.
        excluded: names of the excluded photos.

    Raises:
        OutputError: the page cannot be written.
    """
    cross_validated = result.cross_validated
    mistakes = [
        {
            "path": mistake.photo.path,
            "name": mistake.photo.name,
            "label": mistake.photo.label,
            "answer": mistake.answer,
            "score": mistake.score,
        }
        for mistake in result.misclassified[:_MOST_MISTAKES]
    ]
    correct = _correct_examples(test, result.labels)
    pictures = thumbnails(item["path"] for item in [*mistakes, *correct])
    for item in [*mistakes, *correct]:
        item["picture"] = pictures[item["path"]]
    write_page(
        path,
        "train.html.j2",
        name=options.image_dir.resolve().name,
        folder=str(options.image_dir),
        architecture=options.architecture.name,
        photos=sum(sum(sets.values()) for sets in result.table.values()),
        labels=list(result.labels),
        test=_accuracy(result.test),
        cross_validated=_accuracy(cross_validated) if cross_validated else None,
        has_own_test=result.has_own_test,
        warnings=[line for line in (result.dependence, disagreement(result)) if line],
        assumption=result.assumption,
        calibration=result.calibration,
        classes=_classes(result),
        test_confusion=result.test.confusion.tolist(),
        cross_validated_confusion=(
            cross_validated.scored.evaluation(result.labels).confusion.tolist() if cross_validated else None
        ),
        accuracy_chart=_accuracy_chart(result.steps),
        loss_chart=_loss_chart(result.steps),
        validated=any(step.validation_accuracy is not None for step in result.steps),
        unknown=result.unknown,
        unknown_chart=unknown_chart(result.unknown) if result.unknown else None,
        mistakes=mistakes,
        mistake_count=len(result.misclassified),
        correct=correct,
        unreadable=list(result.unreadable[:_MOST_LISTED]),
        unreadable_count=len(result.unreadable),
        excluded=list(excluded[:_MOST_LISTED]),
        excluded_count=len(excluded),
        duplicates=[", ".join(duplicate.names) for duplicate in result.duplicates[:_MOST_LISTED]],
        next=_next(options, result),
    )


def _accuracy(evaluation: Any) -> dict[str, Any] | None:
    """Return the accuracy, its interval and the number of photos as a dictionary; None if no photo was evaluated."""
    if not evaluation.count:
        return None
    return {"accuracy": evaluation.accuracy, "interval": evaluation.interval, "count": evaluation.count}


def _classes(result: TrainResult) -> list[dict[str, Any]]:
    cross_validated = result.cross_validated.scored.evaluation(result.labels) if result.cross_validated else None
    return [
        {
            "label": label,
            "sets": result.table[label],
            "test": result.test.recall(label),
            "cross_validated": cross_validated.recall(label) if cross_validated else None,
        }
        for label in result.labels
    ]


def _correct_examples(test: Predictions, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the correctly classified photos with the highest and lowest score in each class, at most 18 in total."""
    found = []
    answers, truth = test.scores.argmax(axis=1), class_numbers(test.photos, labels)
    for number, label in enumerate(labels):
        places = np.flatnonzero((answers == number) & (truth == number))
        scores = test.scores[places, number]
        extreme = (scores == scores.max(initial=0)) | (scores == scores.min(initial=1))
        mine = [(float(scores[end]), test.photos[int(places[end])]) for end in np.flatnonzero(extreme)]
        mine.sort(key=lambda item: (-item[0], item[1].name))
        for score, photo in dict.fromkeys([*mine[:1], *mine[-1:]]):
            found.append({"path": photo.path, "name": photo.name, "label": label, "score": score})
    return found[:_MOST_CORRECT]


def _accuracy_chart(steps: Sequence[Step]) -> Markup:
    training = _thinned([(float(step.step), step.train_accuracy) for step in steps])
    validation = _thinned(
        [(float(step.step), step.validation_accuracy) for step in steps if step.validation_accuracy is not None]
    )
    low = min(value for _, value in [*training, *validation])
    y = Axis("accuracy", max(0.0, low - 0.05), 1.0, lambda value: percent(value, 0))
    return _chart(steps, training, validation, y, "Accuracy over steps")


def _loss_chart(steps: Sequence[Step]) -> Markup:
    training = _thinned([(float(step.step), step.train_cross_entropy) for step in steps])
    validation = _thinned(
        [
            (float(step.step), step.validation_cross_entropy)
            for step in steps
            if step.validation_cross_entropy is not None
        ]
    )
    y = Axis("cross entropy", 0.0, max(value for _, value in [*training, *validation]), lambda value: f"{value:g}")
    return _chart(steps, training, validation, y, "Cross entropy over steps")


def _chart(
    steps: Sequence[Step], training: Sequence[Point], validation: Sequence[Point], y: Axis, title: str
) -> Markup:
    x = Axis("step", 0.0, float(max(1, steps[-1].step)), lambda value: f"{value:,.0f}")
    lines = [Line("training batch", training, "second")]
    if validation:
        lines.append(Line("validation", validation, "main"))
    return line_chart(lines, x, y, title=title)


def _thinned(points: Sequence[Point], most: int = 120) -> list[Point]:
    """Smooth a noisy curve: return at most `most` points, each of which is the mean of consecutive points."""
    size = max(1, -(-len(points) // most))
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(a for a, _ in part) / len(part), sum(b for _, b in part) / len(part)) for part in parts]


def _next(options: TrainOptions, result: TrainResult) -> list[tuple[str, str]]:
    """Return a (purpose, command) pair for each suggested next step."""
    named = "" if result.graph == GRAPH else f" {result.graph}"
    model = result.graph.with_name(f"{result.graph.stem}_int8.tflite")
    weights = f" --weights {options.weights}" if options.weights != "imagenet" else ""
    return [
        ("reduce size and latency", f"poets-edge export{named} --quantize int8"),
        ("label a photo", f"poets-edge label {model} photo.jpg"),
        (
            "find label errors and bad photos",
            f"poets-edge audit {options.image_dir} --architecture {options.architecture.name}{weights}",
        ),
    ]
