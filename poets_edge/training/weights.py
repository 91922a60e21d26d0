"""Where a backbone's weights come from: found first in `--model_dir`, then in
Keras's cache, then fetched.

Two kinds of file are read: Keras's HDF5 without the classifier, and the frozen graphs that the codelab downloaded
(`mobilenet_v1_0.50_224_frozen.tgz`, or the `frozen_graph.pb` inside).
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from poets_edge.errors import DownloadError, WeightsError
from poets_edge.grid import Architecture
from poets_edge.photos.download import download
from poets_edge.reporting import Reporter

_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
_KERAS_ALPHA = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


@dataclass(frozen=True)
class Weights:
    """A weights file.

    Attributes:
        path: `.h5`, `.tgz` or `.pb`.
        digest: SHA-256 of its bytes, hexadecimal.
    """

    path: Path
    digest: str

    @property
    def is_keras(self) -> bool:
        return self.path.suffix == ".h5"

    def frozen_graph(self) -> bytes:
        """The GraphDef of a codelab file. Raises WeightsError."""
        if self.path.suffix != ".tgz":
            return self.path.read_bytes()
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.name.endswith("frozen_graph.pb") else None
                    if file:
                        return file.read()
        except (tarfile.TarError, OSError, EOFError):
            raise WeightsError(f"{self.path}: damaged archive. Delete it, or fetch it again.") from None
        raise WeightsError(f"{self.path}: no frozen_graph.pb inside.")


def find_weights(architecture: Architecture, model_dir: Path, reporter: Reporter | None = None) -> Weights:
    """Find, or fetch, the ImageNet weights of a backbone.

    Raises:
        WeightsError: they are nowhere and cannot be fetched; the message says where to put them.
    """
    candidates = [model_dir / name for name in _names(architecture)]
    cached = keras_folder() / keras_file(architecture)
    for path in (*candidates, cached):
        if path.is_file():
            return _weights(path)
    url = f"{_KERAS_URL}/{'inception_v3' if architecture.alpha is None else 'mobilenet'}/{cached.name}"
    try:
        return _weights(download(url, cached, reporter=reporter))
    except DownloadError as error:
        raise WeightsError(
            f"no weights for {architecture.backbone}: {cached.name} is neither in {model_dir} nor in {cached.parent},"
            f" and fetching it failed ({str(error).rstrip('.')}). Copy that file into either folder, from {url}"
        ) from None


def keras_folder() -> Path:
    """Where Keras keeps downloaded weights: $KERAS_HOME/models, or ~/.keras/models."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def keras_file(architecture: Architecture) -> str:
    """The name Keras gives the weights without classifier."""
    if architecture.alpha is None:
        return "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return f"mobilenet_{_KERAS_ALPHA[architecture.alpha]}_{architecture.resolution}_tf_no_top.h5"


def _names(architecture: Architecture) -> list[str]:
    names = [keras_file(architecture)]
    if architecture.alpha is not None:
        codelab = architecture.backbone.replace("mobilenet_", "mobilenet_v1_")
        names += [f"{codelab}_frozen.tgz", f"{codelab}/frozen_graph.pb", "frozen_graph.pb"]
    return names


def _weights(path: Path) -> Weights:
    try:
        with path.open("rb") as file:
            return Weights(path, hashlib.sha256(file.read()).hexdigest())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from None
