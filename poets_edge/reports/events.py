"""TensorBoard event files: curves, histograms and the graph of one training run.

TensorBoard's own protocol buffers, which do not need TensorFlow, written record by record.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary

from poets_edge.core.files import replacing
from poets_edge.core.temporary import remove_dead_matching, temporary_pattern
from poets_edge.reports.event_records import write_record

_OURS = "poets_edge"
_HISTOGRAM_BINS = 30
"""At most; a few values do with as many bins."""


class EventFile:
    """One open event file; made by `event_file`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._write(Event(file_version="brain.Event:2"))

    def add(
        self,
        step: int,
        scalars: dict[str, float],
        histograms: dict[str, npt.NDArray[np.float32]] | None = None,
    ) -> None:
        """Write scalars and histograms of one step."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        for tag, data in (histograms or {}).items():
            values.append(Summary.Value(tag=tag, histo=_histogram(data)))
        self._write(Event(step=step, summary=Summary(value=values)))

    def add_graph(self, graph: Any) -> None:
        """Write a GraphDef for the Graphs page."""
        self._write(Event(graph_def=graph.SerializeToString()))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        write_record(self._file, event.SerializeToString())


@contextlib.contextmanager
def event_file(folder: Path) -> Iterator[EventFile]:
    """Begin an event file in `folder`; it appears there when complete, in place of poets_edge's earlier ones.

    Two runs in one folder would be drawn as one zigzag curve. Files of others are left alone.

    Raises:
        OutputError: it cannot be written.
    """
    earlier = _event_files(folder)
    remove_dead_matching(folder, temporary_pattern(rf"events\.out\.tfevents\.\d{{20}}\..*\.{_OURS}"))
    path = folder / f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{_OURS}"
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield EventFile(file)
    for old in earlier:
        old.unlink(missing_ok=True)


def remove_event_files(folder: Path) -> None:
    """Remove poets_edge's event files in `folder`, and the folder if it is empty then."""
    for old in _event_files(folder):
        old.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _event_files(folder: Path) -> list[Path]:
    return list(folder.glob(f"events.out.tfevents.*.{_OURS}")) if folder.is_dir() else []


def _histogram(values: npt.NDArray[np.float32]) -> Any:
    # As np.histogram, which takes three times as long; this is done at every evaluation.
    flat = np.sort(values, axis=None).astype(np.float64)
    low, high = (flat[0], flat[-1]) if flat[0] < flat[-1] else (flat[0] - 0.5, flat[0] + 0.5)
    edges = np.linspace(low, high, min(_HISTOGRAM_BINS, flat.size) + 1)
    counts = np.diff(np.searchsorted(flat, edges[1:-1]), prepend=0, append=flat.size)
    return HistogramProto(
        min=flat[0],
        max=flat[-1],
        num=flat.size,
        sum=flat.sum(),
        sum_squares=float(flat @ flat),
        bucket_limit=edges[1:],
        bucket=counts,
    )
