"""A grid's result as one HTML file that needs nothing else: to read, to send, to print."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
from PIL import Image

from poets_edge.benchmarking.machine import machine_name
from poets_edge.edge.image import read_photo
from poets_edge.files import write_text
from poets_edge.sweep.points import Point
from poets_edge.sweep.results import GridResult
from poets_edge.wording import percent

Matrix = npt.NDArray[Any]

_THUMBNAIL = (144, 144)
_MOST_MISTAKES = 24

_STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1c1c1c; max-width: 1080px;
  margin: 2.5em auto; padding: 0 1.2em; }
h1 { font-size: 1.7em; margin-bottom: .2em; } h2 { font-size: 1.2em; margin-top: 2.2em; }
p.lead { font-size: 1.05em; background: #f3f1ee; border-left: 5px solid #2a0a52; padding: .8em 1em; }
p.note, li { color: #444; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th { text-align: right; font-weight: 600; border-bottom: 2px solid #444; padding: .25em .6em; vertical-align: bottom; }
td { text-align: right; border-bottom: 1px solid #ddd; padding: .2em .6em; white-space: nowrap; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
tr.front td { font-weight: 600; } tr.chosen td { background: #ece6f5; }
table.confusion td.n { text-align: center; min-width: 3em; } table.confusion th { text-align: center; }
svg { max-width: 100%; height: auto; }
.mistakes { display: flex; flex-wrap: wrap; gap: 14px; } figure { margin: 0; width: 144px; font-size: 12px; }
figure img { width: 144px; height: 144px; object-fit: contain; background: #eee; }
figcaption { overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


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
    parts = [
        "<h1>Which MobileNet to ship</h1>",
        f"<p class=note>{_text(_circumstances(result))}</p>",
        f"<p class=lead>{_text(_verdict(result))}</p>",
        _svg(chart),
        "<h2>All points</h2>",
        _table(result),
        f"<p class=note>{_text(_how_to_read())}</p>",
        _warnings(result.warnings),
        f"<h2>What {_text(shown.name)} confuses</h2>",
        _confusion(result.labels, confusion),
        *_mistakes(mistakes),
    ]
    body = "\n".join(parts)
    write_text(
        path,
        "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        f"<title>Which MobileNet to ship</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n",
    )


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


def _how_to_read() -> str:
    return (
        "Bold: on the front, no other point is both faster and more accurate. Median and p90: milliseconds of one"
        " inference. Photos a second: from file to answer, one at a time, decoding and resizing included. Interval:"
        " 95 %, Wilson. Beside the best: how a model compares with the most accurate one on the same photos; it could"
        " be equal where the photos on which they differ could have fallen either way by chance (exact McNemar test)."
        " Agrees with float32: how often int8 gives the same answer. MMACs, ImageNet top-1 and Pixel 3 milliseconds"
        " (4 threads) are published figures, of tensorflow/models (mobilenet_v1.md, August 2018) and TensorFlow Lite's"
        " hosted models, for the ImageNet model; parameters are of the retrained one."
    )


def _table(result: GridResult) -> str:
    heading = ["architecture", "quantization", "MMACs", "M params", "MB", "median ms", "p90 ms", "photos/s", "accuracy",
               "interval", "beside the best", "agrees with float32", "ImageNet top-1", "Pixel 3 ms"]  # fmt: skip
    rows = []
    for point in result.points:
        cells = "".join(f"<td>{_text(cell)}</td>" for cell in _cells(point, result))
        rows.append(f"<tr class='{_class(point, result)}'>{cells}</tr>")
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in heading)}</tr>\n{chr(10).join(rows)}</table>"


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


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_text(warning)}</li>" for warning in warnings)
    return f"<p>While measuring:</p><ul>{items}</ul>"


def _confusion(labels: Sequence[str], confusion: Matrix) -> str:
    """Rows are true classes, columns answers; the darker, the larger the share of its row."""
    heading = "".join(f"<th>{_text(label)}</th>" for label in labels)
    rows = []
    for index, label in enumerate(labels):
        counts = confusion[index]
        total = float(counts.sum())
        cells = "".join(_shaded(float(count), float(count) / total if total else 0.0) for count in counts)
        recall = f"{100 * counts[index] / total:.0f} %" if total else "-"
        rows.append(f"<tr><td>{_text(label)}</td>{cells}<td>{recall}</td></tr>")
    return (
        f"<table class=confusion><tr><th class=text>is &#8595; &nbsp; answered &#8594;</th>{heading}<th>found</th></tr>"
        f"{''.join(rows)}</table>"
    )


def _shaded(count: float, share: float) -> str:
    grey = round(255 - 175 * share)
    ink = "#fff" if grey < 140 else "#1c1c1c"
    text = f"{count:.3g}" if count else ""
    return f"<td class=n style='background:rgb({grey},{grey},{grey});color:{ink}'>{text}</td>"


def _mistakes(wrong: Sequence[Mistake]) -> Iterable[str]:
    if not wrong:
        yield "<p>It made no mistake.</p>"
        return
    shown = wrong[:_MOST_MISTAKES]
    which = "the surest first" if len(shown) == len(wrong) else f"here are the {len(shown)} it was surest of"
    yield f"<h2>Its mistakes</h2><p class=note>{len(wrong)} in all, {which}.</p>"
    yield "<div class=mistakes>"
    for one in shown:
        yield (
            f"<figure><img alt='{_text(one.name)}' src='{_thumbnail(one.path)}'><figcaption>"
            f"<b>{_text(one.name.partition('/')[0])}</b>, taken for <b>{_text(one.answer)}</b>"
            f" ({100 * one.score:.0f} %)<br>{_text(one.name)}</figcaption></figure>"
        )
    yield "</div>"


def _thumbnail(photo: Path) -> str:
    image = read_photo(photo)
    image.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _svg(chart: Path) -> str:
    """The drawing itself, without the declarations that belong to a file of its own."""
    text = chart.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def _text(value: str) -> str:
    return html.escape(value, quote=True)
