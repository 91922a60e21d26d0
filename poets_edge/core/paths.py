"""Default paths: the codelab's `tf_files` folder and the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

WORK = Path("tf_files")
"""The codelab's folder for all output."""

GRAPH = WORK / "retrained_graph.pb"
LABELS = WORK / "retrained_labels.txt"
BOTTLENECKS = WORK / "bottlenecks"
MODELS = WORK / "models"
RUNS = WORK / "runs"


def cache_folder() -> Path:
    """Return the user's cache folder, $XDG_CACHE_HOME/poets_edge or ~/.cache/poets_edge.

    Raises:
        RuntimeError: neither the variable nor a home folder exists, as in some system services.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "poets_edge"
