"""The current model of a project: a folder with its graph and exported files, and `model.json`, a description of it.

`model.json` is written after all other files, so that it never describes files from different training runs. The
predictions for individual photos are in a separate file, because the web page requests the description much more often.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes, write_bytes
from poets_edge.core.json_checks import check, json_bytes, parse_json
from poets_edge.core.paths import GRAPH, LABELS
from poets_edge.errors import RecordError
from poets_edge.quantize.convert import QUANTIZATIONS
from poets_edge.studio import messages
from poets_edge.studio.job_results import TRAINED
from poets_edge.studio.places import Places, is_plain
from poets_edge.studio.refusal import RefusedError

_NAME = "model.json"
_PREDICTIONS = "predictions.json"
_SHAPE = {"number": str, "state": str, "shown": TRAINED}
_LARGEST = 16 << 20
"""Maximum size of `model.json` in bytes."""
_PREDICTION = {"photo": str, "label": str, "predicted": str, "score": float, "stamp": str, "digest": str}


@dataclass(frozen=True, kw_only=True)
class PhotoPrediction:
    """Prediction for a photo that the model was not trained on.

    Attributes:
        photo: name of the photo when the model was trained.
        label: class of the photo when the model was trained.
        predicted: label that the model predicted.
        score: score of the predicted label, 0 to 1.
        stamp: hash that identifies the version of the photo's file, even if it is renamed; see `stamp_of`.
        digest: SHA-256 digest of the photo, hexadecimal.
    """

    photo: str
    label: str
    predicted: str
    score: float
    stamp: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained model of a project, with its evaluation.

    Attributes:
        folder: folder with the graph and the exported files.
        number: number of the job that trained the model.
        state: digest of the photos that the model was trained on; see `Project.state`.
        shown: the evaluation that the web page shows, a JSON-compatible dictionary.
    """

    folder: Path
    number: str
    state: str
    shown: Mapping[str, Any]

    @property
    def graph(self) -> Path:
        """Path of the model as a TensorFlow frozen graph."""
        return self.folder / GRAPH.name

    def file(self, form: str) -> Path:
        """Return the path of the `.tflite` file with a given quantization.

        Raises:
            RefusedError: the model has not been exported with this quantization.
        """
        stem = GRAPH.stem
        path = self.folder / (f"{stem}.tflite" if form == "float32" else f"{stem}_{form}.tflite")
        if form not in QUANTIZATIONS or not path.is_file():
            raise RefusedError(messages.NOT_EXPORTED.format(form=form[:20]), 404)
        return path

    def accuracy(self, form: str) -> float | None:
        """Return the test accuracy, 0 to 1, of the `.tflite` file with a given quantization; None if not evaluated."""
        accuracies: dict[str, float | None] = {file["form"]: file["accuracy"] for file in self.shown["files"]}
        return accuracies.get(form)

    def predictions(self) -> tuple[PhotoPrediction, ...]:
        """Return the predictions for the evaluated photos; an empty tuple if their file is missing or damaged."""
        try:
            found = check(parse_json(read_bytes(self.folder / _PREDICTIONS)), [_PREDICTION])
        except (OSError, RecordError, UnicodeError):
            return ()
        return tuple(PhotoPrediction(**{name: one[name] for name in _PREDICTION}) for one in found)


def read_model(places: Places) -> TrainedModel | None:
    """Return the current model of a project; None if there is no model, or if the file that describes it is damaged."""
    try:
        found = check(parse_json(read_bytes(places.models / _NAME, _LARGEST)), _SHAPE)
    except (OSError, RecordError, UnicodeError):
        return None
    folder = places.models / found["number"]
    if not is_plain(found["number"]) or not folder.is_dir() or folder.is_symlink():
        return None
    return TrainedModel(folder=folder, number=found["number"], state=found["state"], shown=found["shown"])


def write_model(places: Places, model: TrainedModel, predictions: Sequence[PhotoPrediction]) -> None:
    """Make a trained model the current one of a project, and remove all older models except the previous one.

    Args:
        places: paths of the studio's files in the project.
        model: the trained model, whose graph and exported files have been written.
        predictions: what the model predicts for the evaluated photos.

    Raises:
        OutputError: a file cannot be written, for example because the disk is full.
    """
    before = read_model(places)
    write_bytes(model.folder / _PREDICTIONS, json_bytes([vars(one) for one in predictions]))
    described = {"number": model.number, "state": model.state, "shown": dict(model.shown)}
    write_bytes(places.models / _NAME, json_bytes(described))
    kept = {model.number, before.number if before else model.number}
    for folder in places.models.iterdir():
        if folder.name.isdecimal() and folder.name not in kept and folder.is_dir() and not folder.is_symlink():
            _remove_model(folder)


def _remove_model(folder: Path) -> None:
    """Remove the files of a model, and its folder if it is empty afterwards; other files are kept."""
    for path in folder.iterdir():
        own = path.stem.startswith(GRAPH.stem) or path.name in (LABELS.name, _PREDICTIONS)
        if own and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it contains something else
        folder.rmdir()
