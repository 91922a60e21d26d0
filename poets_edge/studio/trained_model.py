"""The current model of a project: a folder with its graph and exported files, and `model.json`, which describes it.

`model.json` is replaced last, so that it never describes files from different training runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes, write_bytes
from poets_edge.core.json_checks import DictOf, check, json_bytes, parse_json
from poets_edge.core.paths import GRAPH
from poets_edge.errors import RecordError
from poets_edge.quantize.convert import QUANTIZATIONS
from poets_edge.studio.places import Places, is_plain
from poets_edge.studio.refusal import RefusedError

_NAME = "model.json"
_SHAPE = {"number": str, "state": str, "shown": DictOf(object), "mistakes": [object], "answers": DictOf([str])}


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The model of a project, with its evaluation.

    Attributes:
        folder: folder with the graph and the exported files.
        number: number of the job that trained the model.
        state: digest of the photos that the model was trained on; see `Project.state`.
        shown: the evaluation that the page shows, a JSON-compatible dictionary.
        mistakes: misclassified photos that the page shows, JSON-compatible dictionaries.
        answers: a tuple (name, predicted class) for each evaluated photo, by the SHA-256 digest of the photo.
    """

    folder: Path
    number: str
    state: str
    shown: Mapping[str, Any]
    mistakes: tuple[Any, ...]
    answers: Mapping[str, tuple[str, str]]

    @property
    def graph(self) -> Path:
        """Path of the frozen graph."""
        return self.folder / GRAPH.name

    def file(self, form: str) -> Path:
        """Return the path of an exported file. Raises RefusedError if the model was not exported in this form."""
        stem = GRAPH.stem
        path = self.folder / (f"{stem}.tflite" if form == "float32" else f"{stem}_{form}.tflite")
        if form not in QUANTIZATIONS or not path.is_file():
            raise RefusedError(f"The model does not exist as {form[:20]}. Take it in this form first.", 404)
        return path


def read_model(places: Places) -> TrainedModel | None:
    """Return the current model of a project; None if the project has no model, or the description is damaged."""
    try:
        found = check(parse_json(read_bytes(places.models / _NAME)), _SHAPE)
    except (OSError, RecordError, UnicodeError):
        return None
    folder = places.models / found["number"]
    if not is_plain(found["number"]) or not folder.is_dir() or folder.is_symlink():
        return None
    answers = {digest: (pair[0], pair[1]) for digest, pair in found["answers"].items() if len(pair) == 2}
    return TrainedModel(
        folder=folder,
        number=found["number"],
        state=found["state"],
        shown=found["shown"],
        mistakes=tuple(found["mistakes"]),
        answers=answers,
    )


def write_model(places: Places, model: TrainedModel) -> None:
    """Make a model the current one; remove the prepared downloads, and all older models except the previous one.

    Raises:
        OutputError: the description cannot be written, for example because the disk is full.
    """
    before = read_model(places)
    described = {
        "number": model.number,
        "state": model.state,
        "shown": dict(model.shown),
        "mistakes": list(model.mistakes),
        "answers": {digest: list(pair) for digest, pair in model.answers.items()},
    }
    write_bytes(places.models / _NAME, json_bytes(described))
    kept = {model.number, before.number if before else model.number}
    for prepared in places.taken.iterdir():
        if prepared.is_file() and not prepared.is_symlink():
            prepared.unlink()
    for folder in places.models.iterdir():
        if folder.name.isdecimal() and folder.name not in kept and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
