"""Check, before a training run, that its results would replace only results of earlier runs."""

from __future__ import annotations

from pathlib import Path

from poets_edge.core.files import existing_head
from poets_edge.errors import OutputError
from poets_edge.reports.page import check_page
from poets_edge.training.options import TrainOptions

_HEAD_BYTES = 1024
"""Number of bytes at the start of a file from which its kind is recognized. In a training record, they contain the
format and the checksum of the graph."""


def check_outputs(options: TrainOptions) -> None:
    """Raise OutputError if a result of training would replace a file of another kind, such as a photo or an archive."""
    if existing_head(options.output_graph, 1) not in (b"", b"\n"):  # a graph begins with the tag of its first node
        raise _taken(options.output_graph, "a frozen graph", "`output_graph`")
    if b"\0" in existing_head(options.output_labels, _HEAD_BYTES):
        raise _taken(options.output_labels, "a text file", "`output_labels`")
    record = existing_head(options.record, _HEAD_BYTES)
    if record and b'"graph_sha256"' not in record:
        raise _taken(
            options.record, "a record of a training run", "`output_graph`, next to which the record is written"
        )
    if options.with_report:
        check_page(options.report)


def _taken(path: Path, kind: str, option: str) -> OutputError:
    return OutputError(f"{path}: not {kind}, and is not replaced. Move it away, or choose another {option}.")
