"""A frozen graph with its labels file and its training record.

`train` writes the three files together and also stores the labels in the graph, so that a file from another training
run is detected. For graphs written by the codelab "TensorFlow for Poets", the labels are only in the file next to the
graph.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import finish_pending, read_bytes
from poets_edge.device.model_labels import read_labels, renamed_labels
from poets_edge.errors import ModelError, RecordError
from poets_edge.nets.frozen import FrozenGraph, read_frozen_graph
from poets_edge.nets.training_record import parse_training_record

_ATTEMPTS, _PAUSE_SECONDS = 4, 0.1
"""Maximum number of attempts to read a graph, its labels file and its training record while another process may be
replacing them; and pause between two attempts, in seconds."""
_MAX_RECORD_BYTES = 256 << 20


@dataclass(frozen=True)
class Trained:
    """A frozen graph with its labels and its training record.

    Attributes:
        labels: class names, in the order of the output.
        record: content of the training record, a JSON file next to the graph; None if there is no such file.
    """

    frozen: FrozenGraph
    labels: tuple[str, ...]
    record: dict[str, Any] | None


class _MismatchError(ModelError):
    """Raised if a graph, its labels file and its training record come from different training runs."""


def read_trained(graph: Path, labels: Path | None = None, *, labels_needed: bool = True) -> Trained:
    """Read a frozen graph with its labels and its training record.

    Args:
        labels: labels file for a graph without labels, or file with translations of the labels in the graph (see
            `renamed_labels`); by default, the labels in the graph or, if it has none, the labels file next to it.
        labels_needed: whether missing labels are an error.

    Raises:
        ModelError: a file is missing or damaged, or the files come from different training runs.
    """
    for attempt in range(_ATTEMPTS):
        finish_pending(graph.parent)
        try:
            return _read(graph, labels, labels_needed)
        except _MismatchError as error:
            if attempt == _ATTEMPTS - 1:
                raise ModelError(str(error)) from None
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def labels_file(graph: Path) -> Path:
    """Return the path of the labels file next to a graph, for example `x_labels.txt` for `x.pb` or `x_graph.pb`."""
    return graph.with_name(f"{graph.stem.removesuffix('_graph')}_labels.txt")


def _read(graph: Path, labels: Path | None, labels_needed: bool) -> Trained:
    frozen = read_frozen_graph(graph)
    if labels_needed or labels or frozen.labels or labels_file(graph).exists():
        names, source = _labels_of(frozen, labels)
    else:
        names, source = (), graph
    record = _read_record(frozen)
    if record is not None and names and labels is None and tuple(record["labels"]) != names:
        raise _MismatchError(f"{source}: not the labels {graph} was trained with. {_WAY_OUT}")
    return Trained(frozen, names, record)


_WAY_OUT = "Another training has written one of the two; train again."


def _labels_of(frozen: FrozenGraph, given: Path | None) -> tuple[tuple[str, ...], Path]:
    """Return the class names and the path of the file that contains them."""
    file = labels_file(frozen.path)
    if given is not None:
        return renamed_labels(frozen.labels, read_labels(given), source=str(given), model=frozen.path), given
    if not frozen.labels:
        return read_labels(file, own=True), file
    if file.exists() and read_labels(file, own=True) != frozen.labels:
        raise _MismatchError(
            f"{file}: not the labels {frozen.path} was trained with. {_WAY_OUT} Or delete the labels file: the graph"
            " carries its own."
        )
    return frozen.labels, frozen.path


def _read_record(frozen: FrozenGraph) -> dict[str, Any] | None:
    path = frozen.path.with_suffix(".json")
    try:
        record = parse_training_record(read_bytes(path, _MAX_RECORD_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    except RecordError as error:
        raise ModelError(f"{path}: damaged ({error}). Train again, or delete it to do without it.") from None
    if record["graph_sha256"] != frozen.sha256:
        raise _MismatchError(f"{path}: describes another graph than {frozen.path}. {_WAY_OUT} Or delete the record.")
    return record
