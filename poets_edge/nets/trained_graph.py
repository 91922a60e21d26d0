"""A frozen graph with what lies beside it, its labels and its record, if they belong to it.

`train` writes the three together and puts the labels into the graph too, so a file of another training is noticed.
Graphs of the codelab carry no labels: for those the file beside them is all there is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import finish_pending, read_bytes
from poets_edge.device.classifier import read_labels
from poets_edge.errors import ModelError, RecordError
from poets_edge.nets.frozen import FrozenGraph, read_frozen_graph
from poets_edge.nets.training_record import parse_training_record

_ATTEMPTS, _PAUSE_SECONDS = 4, 0.1
"""Files that do not fit each other may be just being written."""
_LARGEST_RECORD = 256 << 20


@dataclass(frozen=True)
class Trained:
    """A graph, the names of its classes, and its record, None where there is none."""

    frozen: FrozenGraph
    labels: tuple[str, ...]
    record: dict[str, Any] | None


class _MismatchError(ModelError):
    """Files of two trainings."""


def read_trained(graph: Path, labels: Path | None = None, *, labels_needed: bool = True) -> Trained:
    """Read a graph, its labels and its record, all of one training.

    Args:
        labels: a labels file to take in place of the one beside the graph; it need not say the same.
        labels_needed: False for those who can do without them, where there are none.

    Raises:
        ModelError: one of them is damaged, or they do not belong together.
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


def labels_beside(graph: Path) -> Path:
    """Where a graph's labels lie: `retrained_graph.pb` -> `retrained_labels.txt`, `x.pb` -> `x_labels.txt`."""
    return graph.with_name(f"{graph.stem.removesuffix('_graph')}_labels.txt")


def _read(graph: Path, labels: Path | None, labels_needed: bool) -> Trained:
    frozen = read_frozen_graph(graph)
    if labels_needed or labels or frozen.labels or labels_beside(graph).exists():
        names, source = _labels_of(frozen, labels)
    else:
        names, source = (), graph
    record = _read_record(frozen)
    if record is not None and names and labels is None and tuple(record["labels"]) != names:
        raise _MismatchError(f"{source}: not the labels {graph} was trained with. {_WAY_OUT}")
    return Trained(frozen, names, record)


_WAY_OUT = "Another training has written one of the two; train again."


def _labels_of(frozen: FrozenGraph, given: Path | None) -> tuple[tuple[str, ...], Path]:
    """The names of the classes, and the file they come from."""
    beside = labels_beside(frozen.path)
    if given is not None:
        return read_labels(given), given
    if not frozen.labels:
        return read_labels(beside), beside
    if beside.exists() and read_labels(beside) != frozen.labels:
        raise _MismatchError(
            f"{beside}: not the labels {frozen.path} was trained with. {_WAY_OUT} Or delete the labels file: the graph"
            " carries its own."
        )
    return frozen.labels, frozen.path


def _read_record(frozen: FrozenGraph) -> dict[str, Any] | None:
    path = frozen.path.with_suffix(".json")
    try:
        record = parse_training_record(read_bytes(path, _LARGEST_RECORD))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    except RecordError as error:
        raise ModelError(f"{path}: damaged ({error}). Train again, or delete it to do without it.") from None
    if record["graph_sha256"] != frozen.sha256:
        raise _MismatchError(f"{path}: describes another graph than {frozen.path}. {_WAY_OUT} Or delete the record.")
    return record
