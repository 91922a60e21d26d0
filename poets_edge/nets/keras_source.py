"""Weights that Keras offers for download, and the folder into which they are downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from poets_edge.nets.architecture import WeightsSource


def keras_folder() -> Path:
    """Return the folder into which Keras downloads weights: $KERAS_HOME/models, or ~/.keras/models."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def keras_source(
    application: str, file: str, *, codelab: bool = True, also: tuple[str, ...] = (), md5: str = ""
) -> WeightsSource:
    """Return the source of weights that Keras offers for download.

    Args:
        application: folder that contains the file on Keras's download server.
        file: name of the file with the weights without the classifier.
        codelab: whether the frozen graphs of the codelab "TensorFlow for Poets" are accepted as an alternative.
        also: names of other files with these weights, which are accepted in the user's folder of models.
        md5: MD5 checksum in Keras's source code, hexadecimal; empty if there is none.
    """
    return WeightsSource(
        file=file,
        folder=keras_folder,
        suffixes=(".h5", ".npz", *((".tgz", ".pb") if codelab else ())),
        also=also,
        application=application,
        md5=md5,
    )
