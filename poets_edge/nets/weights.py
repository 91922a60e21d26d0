"""Select weights for backbones: ImageNet weights (the default), weights in the package, or a file of the user."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from poets_edge.core.credentials import without_user_info
from poets_edge.core.files import sha256_of
from poets_edge.core.paths import MODELS
from poets_edge.errors import DownloadError, OutputError, UsageError, WeightsError
from poets_edge.nets.architecture import Architecture, WeightsSource
from poets_edge.nets.architectures import families
from poets_edge.nets.weights_file import Weights
from poets_edge.progress import Reporter

IMAGENET, EMBEDDED = "imagenet", "embedded"

EMBEDDED_ARCHITECTURE = "mobilenet_0.25_128"
"""Name of the backbone whose weights are part of the package."""
EMBEDDED_COST = (
    "on flower photos it is right on 73.5 %, where Google's weights reach 75 % in that size and 87 % as 0.50_224"
)
"""Phrase for messages that states the loss of accuracy with the embedded weights, as documented in
embedded/MODEL_CARD.md."""
EMBEDDED_FILE = Path(__file__).with_name("embedded") / f"{EMBEDDED_ARCHITECTURE}.npz"

_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def find_weights(
    architecture: Architecture, model_dir: Path, source: str = IMAGENET, *, reporter: Reporter | None = None
) -> Weights:
    """Find the weights of a backbone, or download them.

    Args:
        model_dir: folder that is searched for ImageNet weights first, before Keras's download folder or the Python
            package that contains them. Weights are downloaded into Keras's folder.
        source: "imagenet"; "embedded" for the weights that are part of the package; or the path of a weights file.

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
        return _users_file(source, architecture)
    found = local_weights(architecture, model_dir)
    return _checked(_weights(found or _fetch(architecture, model_dir, reporter)), architecture.weights)


def local_weights(architecture: Architecture, model_dir: Path) -> Path | None:
    """Return the path of the local file with an architecture's ImageNet weights, or None if there is no such file."""
    source, folder = architecture.weights, architecture.weights.folder()
    candidates = [model_dir / name for name in (source.file, *source.also)]
    candidates += [folder / source.file] if folder else []
    return next((path for path in candidates if path.is_file()), None)


def default_grid(model_dir: Path = MODELS) -> tuple[Architecture, ...]:
    """Return the architectures that `grid` compares by default: those whose weights exist or can be downloaded."""
    wanted = (entry for family in families() for entry in family.grid)
    return tuple(entry for entry in wanted if entry.weights.application or local_weights(entry, model_dir))


def _checked(weights: Weights, source: WeightsSource) -> Weights:
    """Check a weights file, and return it unchanged. Raises WeightsError if its checksum is not the published one."""
    if source.sha256 and weights.path.name == source.file and weights.digest != source.sha256:
        raise WeightsError(
            f"{weights.path}: another checksum (SHA-256) than published for this file, so it is damaged or changed."
            f" Install it again: {source.install}. If the change is yours, name the file: `weights`={weights.path}"
        )
    return weights


def _fetch(architecture: Architecture, model_dir: Path, reporter: Reporter | None) -> Path:
    """Download ImageNet weights into Keras's cache folder; return the path. Raises WeightsError on failure."""
    source, folder = architecture.weights, architecture.weights.folder()
    if not source.application or folder is None:
        raise WeightsError(
            f"no weights for {architecture.backbone}: {source.file} is not in {model_dir}, and the package with it is"
            f" not installed. Run: {source.install}. Or give the file: `weights`={source.file}"
        )
    cached = folder / source.file
    try:
        from poets_edge.core.download import download  # loads an HTTP client

        url = f"{_KERAS_URL}/{source.application}/{cached.name}"
        return download(url, cached, check=partial(_fault, md5=source.md5), reporter=reporter)
    except (DownloadError, OutputError) as error:
        raise WeightsError(
            f"no weights for {architecture.backbone}: {cached.name} is neither in {model_dir} nor in {cached.parent},"
            f" and fetching it failed ({str(error).rstrip('.')}). Copy that file into either folder. Or train"
            f" without a network: `weights`=embedded `architecture`={EMBEDDED_ARCHITECTURE}, at a cost:"
            f" {EMBEDDED_COST}."
        ) from None


def _fault(path: Path, md5: str) -> str | None:
    """Return a phrase that describes why a downloaded file is not the expected weights file, or None if it is."""
    content = path.read_bytes()
    if not content.startswith(_HDF5):  # for example a login page
        return "the received file is not a weights file; a proxy may have sent it"
    if md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        return "the checksum (MD5) of the received file differs from the published one"
    return None


def _users_file(source: str, architecture: Architecture) -> Weights:
    *first, last = architecture.weights.suffixes
    if "://" in source:
        raise UsageError(f"`weights` {without_user_info(source)} is an address. Fetch the file first.")
    path = Path(source)
    if path.suffix not in (*first, last):
        embedded = "embedded, " if architecture.backbone == EMBEDDED_ARCHITECTURE else ""
        suffixes = f"{', '.join(first)} or {last}" if first else last
        raise UsageError(
            f"`weights` is imagenet, {embedded}or a {suffixes} file for {architecture.backbone}, not {str(path)!r}."
        )
    return _weights(path)


def _weights(path: Path) -> Weights:
    try:
        return Weights(path, sha256_of(path))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from None
