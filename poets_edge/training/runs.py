"""History of training runs.

Each run of `train` overwrites the graph and the curves of the previous run, but saves a summary of its own.

A run is a folder in `tf_files/runs`, named by its time and architecture. It holds `run.json`, with the options and the
results, and copies of TensorBoard's event files, so `tensorboard --logdir tf_files/runs` shows all runs.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes, unused_folder
from poets_edge.core.json_checks import SHARE, DictOf, Optional, check, json_bytes, parse_json
from poets_edge.core.temporary import remove_dead_matching, temporary_pattern
from poets_edge.errors import OutputError, RecordError

_NOTE = "run.json"
_ACCURACY = {"accuracy": Optional(SHARE), "photos": int}
_SHAPE = {
    "date": str,
    "options": DictOf(object),
    "photos": DictOf(int),
    "accuracies": DictOf(Optional(_ACCURACY)),
    "recall": DictOf(Optional(SHARE)),
}


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        name: name of the run's folder.
        date: local time when the run was saved, with UTC offset, ISO 8601.
        options: the options that determine the result, flattened: `{"head.steps": 4000, ...}`.
        photos: number of photos by class.
        accuracies: for each of "validation", "test" and "cross_validation", a dictionary with the `accuracy` (0 to 1;
            None without photos) and the number of `photos`; None if this evaluation was not done.
        recall: recall by class on the test photos, 0 to 1; None for a class without test photos.
    """

    name: str
    date: str
    options: dict[str, Any]
    photos: dict[str, int]
    accuracies: dict[str, dict[str, Any] | None]
    recall: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON-compatible dictionaries, lists, strings and numbers."""
        return dict(vars(self))


def save_run(folder: Path, record: Mapping[str, Any], summaries: Path) -> Path:
    """Save `run.json` and copies of the event files of a finished run, and return the new folder.

    Args:
        folder: folder that contains all runs.
        record: fields of the training record.
        summaries: folder with the event files of this run.

    Raises:
        OutputError: the folder cannot be written.
    """
    now = datetime.datetime.now().astimezone()
    note = {
        "date": now.isoformat(timespec="seconds"),
        "options": _flat(
            {key: record[key] for key in ("architecture", "weights", "image_dir", "percentages", "head", "distortions")}
            | {key: record[key] for key in ("fine_tuning", "calibrated", "exclude") if key in record}
        ),
        "photos": {label: sum(sets.values()) for label, sets in record["classes"].items()},
        "accuracies": {
            name: {key: record[name][key] for key in ("accuracy", "photos")} if record.get(name) else None
            for name in ("validation", "test", "cross_validation")
        },
        "recall": record["test"]["recall"],
    }
    target = folder / f"{now:%Y%m%d-%H%M%S-%f}-{record['architecture']}"
    remove_dead_matching(folder, temporary_pattern(r"\d{8}-\d{6}-\d{6}-[\w.]+"))
    with unused_folder(target) as temporary:
        try:
            for curves in (summaries / "train", summaries / "validation"):
                _copy(curves, temporary / curves.name)
            (temporary / _NOTE).write_bytes(json_bytes(note))
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror or error}.") from None
    return target


def _copy(curves: Path, folder: Path) -> None:
    """Copy TensorBoard's event files from the folder `curves` to `folder`, which is created if there are any."""
    for path in sorted(curves.glob("events.*")):
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # replaced meanwhile by another training
            shutil.copy2(path, folder / path.name)


def list_runs(folder: Path) -> tuple[Run, ...]:
    """Return the runs in a folder, oldest first. Raises RecordError if a `run.json` is damaged."""
    return tuple(_read(path) for path in sorted(folder.glob(f"*/{_NOTE}")))


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return a dictionary of the options in which runs differ, including the number of photos if it differs.

    Its values are lists with the setting of the option in each run; None if a run lacks the option.
    """
    names = dict.fromkeys(name for run in runs for name in run.options)
    values = {name: [run.options.get(name) for run in runs] for name in names}
    counts: dict[str, list[Any]] = {"photos": [sum(run.photos.values()) for run in runs]}
    return {name: row for name, row in (counts | values).items() if any(value != row[0] for value in row)}


def _read(path: Path) -> Run:
    try:
        note = check(parse_json(read_bytes(path)), _SHAPE)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}.") from None
    except RecordError as error:
        raise RecordError(f"{path}: {error} Delete its folder to list the other runs.") from None
    return Run(path.parent.name, *(note[field] for field in _SHAPE))


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found
