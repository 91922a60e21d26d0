"""Names and folders of the files with ImageNet weights."""

from __future__ import annotations

import os
from pathlib import Path

from poets_edge.nets.architectures import Architecture

EMBEDDED_ARCHITECTURE = "mobilenet_0.25_128"
"""Name of the backbone whose weights are part of the package."""

_KERAS_ALPHA = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


def weights_file(architecture: Architecture, model_dir: Path) -> Path | None:
    """Return the path of a local file with ImageNet weights; None if there is none."""
    candidates = [*(model_dir / name for name in _file_names(architecture)), keras_folder() / keras_file(architecture)]
    return next((path for path in candidates if path.is_file()), None)


def keras_folder() -> Path:
    """Return the folder of Keras's downloaded weights: $KERAS_HOME/models, or ~/.keras/models."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def keras_file(architecture: Architecture) -> str:
    """Return Keras's file name for the weights without the classifier."""
    if architecture.alpha is None:
        return "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return f"mobilenet_{_KERAS_ALPHA[architecture.alpha]}_{architecture.resolution}_tf_no_top.h5"


def _file_names(architecture: Architecture) -> list[str]:
    names = [keras_file(architecture)]
    if architecture.alpha is not None:
        codelab = architecture.backbone.replace("mobilenet_", "mobilenet_v1_")
        names += [f"{codelab}_frozen.tgz", f"{codelab}/frozen_graph.pb", "frozen_graph.pb"]
    return names
