"""The report of a grid: one HTML file without external resources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from poets_edge.bench.machine import machine_name
from poets_edge.core.wording import percent
from poets_edge.photos.address import Location
from poets_edge.photos.sources import photo_at
from poets_edge.reports.page import write_page
from poets_edge.reports.thumbnails import thumbnails
from poets_edge.sweep.architecture_result import EvaluationResult
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult

_MAX_MISTAKES = 24

_HEADING = (
    "architecture", "quantization", "MMACs", "M params", "MB", "median ms", "p90 ms", "photos/s", "accuracy",
    "interval", "vs. best", "agrees with float32", "ImageNet top-1", "Pixel 3 ms",
)  # fmt: skip


def write_report(
    result: GridResult, shown: GridPoint, evaluation: EvaluationResult, image_dir: Location, chart: Path, path: Path
) -> None:
    """Write the HTML report of a grid.

    Args:
        shown: point whose confusion matrix and mistakes are shown.
        evaluation: its evaluation.
        image_dir: photo folder, for thumbnails of the mistakes.
        chart: SVG file.
        path: output file.

    Raises:
        OutputError: the report cannot be written.
    """
    mistakes = evaluation.mistakes[:_MAX_MISTAKES]
    paths = [photo_at(image_dir, mistake.photo) for mistake in mistakes]
    pictures = thumbnails(paths)
    write_page(
        path,
        "grid.html.j2",
        circumstances=_circumstances(result),
        verdict=_verdict(result),
        chart=_read_svg(chart),
        heading=_HEADING,
        rows=[{"style": _style(point, result), "cells": _cells(point, result)} for point in result.points],
        warnings=list(result.warnings),
        shown=shown.name,
        labels=list(result.labels),
        confusion=evaluation.confusion,
        mistakes=[
            {
                "name": mistake.photo,
                "label": _label(mistake.photo, result.labels),
                "answer": mistake.answer,
                "score": mistake.score,
                "picture": pictures[path],
            }
            for mistake, path in zip(mistakes, paths, strict=True)
        ],
        mistake_count=len(evaluation.mistakes),
    )


def _label(name: str, labels: Sequence[str]) -> str:
    """Return the class in a photo's path: its first folder, or the second of a path such as `train/daisy/1.jpg`."""
    return next((part for part in name.split("/")[:-1] if part in labels), name.partition("/")[0])


def _circumstances(result: GridResult) -> str:
    """Return one sentence on the photos and one on the device."""
    machine = result.machine
    return (
        f"{len(result.points)} models for {len(result.labels)} classes ({', '.join(result.labels)}), evaluated on"
        f" {result.photos_text}. Measured on {machine_name(machine)}, {machine['system']},"
        f" {machine['interpreter']} {machine['interpreter_version']}, threads: {result.threads}."
    )


def _verdict(result: GridResult) -> str:
    reason = result.choice.reason
    return f"Ship {reason}" if result.choice.point else reason[:1].upper() + reason[1:]


def _style(point: GridPoint, result: GridResult) -> str:
    """Return the CSS classes of a point's row."""
    classes = {"front": point in result.front, "chosen": point == result.choice.point}
    return " ".join(name for name, applies in classes.items() if applies)


def _cells(point: GridPoint, result: GridResult) -> list[str]:
    low, high = point.interval
    return [
        point.architecture.name,
        point.quantization,
        f"{point.mmacs:g}",
        f"{point.mparams:.2f}",
        f"{point.size / 1e6:.2f}",
        f"{point.latency.median:.2f}",
        f"{point.latency.p90:.2f}",
        "-" if point.photos_per_second is None else f"{point.photos_per_second:.0f}",
        percent(point.accuracy),
        f"{100 * low:.0f} to {100 * high:.0f}",
        result.comparison_text(point),
        percent(point.agreement),
        percent(point.published_top1 / 100),
        f"{point.published_ms:g}",
    ]


def _read_svg(chart: Path) -> Markup:
    """Return the `svg` element of a file, without the declarations that precede it."""
    text = chart.read_text(encoding="utf-8")
    return Markup(text[text.index("<svg") :])
