"""Job that trains a model on the photos of a project, exports it and evaluates it, as `train` and `export` do."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.api.training import Run, export, train
from poets_edge.core.paths import GRAPH, LABELS
from poets_edge.core.wording import percent
from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Mistake, Predictions
from poets_edge.exporting.results import ExportResult
from poets_edge.quantize.convert import Quantization
from poets_edge.studio.choices import chosen_network, weights_folder
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.studio.trained_model import TrainedModel, read_model, write_model
from poets_edge.training.options import TrainOptions

SHIPPED: tuple[Quantization, ...] = ("float32", "int8")
"""Quantizations that are exported after every training; the page runs one of them in its "Try" step."""
_MOST_CHANGES = 500


def train_options(request: JobRequest) -> TrainOptions:
    """Return the training options for a job. All outputs are written to the studio's folder.

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
    """Train and export a model, make it the current one, and return the evaluation that the page shows."""
    places = Places(request.root)
    options = train_options(request)
    reporter = JobReporter(send, steps=options.head.steps)
    run = train(options, reporter=reporter)
    files = export(run, *SHIPPED, reporter=reporter)
    before = read_model(places)
    scored, evaluation = _judged(run)
    answers = _answers(run, scored)
    shown = {
        "architecture": options.architecture.name,
        "trained": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **_accuracy(run, evaluation),
        "confusion": {"labels": list(run.labels), "counts": evaluation.confusion.tolist()},
        "more_photos": _more_photos(evaluation),
        "changes": _changes(before.answers if before else {}, answers),
        "files": files_json(files),
        "warnings": reporter.warnings,
        "unreadable": list(run.unreadable),
    }
    mistakes = [_mistake(mistake) for mistake in scored.misclassified(run.labels)]
    model = TrainedModel(
        folder=options.output_graph.parent,
        number=request.number,
        state=request.state,
        shown=shown,
        mistakes=tuple(mistakes),
        answers=answers,
    )
    write_model(places, model)
    return shown


def files_json(files: ExportResult) -> list[dict[str, Any]]:
    """Return the form, size in bytes and accuracy of each exported file, as JSON-compatible dictionaries."""
    return [{"form": file.quantization, "bytes": file.size, "accuracy": file.accuracy} for file in files.files]


def _judged(run: Run) -> tuple[Predictions, Evaluation]:
    """Return predictions for photos that were not used to train the head that scored them, and their evaluation.

    With cross-validation and without a separate test set, these are the out-of-fold predictions for all photos.
    Otherwise, they are the misclassified test photos only, with the evaluation on all test photos.
    """
    if run.cross_validated is not None and not run.has_own_test:
        scored = run.cross_validated.scored
        return scored, scored.evaluation(run.labels)
    wrong = Predictions([mistake.photo for mistake in run.misclassified], _scores_of_mistakes(run), ())
    return wrong, run.test


def _scores_of_mistakes(run: Run) -> npt.NDArray[np.float32]:
    scores = np.zeros((len(run.misclassified), len(run.labels)), np.float32)
    for row, mistake in enumerate(run.misclassified):
        scores[row, run.labels.index(mistake.answer)] = mistake.score
    return scores


def _accuracy(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    """Return the accuracy, its confidence interval, the number of evaluated photos, and a sentence for the page."""
    judged = run.cross_validated if run.cross_validated is not None and not run.has_own_test else evaluation
    if not judged.count:
        return {"accuracy": None, "interval": None, "judged": 0, "words": "Too few photos to judge the model."}
    low, high = judged.interval
    return {
        "accuracy": judged.accuracy,
        "interval": [low, high],
        "judged": judged.count,
        "words": (
            f"Of 100 new photos like these, about {100 * judged.accuracy:.0f} get the right label"
            f" ({100 * low:.0f} to {100 * high:.0f}, judged by {judged.count} photos that it did not learn from)."
        ),
    }


def _more_photos(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the class with the lowest recall and advice to add photos to it; None if no photo is misclassified."""
    counted = [label for label in evaluation.labels if evaluation.recall(label) < 1]
    if not counted:
        return None
    worst = min(counted, key=evaluation.recall)
    text = f"{worst} is recognized worst: {percent(evaluation.recall(worst), 0)} of its photos. Photograph more of it."
    return {"text": text, "class": worst}


def _mistake(mistake: Mistake) -> dict[str, Any]:
    return {
        "path": mistake.photo.name,
        "label": mistake.photo.label,
        "predicted": mistake.answer,
        "score": mistake.score,
    }


def _answers(run: Run, scored: Predictions) -> dict[str, tuple[str, str]]:
    """Return a tuple (name, predicted class) for each photo, by the digest of the photo."""
    predicted = scored.scores.argmax(axis=1)
    return {
        run.digests[photo.name]: (photo.name, run.labels[answer])
        for photo, answer in zip(scored.photos, predicted.tolist(), strict=True)
        if photo.name in run.digests
    }


def _changes(before: Mapping[str, tuple[str, str]], after: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    """Return at most _MOST_CHANGES photos for which the predicted class differs from that of the previous model."""
    changed = [
        {"path": name, "before": before[digest][1], "after": answer}
        for digest, (name, answer) in after.items()
        if digest in before and before[digest][1] != answer
    ]
    return sorted(changed, key=lambda change: change["path"])[:_MOST_CHANGES]
