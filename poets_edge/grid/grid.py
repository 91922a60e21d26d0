"""`grid`: every architecture retrained on a folder of photos, exported, and measured on this device or another.

Finished work is kept: a run that was stopped, or killed, continues where it stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from poets_edge.bench.measurement import Measurement
from poets_edge.core.files import write_text, write_together
from poets_edge.errors import DatasetError
from poets_edge.grid.chart import draw_chart
from poets_edge.grid.checkpoints import Answer
from poets_edge.grid.choice import choose
from poets_edge.grid.latency_source import Clock, open_clock
from poets_edge.grid.options import GridOptions
from poets_edge.grid.points import Point, pareto_front
from poets_edge.grid.report import Mistake, write_report
from poets_edge.grid.results import GridResult
from poets_edge.grid.training import retrain_all
from poets_edge.grid.validation import judge_all
from poets_edge.nets.architectures import Architecture
from poets_edge.photos.elsewhere import photo_at
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.metadata import join_labels

_LABELS = "labels.txt"


def grid(options: GridOptions, reporter: Reporter | None = None) -> GridResult:
    """Retrain, export and measure; write `grid.json`, `chart.png`, `chart.svg` and `report.html`.

    Raises:
        DatasetError: the folder cannot be trained on.
        WeightsError: weights of an architecture are missing; nothing has been done then.
        OutputError: a file cannot be written; finished architectures stay.
        RuntimeMissingError: TensorFlow or an interpreter is not installed.
        RemoteError, RecordError: the device, or the files, whose times decide cannot be reached or read.
    """
    reporter = reporter or Silent()
    with open_clock(options, reporter) as clock:
        return _grid(options, clock, reporter)


def _grid(options: GridOptions, clock: Clock, reporter: Reporter) -> GridResult:
    begin = time.monotonic()
    done = retrain_all(options, reporter)
    trained = time.monotonic()
    for warning in dict.fromkeys(text for answer in done.values() for text in answer["warnings"]):
        reporter.warn(warning)
    judged = judge_all(options, done, reporter) if options.judged_by_folds else {}
    for remark in dict.fromkeys(text for answer in judged.values() for text in answer["remarks"]):
        reporter.warn(remark)
    judging = time.monotonic()
    measured, warnings = clock.measure(done)
    points = tuple(
        _point(options, architecture, file, _answers(judged.get(architecture), file), len(answer["labels"]), measured)
        for architecture, answer in done.items()
        for file in answer["files"]
        if options.folder(architecture) / file["file"] in measured
    )
    for warning in warnings:
        reporter.warn(warning)
    result = GridResult(
        points=points,
        labels=tuple(next(iter(done.values()))["labels"]),
        front=tuple(pareto_front(points)),
        choice=choose(points, options.budget),
        machine=clock.machine,
        threads=options.threads,
        folds=next((answer["folds"] for answer in judged.values()), 0),
        seconds={"retraining": trained - begin, "judging": judging - trained, "measuring": time.monotonic() - judging},
        warnings=tuple(warnings),
    )
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(options.output_dir / "grid.json", text + "\n")
    _present(options, result, done, judged)
    if options.ship:
        folder = options.output_dir / "ship"
        _clear(folder)
        if result.choice.point:
            ship(result.choice.point, result.labels, folder)
    return result


def _clear(folder: Path) -> None:
    """Remove what an earlier run chose: its model beside another's labels would answer wrongly."""
    for file in (*folder.glob("*_float32.tflite"), *folder.glob("*_int8.tflite"), folder / _LABELS):
        file.unlink(missing_ok=True)


def ship(point: Point, labels: Sequence[str], folder: Path) -> Path:
    """Copy a point's model, named after it, and its labels into a folder; gives the model's new place.

    Raises:
        OutputError: the folder cannot be written.
    """
    model = folder / f"{point.architecture.name}_{point.quantization}.tflite"
    write_together({model: point.model.read_bytes(), folder / _LABELS: join_labels(labels).encode()})
    return model


def _answers(judged: Answer | None, file: Answer) -> Answer:
    """A file's accuracy: on all photos, or on the test photos where there was no cross-validation."""
    found: Answer = judged[file["quantization"]] if judged else file["test"]
    return found


def _present(
    options: GridOptions,
    result: GridResult,
    done: Mapping[Architecture, Answer],
    judged: Mapping[Architecture, Answer],
) -> None:
    """The chart and the report, which shows the mistakes of the point to ship, or of the one that came nearest."""
    shown = result.choice.point or result.choice.nearest or result.points[0]
    [file] = [file for file in done[shown.architecture]["files"] if file["quantization"] == shown.quantization]
    answers = _answers(judged.get(shown.architecture), file)
    draw_chart(result, options.output_dir / "chart.png", options.output_dir / "chart.svg")
    mistakes = [
        Mistake(photo_at(options.image_dir, name), name, answer, score) for name, answer, score in answers["mistakes"]
    ]
    write_report(
        result, shown, np.array(answers["confusion"]), mistakes, options.output_dir / "chart.svg",
        options.output_dir / "report.html",
    )  # fmt: skip


def _point(
    options: GridOptions,
    architecture: Architecture,
    file: Answer,
    answers: Answer,
    classes: int,
    measured: Mapping[Path, Measurement],
) -> Point:
    model = options.folder(architecture) / file["file"]
    if not answers or not answers["right"]:
        raise DatasetError(f"{options.image_dir}: no test photo can be read, so the points cannot be compared.")
    measurement = measured[model]
    return Point(
        architecture=architecture,
        quantization=file["quantization"],
        model=model,
        size=file["size"],
        classes=classes,
        right=tuple(answers["right"]),
        judgments=answers["judgments"],
        agreement=answers["agreement_with_float"],
        latency=measurement.latency,
        photos_per_second=measurement.photos_per_second,
        process_medians=measurement.process_medians,
    )
