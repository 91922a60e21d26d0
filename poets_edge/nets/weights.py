"""Choice of weights for backbones: ImageNet's (the default), the embedded weights, or a file given by the user.

Supported files are Keras's HDF5 files without the classifier, the codelab's frozen graphs
(`mobilenet_v1_0.50_224_frozen.tgz`, or the `frozen_graph.pb` inside), and arrays in numpy's `.npz`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from poets_edge.core.files import read_bytes, sha256_of
from poets_edge.errors import DownloadError, OutputError, UsageError, WeightsError
from poets_edge.nets.architectures import Architecture
from poets_edge.nets.weights_files import EMBEDDED_ARCHITECTURE, keras_file, keras_folder, weights_file
from poets_edge.progress import Reporter

IMAGENET, EMBEDDED = "imagenet", "embedded"

EMBEDDED_COST = (
    "on flower photos it is right on 73.5 %, where Google's weights reach 75 % in that size and 87 % as 0.50_224"
)
"""Phrase about the accuracy of the embedded weights, as measured in embedded/MODEL_CARD.md."""
EMBEDDED_FILE = Path(__file__).with_name("embedded") / f"{EMBEDDED_ARCHITECTURE}.npz"

_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
_PUBLISHED_MD5 = {
    # file_hash in keras/src/applications/inception_v3.py of Keras 3.15, for the weights without the classifier.
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5": "bcbd6486424b2319ff4ef7d526e38f63",
}
"""MD5 checksums of weights files in Keras's sources, by file name. MobileNets have none."""
_MAX_BYTES = 512 << 20
"""Maximum size of a weights file, packed and unpacked, in bytes. Inception V3, the largest, has 88 MB."""
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Weights:
    """A weights file.

    Attributes:
        path: `.h5`, `.npz`, `.tgz` or `.pb`.
        digest: SHA-256 of its bytes, hexadecimal.
    """

    path: Path
    digest: str

    def read(self) -> bytes:
        """Return the bytes of the file. Raises WeightsError if they have changed since they were hashed."""
        try:
            content = read_bytes(self.path, _MAX_BYTES)
        except OSError as error:
            raise WeightsError(f"{self.path}: cannot be read ({error.strerror or error}).") from None
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise WeightsError(f"{self.path}: has changed while it was being read. Run again.")
        return content

    @property
    def is_keras(self) -> bool:
        """Whether the file contains arrays for Keras's model, instead of a graph."""
        return self.path.suffix in (".h5", ".npz")

    def frozen_graph(self) -> bytes:
        """Return the bytes of the GraphDef in one of the codelab's files. Raises WeightsError."""
        if self.path.suffix != ".tgz":
            return self.read()
        try:
            unpacked = _Unpacked(self.read())
            with tarfile.open(fileobj=unpacked, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    # Links are not followed: they may lead anywhere.
                    wanted = member.name.endswith("frozen_graph.pb") and member.isreg()
                    file = archive.extractfile(member) if wanted else None
                    if file:
                        return bytes(file.read())
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error):
            raise WeightsError(f"{self.path}: damaged archive. Delete it, or fetch it again.") from None
        raise WeightsError(f"{self.path}: no frozen_graph.pb inside.")


class _Unpacked:
    """File object for the tar inside a `.tgz`, which is unpacked during reading, up to a maximum size."""

    def __init__(self, content: bytes) -> None:
        self._file = gzip.GzipFile(fileobj=io.BytesIO(content))
        self._remaining = _MAX_BYTES

    def read(self, size: int) -> bytes:
        block = self._file.read(min(size, self._remaining + 1))
        self._remaining -= len(block)
        if self._remaining < 0:
            raise ValueError(f"more than {_MAX_BYTES:,} bytes")
        return block


def find_weights(
    architecture: Architecture, model_dir: Path, source: str = IMAGENET, *, reporter: Reporter | None = None
) -> Weights:
    """Find the weights of a backbone, or download them.

    Args:
        model_dir: folder that is searched for ImageNet weights before Keras's cache, into which they are downloaded.
        source: "imagenet", "embedded", or a weights file.

    Raises:
        WeightsError: the weights are missing and cannot be downloaded; the message names the folders and alternatives.
        UsageError: there are no embedded weights for this architecture.
    """
    if source == EMBEDDED:
        if architecture.backbone != EMBEDDED_ARCHITECTURE:
            raise UsageError(
                f"`weights`=embedded exists for {EMBEDDED_ARCHITECTURE} only, not for {architecture.name}. Add"
                f" `architecture`={EMBEDDED_ARCHITECTURE}"
            )
        return _weights(EMBEDDED_FILE)
    if source != IMAGENET:
        return _users_file(Path(source))
    return _weights(weights_file(architecture, model_dir) or _fetch(architecture, model_dir, reporter))


def _fetch(architecture: Architecture, model_dir: Path, reporter: Reporter | None) -> Path:
    """Download the ImageNet weights into Keras's cache folder, and return the path of the file."""
    cached = keras_folder() / keras_file(architecture)
    url = f"{_KERAS_URL}/{'inception_v3' if architecture.alpha is None else 'mobilenet'}/{cached.name}"
    try:
        from poets_edge.core.download import download  # loads an HTTP client

        return download(url, cached, check=partial(_fault, name=cached.name), reporter=reporter)
    except (DownloadError, OutputError) as error:
        raise WeightsError(
            f"no weights for {architecture.backbone}: {cached.name} is neither in {model_dir} nor in {cached.parent},"
            f" and fetching it failed ({str(error).rstrip('.')}). Copy that file into either folder. Or train"
            f" without a network: `weights`=embedded `architecture`={EMBEDDED_ARCHITECTURE}, at a cost:"
            f" {EMBEDDED_COST}."
        ) from None


def _fault(path: Path, name: str) -> str | None:
    """Return a phrase about the fault of a downloaded file that differs from Keras's; None if there is no fault."""
    content = path.read_bytes()
    if not content.startswith(_HDF5):  # for example a login page
        return "what arrived is no weights file, maybe from a proxy that answers in its place"
    wanted = _PUBLISHED_MD5.get(name)
    if wanted and hashlib.md5(content, usedforsecurity=False).hexdigest() != wanted:
        return "what arrived has another checksum (MD5) than Keras publishes for it"
    return None


def _users_file(path: Path) -> Weights:
    if path.suffix not in (".h5", ".npz", ".tgz", ".pb"):
        raise UsageError(f"`weights` is imagenet, embedded, or a .h5, .npz, .tgz or .pb file, not {str(path)!r}.")
    return _weights(path)


def _weights(path: Path) -> Weights:
    try:
        return Weights(path, sha256_of(path))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from None
