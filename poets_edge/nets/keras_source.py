"""Weights that Keras offers for download, and the folder of its downloads."""

from __future__ import annotations

import os
from pathlib import Path

from poets_edge.nets.architecture import WeightsSource


def keras_folder() -> Path:
    """Return the folder of Keras's downloaded weights: $KERAS_HOME/models, or ~/.keras/models."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def keras_source(
    application: str, file: str, *, codelab: bool = True, also: tuple[str, ...] = (), md5: str = ""
) -> WeightsSource:
    """Return the source of weights that Keras offers for download.

    Args:
        application: folder of the file in Keras's store.
        file: name of the file without the classifier.
        codelab: whether the codelab's frozen graphs can be given instead.
        also: names of equivalent files.
        md5: checksum in Keras's sources, if there is one.
    """
    return WeightsSource(
        file=file,
        folder=keras_folder,
        suffixes=(".h5", ".npz", *((".tgz", ".pb") if codelab else ())),
        also=also,
        application=application,
        md5=md5,
    )
