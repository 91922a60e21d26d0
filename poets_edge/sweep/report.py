"""HTML report of `grid`: a single file without external resources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poets_edge.bench.machine import machine_name
from poets_edge.core.wording import percent
from poets_edge.photos.address import Location
from poets_edge.photos.sources import photo_at
from poets_edge.reports.page import write_page
from poets_edge.reports.thumbnails import thumbnails
from poets_edge.sweep.architecture_result import EvaluationResult
from poets_edge.sweep.live_chart import live_chart, row_id, series_hues
from poets_edge.sweep.points import GridPoint, fitting_boards, published_texts, unknown_texts
from poets_edge.sweep.results import GridResult

_MAX_MISTAKES = 24

_HEADING = (
    "architecture", "quantization", "accuracy", "interval", "vs. best", "median ms", "p90 ms", "photos/s", "MB",
    "agrees with float32", "unknown test photos", "unknown strangers",
    "M params", "MMACs", "ImageNet top-1", "Pixel 3 ms",
)  # fmt: skip


def write_report(
    result: GridResult, shown: GridPoint, evaluation: EvaluationResult, image_dir: Location, path: Path
) -> None:
    """Write the HTML report of a run of `grid`.

    Args:
        shown: grid point (model) for which the confusion matrix and the misclassified photos are shown.
        evaluation: how accurate `shown` is.
        image_dir: photo folder, for thumbnails of the misclassified photos.
        path: output file.

    Raises:
        OutputError: the report cannot be written.
    """
    mistakes = evaluation.mistakes[:_MAX_MISTAKES]
    paths = [photo_at(image_dir, mistake.photo) for mistake in mistakes]
    images = thumbnails(paths)
    write_page(
        path,
        "grid.html.j2",
        conditions=_conditions(result),
        verdict=_verdict(result),
        chart=live_chart(result),
        limits=str(result.budget),
        series=[{"name": name, "hue": hue} for (_, name), hue in series_hues(result).items()],
        heading=(*_HEADING, *_board_heading(result)),
        rows=[
            {"id": row_id(point), "style": _style(point, result), "cells": _cells(point, result)}
            for point in result.points
        ],
        warnings=list(result.warnings),
        photo_warnings=list(result.photo_warnings),
        assumption=result.assumption,
        shown=shown.name,
        labels=list(result.labels),
        confusion=evaluation.confusion,
        averaged=evaluation.repeats > 1,
        mistakes=[
            {
                "name": mistake.photo,
                "label": _label(mistake.photo, result.labels),
                "answer": mistake.answer,
                "score": mistake.score,
                "picture": images[path],
            }
            for mistake, path in zip(mistakes, paths, strict=True)
        ],
        mistake_count=len(evaluation.mistakes),
    )


def _board_heading(result: GridResult) -> tuple[str, ...]:
    board = result.budget.board
    return (f"fits {board.name}", "tensors, bytes", "fits boards", "only with gray input") if board else ()


def _board_cells(point: GridPoint, result: GridResult) -> tuple[str, ...]:
    if result.budget.board is None:
        return ()
    fits, cost = "yes" if result.budget.fits_board(point) else "no", point.cost
    if cost is None:
        return fits, "-", "-", "-"
    boards = fitting_boards(cost)
    gray = [name for name in fitting_boards(cost, gray=True) if name not in boards]
    return fits, f"{cost.arena:,}", ", ".join(boards) or "-", ", ".join(gray) or "-"


def _label(name: str, labels: Sequence[str]) -> str:
    """Return the class of a photo from its relative path: `daisy` for `daisy/1.jpg` and for `train/daisy/1.jpg`."""
    return next((part for part in name.split("/")[:-1] if part in labels), name.partition("/")[0])


def _conditions(result: GridResult) -> str:
    """Return two sentences that describe the evaluated models and photos, and the device and interpreter used."""
    machine = result.machine
    return (
        f"{len(result.points)} models for {len(result.labels)} classes ({', '.join(result.labels)}), evaluated on"
        f" {result.photos_text}."
        f" {'Times of' if machine.get('estimated') else 'Measured on'} {machine_name(machine)}, {machine['system']},"
        f" {machine['interpreter']} {machine['interpreter_version']}, threads: {result.threads}."
    )


def _verdict(result: GridResult) -> str:
    reason = result.choice.reason
    return f"Ship {reason}" if result.choice.point else reason[:1].upper() + reason[1:]


def _style(point: GridPoint, result: GridResult) -> str:
    """Return the CSS classes for the table row of a model, separated by spaces."""
    classes = {"front": point in result.front, "chosen": point == result.choice.point}
    return " ".join(name for name, applies in classes.items() if applies)


def _cells(point: GridPoint, result: GridResult) -> list[str]:
    low, high = point.interval
    return [
        point.architecture.name,
        point.quantization,
        percent(point.accuracy),
        f"{100 * low:.0f} to {100 * high:.0f}",
        result.comparison_text(point),
        f"{point.latency.median:.2f}",
        f"{point.latency.p90:.2f}",
        "-" if point.photos_per_second is None else f"{point.photos_per_second:.0f}",
        f"{point.size / 1e6:.2f}",
        percent(point.agreement),
        *unknown_texts(point),
        f"{point.mparams:.2f}",
        f"{point.mmacs:g}",
        *published_texts(point),
        *_board_cells(point, result),
    ]
