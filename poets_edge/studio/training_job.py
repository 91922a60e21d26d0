"""Job that trains, exports and evaluates a model of the photos of a project, like `poets-edge train` and `export`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from poets_edge.api.training import Run, export, train
from poets_edge.core.paths import GRAPH, LABELS
from poets_edge.core.wording import percent
from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Predictions
from poets_edge.exporting.results import ExportResult
from poets_edge.quantize.convert import Quantization
from poets_edge.studio import messages
from poets_edge.studio.choices import chosen_network, weights_folder
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.studio.scan import stamp_of
from poets_edge.studio.take_job import remove_taken
from poets_edge.studio.trained_model import PhotoPrediction, TrainedModel, read_model, write_model
from poets_edge.training.options import TrainOptions

SHIPPED: tuple[Quantization, ...] = ("float32", "int8")
"""Quantizations that are exported after every training; the web page runs one of them in its "Try" step."""
_MOST_CHANGES = 500


def train_options(request: JobRequest) -> TrainOptions:
    """Return the training options for a job. All outputs are written to the studio's own folder in the project.

    Raises:
        UsageError: there is no network with the requested name.
    """
    places = Places(request.root)
    network, weights = chosen_network(request.choice, request.architecture)
    folder = places.models / request.number
    return TrainOptions(
        image_dir=request.root,
        architecture=network,
        weights=weights,
        output_graph=folder / GRAPH.name,
        output_labels=folder / LABELS.name,
        bottleneck_dir=places.models / "bottlenecks",
        model_dir=weights_folder(),
        summaries_dir=places.models / "summaries",
        intermediate_output_graphs_dir=places.models / "intermediate",
        runs_dir=None,
        with_report=False,
        exclude=places.excluded if places.excluded.exists() else None,
    )


def run_training(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Train and export a model, make it the current one, and return the evaluation that the web page shows.

    Args:
        request: the job to run.
        send: function that sends a `JobProgress` to the server.
    """
    places = Places(request.root)
    options = train_options(request)
    reporter = JobReporter(send, steps=options.head.steps)
    run = train(options, reporter=reporter)
    files = export(run, *SHIPPED, reporter=reporter)
    before = read_model(places)
    scored, evaluation = _out_of_sample_predictions(run, files)
    predictions = _predictions(run, scored, request.root)
    shown = {
        "architecture": options.architecture.name,
        "trained": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **_accuracy(run, evaluation),
        "confusion": {"labels": list(run.labels), "counts": evaluation.confusion.tolist()},
        "more_photos": _more_photos(evaluation),
        "changes": _changes(before.predictions(), predictions) if before else None,
        "files": files_json(files),
        "tested": run.test.count,
        "warnings": reporter.warnings,
        "unreadable": list(run.unreadable),
    }
    model = TrainedModel(folder=options.output_graph.parent, number=request.number, state=request.state, shown=shown)
    write_model(places, model, predictions)
    remove_taken(places)
    return shown


def files_json(files: ExportResult) -> list[dict[str, Any]]:
    """Return a JSON-compatible dictionary for each exported file, with its quantization, size in bytes and accuracy."""
    return [{"form": file.quantization, "bytes": file.size, "accuracy": file.accuracy} for file in files.files]


def _out_of_sample_predictions(run: Run, files: ExportResult) -> tuple[Predictions, Evaluation]:
    """Return predictions for photos, each made with a head that was not trained on the photo, and their evaluation.

    With cross-validation and without a separate test set, these are the out-of-fold predictions for all photos.
    Otherwise, they are the predictions of the float32 file for the test photos.
    """
    if run.cross_validated is not None and not run.has_own_test:
        scored: Predictions | None = run.cross_validated.scored
    else:
        scored = files["float32"].scored
    if scored is None:
        return Predictions.of((), (), len(run.labels), ()), run.test
    return scored, scored.evaluation(run.labels)


def _predictions(run: Run, scored: Predictions, root: Path) -> list[PhotoPrediction]:
    answers = scored.scores.argmax(axis=1).tolist()
    return [
        PhotoPrediction(
            photo=photo.name,
            label=photo.label,
            predicted=run.labels[answer],
            score=float(scored.scores[row, answer]),
            stamp=_stamp(root / photo.name),
            digest=run.digests.get(photo.name, ""),
        )
        for row, (photo, answer) in enumerate(zip(scored.photos, answers, strict=True))
    ]


def _stamp(path: Path) -> str:
    try:
        return stamp_of(path.lstat())
    except OSError:  # moved or deleted meanwhile
        return ""


def _accuracy(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    """Return the accuracy, its confidence interval, the number of evaluated photos, and a sentence with them."""
    judged = run.cross_validated if run.cross_validated is not None and not run.has_own_test else evaluation
    if not judged.count:
        return {"accuracy": None, "interval": None, "judged": 0, "words": messages.TOO_FEW_TO_EVALUATE}
    low, high = judged.interval
    assumption = messages.ASSUMPTION if run.assumption else ""
    return {
        "accuracy": judged.accuracy,
        "interval": [low, high],
        "judged": judged.count,
        "words": messages.ACCURACY.format(
            correct=100 * judged.accuracy, low=100 * low, high=100 * high, photos=messages.photos(judged.count)
        )
        + assumption,
    }


def _more_photos(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the class with the lowest recall, and a sentence that advises adding photos to it.

    The result is None if no photo is misclassified.
    """
    counted = [label for label in evaluation.labels if evaluation.recall(label) < 1]
    if not counted:
        return None
    worst = min(counted, key=evaluation.recall)
    text = messages.WORST_CLASS.format(label=worst, recall=percent(evaluation.recall(worst), 0))
    return {"text": text, "class": worst}


def _changes(before: Sequence[PhotoPrediction], after: Sequence[PhotoPrediction]) -> list[dict[str, str]]:
    """Return at most 500 photos, sorted by name, for which the previous and the new model predict different classes.

    Only photos that were evaluated with both models are compared. They are identified by their SHA-256 digests.
    """
    known = {one.digest: one.predicted for one in before if one.digest}
    changed = [
        {"path": one.photo, "before": known[one.digest], "after": one.predicted}
        for one in after
        if known.get(one.digest, one.predicted) != one.predicted
    ]
    return sorted(changed, key=lambda change: change["path"])[:_MOST_CHANGES]
