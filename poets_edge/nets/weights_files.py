"""Names and folders of files with ImageNet weights. Nothing is read or downloaded here."""

from __future__ import annotations

import os
from pathlib import Path

from poets_edge.nets.architectures import Architecture

EMBEDDED_ARCHITECTURE = "mobilenet_0.25_128"
"""The one backbone whose weights come with the package."""

_KERAS_ALPHA = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


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
