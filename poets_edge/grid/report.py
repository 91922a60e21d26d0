"""A grid's result -> one HTML file that needs nothing else: to read, to send, to print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
from markupsafe import Markup

from poets_edge.bench.machine import machine_name
from poets_edge.core.wording import percent
from poets_edge.grid.points import Point
from poets_edge.grid.results import GridResult
from poets_edge.reports.page import write_page
from poets_edge.reports.thumbnails import thumbnails

Matrix = npt.NDArray[Any]

_MOST_MISTAKES = 24

_HEADING = (
    "architecture", "quantization", "MMACs", "M params", "MB", "median ms", "p90 ms", "photos/s", "accuracy",
    "interval", "beside the best", "agrees with float32", "ImageNet top-1", "Pixel 3 ms",
)  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """A photo that was answered wrongly: its file, its name within the photo folder, the answer and its score."""

    path: Path
    name: str
    answer: str
    score: float


def write_report(
    result: GridResult, shown: Point, confusion: Matrix, mistakes: Sequence[Mistake], chart: Path, path: Path
) -> None:
    """Write the report.

    Args:
        shown: the point whose confusion matrix and mistakes are shown.
        confusion: photos of a class (row) answered as a class (column), [labels, labels].
        mistakes: the surest first.
        chart: the picture, an SVG file.

    Raises:
        OutputError: it cannot be written.
    """
    first = mistakes[:_MOST_MISTAKES]
    pictures = thumbnails(one.path for one in first)
    write_page(
        path,
        "grid.html.j2",
        circumstances=_circumstances(result),
        verdict=_verdict(result),
        chart=_svg(chart),
        heading=_HEADING,
        rows=[{"style": _class(point, result), "cells": _cells(point, result)} for point in result.points],
        warnings=list(result.warnings),
        shown=shown.name,
        labels=list(result.labels),
        confusion=confusion.tolist(),
        mistakes=[
            {
                "name": one.name,
                "label": _label(one.name, result.labels),
                "answer": one.answer,
                "score": one.score,
                "picture": pictures[one.path],
            }
            for one in first
        ],
        mistake_count=len(mistakes),
    )


def _label(name: str, labels: Sequence[str]) -> str:
    """The class of a photo by its name; where there are folders of sets, the class's folder is the second."""
    return next((part for part in name.split("/")[:-1] if part in labels), name.partition("/")[0])


def _circumstances(result: GridResult) -> str:
    machine = result.machine
    return (
        f"{len(result.points)} models for {len(result.labels)} classes ({', '.join(result.labels)}), judged on"
        f" {result.judged_by}. Measured on {machine_name(machine)}, {machine['system']},"
        f" {machine['interpreter']} {machine['interpreter_version']}, threads: {result.threads}."
    )


def _verdict(result: GridResult) -> str:
    reason = result.choice.reason
    return f"Ship {reason}" if result.choice.point else reason[:1].upper() + reason[1:]


def _class(point: Point, result: GridResult) -> str:
    return " ".join(
        name
        for name, holds in {"front": point in result.front, "chosen": point == result.choice.point}.items()
        if holds
    )


def _cells(point: Point, result: GridResult) -> list[str]:
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
        result.beside_best(point),
        percent(point.agreement),
        percent(point.published_top1 / 100),
        f"{point.published_ms:g}",
    ]


def _svg(chart: Path) -> Markup:
    """The drawing itself, without the declarations that belong to a file of its own."""
    text = chart.read_text(encoding="utf-8")
    return Markup(text[text.index("<svg") :])
