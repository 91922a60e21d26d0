"""Default paths: the folder `tf_files`, named as in the TensorFlow for Poets codelab, and the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "POETS_EDGE_CACHE"
WORK = Path("tf_files")
"""Default folder for all outputs, as in the codelab "TensorFlow for Poets"."""

GRAPH = WORK / "retrained_graph.pb"
LABELS = WORK / "retrained_labels.txt"
BOTTLENECKS = WORK / "bottlenecks"
MODELS = WORK / "models"
RUNS = WORK / "runs"


def cache_folder() -> Path:
    """Return the user's cache folder: $XDG_CACHE_HOME/poets_edge, by default ~/.cache/poets_edge.

    If $POETS_EDGE_CACHE is set, its value is returned instead. Commands that run this program on another device over
    SSH set the variable there, so that no files are written to the home folder of that device.

    Raises:
        RuntimeError: neither variable is set and the user has no home folder, as in some system services.
    """
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "poets_edge"
