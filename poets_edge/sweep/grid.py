"""`grid`: train, export and measure many architectures on one photo folder, and choose the model to use.

Finished work is saved, so that a run continues where an earlier run was stopped or killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from poets_edge.bench.measurement import Measurement
from poets_edge.core.files import existing_head, write_text
from poets_edge.device.unknown import Refused, count_strangers, stranger_photos
from poets_edge.errors import DatasetError, OutputError
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.nets.architecture import Architecture
from poets_edge.progress import Reporter, Silent
from poets_edge.sweep.architecture_result import ArchitectureResult, Evaluations, GridModel
from poets_edge.sweep.chart.figure import draw_chart
from poets_edge.sweep.choice import choose
from poets_edge.sweep.latency_source import LatencySource, open_latency_source
from poets_edge.sweep.npu_latencies import board_costs
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.photo_snapshot import take_snapshot
from poets_edge.sweep.points import GridPoint, pareto_front
from poets_edge.sweep.report import write_report
from poets_edge.sweep.results import FORMAT, GridResult
from poets_edge.sweep.shipping import check_shipping, remove_shipped, ship
from poets_edge.sweep.training import train_architectures
from poets_edge.sweep.validation import validate_architectures

_RESULT, _REPORT = "grid.json", "report.html"
_CHARTS = ("chart.png", "chart.svg")
_HEAD_BYTES = 1024


def grid(options: GridOptions, reporter: Reporter | None = None) -> GridResult:
    """Train, export and measure all architectures that the options specify, and choose the model to use.

    The results are also written, as `grid.json`, `chart.png`, `chart.svg` and `report.html`.

    Raises:
        DatasetError: the folder is not suitable for training, or photos were replaced or removed during the run.
        WeightsError: weights of an architecture are missing; raised before training.
        OutputError: a file cannot be written; finished architectures remain saved.
        RuntimeMissingError: TensorFlow or an interpreter is not installed.
        RemoteError: the device whose latencies are measured cannot be reached.
        RecordError: a file with latencies cannot be used.
    """
    reporter = reporter or Silent()
    _check_outputs(options)
    with open_latency_source(options, reporter) as source:
        return _run(options, source, reporter)


def _run(options: GridOptions, source: LatencySource, reporter: Reporter) -> GridResult:
    begin = time.monotonic()
    if options.strangers is not None:
        stranger_photos(options.strangers)  # raises an error before the work begins
    photos = take_snapshot(options, reporter)
    results = train_architectures(options, photos, reporter)
    photo_warnings = _warn_once((text for result in results.values() for text in result.warnings), reporter)
    trained = time.monotonic()
    deciders: Mapping[Architecture, Evaluations] = {}
    if not options.uses_folds:
        evaluations = _evaluations(options, results, use_folds=False)
    elif photos.has_own_test:
        evaluations = _evaluations(options, results, use_folds=False)
        try:
            results = validate_architectures(options, photos, results, reporter)
            deciders = _evaluations(options, results, use_folds=True)
        except DatasetError as error:
            reporter.warn(f"no cross-validation: {error}")
    else:
        results = validate_architectures(options, photos, results, reporter)
        evaluations = _evaluations(options, results, use_folds=True)
    _warn_once((text for one in evaluations.values() for text in one.warnings), reporter)
    models = [model for result in results.values() for model in result.models]
    strangers: Mapping[Path, Refused | None] = {}
    if options.strangers is not None:
        strangers = count_strangers([model.path for model in models], options.strangers, reporter)
    validated = time.monotonic()
    measured, warnings = source.measure(models)
    costs = board_costs(options, results, reporter)
    points = tuple(
        _point(
            model,
            evaluations[architecture],
            deciders.get(architecture),
            result,
            measured[model.path],
            strangers.get(model.path),
            costs.get(architecture) if model.quantization == "int8" else None,
        )
        for architecture, result in results.items()
        for model in result.models
        if model.path in measured
    )
    _warn_once(warnings, reporter)
    result = GridResult(
        points=points,
        labels=next(iter(results.values())).labels,
        front=tuple(pareto_front(points)),
        choice=choose(points, options.budget),
        machine=source.machine,
        threads=options.threads,
        folds=next(iter(evaluations.values())).folds,
        has_own_test=photos.has_own_test,
        seconds={
            "retraining": trained - begin,
            "judging": validated - trained,
            "measuring": time.monotonic() - validated,
        },
        warnings=tuple(warnings),
        photo_warnings=photo_warnings,
        assumption=_assumption(results.values()),
        budget=options.budget,
    )
    if result.assumption:
        reporter.note(result.assumption)
    _write(options, result, evaluations)
    return result


def _warn_once(warnings: Iterable[str], reporter: Reporter) -> tuple[str, ...]:
    """Report each distinct warning once, even if several architectures caused it, and return the distinct warnings."""
    distinct = tuple(dict.fromkeys(warnings))
    for warning in distinct:
        reporter.warn(warning)
    return distinct


def _assumption(results: Collection[ArchitectureResult]) -> str | None:
    """Return the sentence that says that the confidence intervals assume independent photos.

    The result is None if the assumption does not apply to an architecture.
    """
    found = [result.assumption for result in results]
    return found[0] if all(found) else None


def _evaluations(
    options: GridOptions, results: Mapping[Architecture, ArchitectureResult], *, use_folds: bool
) -> dict[Architecture, Evaluations]:
    """Return, for each architecture, the evaluations of its models, either on the test set or by cross-validation.

    Args:
        use_folds: whether to return the evaluations by cross-validation instead of those on the test set.

    Raises:
        DatasetError: no photo was evaluated, or the architectures were evaluated on different photos.
    """
    found = {}
    for architecture, result in results.items():
        evaluations = result.cross_validation if use_folds else result.test
        if evaluations is None or not evaluations.photos:
            raise DatasetError(f"{options.image_dir}: no test photo can be read, so the points cannot be compared.")
        found[architecture] = evaluations
    every = set.union(*(set(one.photos) for one in found.values()))
    missing = sorted({name for one in found.values() for name in every - set(one.photos)})
    if missing:
        raise DatasetError(
            f"{options.image_dir}: {missing[0]} was removed or replaced while the grid was running. Run again; computed"
            " bottlenecks are kept."
        )
    return found


def _point(
    model: GridModel,
    evaluations: Evaluations,
    deciding: Evaluations | None,
    result: ArchitectureResult,
    measurement: Measurement,
    strangers: Refused | None,
    cost: MicroCost | None,
) -> GridPoint:
    evaluation = evaluations.models[model.quantization]
    tested = result.test.models[model.quantization] if result.test else None
    decider = deciding.models[model.quantization] if deciding else None
    return GridPoint(
        architecture=model.architecture,
        quantization=model.quantization,
        model=model.path,
        size=model.size,
        classes=len(result.labels),
        correct=evaluation.correct,
        repeats=evaluation.repeats,
        groups=evaluations.groups,
        agreement=evaluation.agreement,
        latency=measurement.latency,
        photos_per_second=measurement.photos_per_second,
        process_medians=measurement.process_medians,
        cross_validated=decider.correct if decider else (),
        cross_validated_repeats=decider.repeats if decider else 1,
        cross_validated_groups=deciding.groups if deciding else None,
        unknown=Refused(tested.unknown, len(tested.correct)) if tested and tested.unknown is not None else None,
        strangers=strangers,
        cost=cost,
    )


def _check_outputs(options: GridOptions) -> None:
    """Raise OutputError if the results would replace files that `grid` has not written."""
    folder = options.output_dir
    is_own = f'"{FORMAT}"'.encode() in existing_head(folder / _RESULT, _HEAD_BYTES)
    for name in (_RESULT, *_CHARTS, _REPORT):
        if not is_own and (folder / name).exists():
            raise OutputError(
                f"{folder / name}: not written by `grid`, and is not replaced. Move it away, or choose another"
                " `output_dir`."
            )
    if options.ship:
        check_shipping(folder / "ship")


def _write(options: GridOptions, result: GridResult, evaluations: Mapping[Architecture, Evaluations]) -> None:
    """Write the JSON file, the charts, the HTML report and, if requested, copies of the chosen model and its labels."""
    folder = options.output_dir
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / _RESULT, text + "\n")
    draw_chart(result, folder / _CHARTS[0], folder / _CHARTS[1])
    shown = result.choice.point or result.choice.nearest or result.points[0]
    evaluation = evaluations[shown.architecture].models[shown.quantization]
    write_report(result, shown, evaluation, options.image_dir, folder / _REPORT)
    if options.ship:
        remove_shipped(folder / "ship")
        if result.choice.point:
            ship(result.choice.point, result.labels, folder / "ship")
