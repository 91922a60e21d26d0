"""Where things lie by default: the codelab's `tf_files` folder, and the files of weights.

Nothing is read here, so a Raspberry Pi can say what is there without what training needs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poets_edge.architectures import Architecture

WORK = Path("tf_files")
"""The codelab's folder for all that is made."""

GRAPH = WORK / "retrained_graph.pb"
LABELS = WORK / "retrained_labels.txt"
BOTTLENECKS = WORK / "bottlenecks"
MODELS = WORK / "models"
RUNS = WORK / "runs"

EMBEDDED_ARCHITECTURE = "mobilenet_0.25_128"
"""The one backbone whose weights come with the package."""

_KERAS_ALPHA = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


def cache_folder() -> Path:
    """The user's folder for what can be made again: $XDG_CACHE_HOME/poets_edge, or ~/.cache/poets_edge.

    Raises:
        RuntimeError: there is neither, as for some services.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "poets_edge"


def weights_file(architecture: Architecture, model_dir: Path) -> Path | None:
    """The file with ImageNet weights, if this machine has it."""
    candidates = [*(model_dir / name for name in _file_names(architecture)), keras_folder() / keras_file(architecture)]
    return next((path for path in candidates if path.is_file()), None)


def keras_folder() -> Path:
    """Where Keras keeps downloaded weights: $KERAS_HOME/models, or ~/.keras/models."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def keras_file(architecture: Architecture) -> str:
    """The name Keras gives the weights without classifier."""
    if architecture.alpha is None:
        return "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return f"mobilenet_{_KERAS_ALPHA[architecture.alpha]}_{architecture.resolution}_tf_no_top.h5"


def _file_names(architecture: Architecture) -> list[str]:
    names = [keras_file(architecture)]
    if architecture.alpha is not None:
        codelab = architecture.backbone.replace("mobilenet_", "mobilenet_v1_")
        names += [f"{codelab}_frozen.tgz", f"{codelab}/frozen_graph.pb", "frozen_graph.pb"]
    return names
