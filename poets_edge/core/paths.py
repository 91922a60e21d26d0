"""Default locations: the codelab's `tf_files` folder, and the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

WORK = Path("tf_files")
"""The codelab's folder for all that is made."""

GRAPH = WORK / "retrained_graph.pb"
LABELS = WORK / "retrained_labels.txt"
BOTTLENECKS = WORK / "bottlenecks"
MODELS = WORK / "models"
RUNS = WORK / "runs"


def cache_folder() -> Path:
    """The user's folder for what can be made again: $XDG_CACHE_HOME/poets_edge, or ~/.cache/poets_edge.

    Raises:
        RuntimeError: there is neither, as for some services.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "poets_edge"
