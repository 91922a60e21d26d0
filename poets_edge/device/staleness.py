"""Detect models that were exported from an earlier frozen graph than the one that is now in the same folder."""

from __future__ import annotations

import re

from poets_edge.core.files import read_head
from poets_edge.device.classifier import Classifier

_QUANTIZATIONS = ("_dynamic", "_float16", "_full_int8", "_int8")
_GRAPH_CHECKSUM = re.compile(rb'"graph_sha256": "([0-9a-f]{64})"')
_RECORD_HEAD_BYTES = 4096


def stale_line(classifier: Classifier) -> str | None:
    """Return a warning if a model was not exported from the frozen graph that is now in its folder; otherwise None.

    The graphs are compared by checksum, and the result is also None if either checksum is unknown. The checksum of the
    graph in the folder is read from the first 4 KB of the JSON file that training wrote next to the graph.
    """
    training = classifier.metadata.facts.get("training") or {}
    stem = classifier.path.stem
    for end in _QUANTIZATIONS:
        stem = stem.removesuffix(end)
    try:
        found = _GRAPH_CHECKSUM.search(read_head(classifier.path.with_name(f"{stem}.json"), _RECORD_HEAD_BYTES))
    except OSError:
        return None
    if found is None or training.get("graph_sha256") in (None, found[1].decode()):
        return None
    return (
        f"{classifier.path} comes from an earlier training than {classifier.path.with_name(f'{stem}.pb')}, and may know"
        " other classes. Export that graph again."
    )
