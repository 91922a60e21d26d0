"""Install a model in the Android app, and write test vectors for the app.

`install_model` checks that the app can run a `.tflite` file and copies it into the app's assets. `write_vectors` labels
photos and writes every intermediate value: pixels, input tensor, output tensor, scores, ranking, and the distance from
the training photos. The app's JVM tests compare these values with those that its Java code computes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import write_bytes, write_text
from poets_edge.device.classifier import Classifier
from poets_edge.errors import UsageError
from poets_edge.exporting.other_readers import open_for_other_readers
from poets_edge.photos.image import read_photo
from poets_edge.tflite.labels import join_labels
from poets_edge.tflite.session import TensorInfo

DEFAULT_APP = Path("android_demo")
ASSET = Path("app/src/main/assets/model.tflite")
"""Path of the model, relative to the app's folder."""

_MANIFEST = Path("app/src/main/AndroidManifest.xml")
_VECTOR_TOP = 3


@dataclass(frozen=True)
class InstalledModel:
    """Model that was copied into the assets of the Android app.

    Attributes:
        path: path of the model in the app's assets.
        size: file size in bytes.
        labels: class names, in the order of the outputs.
        input: description of the input tensor, of shape [1, height, width, 3].
    """

    path: Path
    size: int
    labels: tuple[str, ...]
    input: TensorInfo


def install_model(
    model: Path, app: Path = DEFAULT_APP, *, labels: Path | None = None, input_range: str | None = None
) -> InstalledModel:
    """Check that the app can run a model, and copy it into the app's assets, replacing the previous model.

    Args:
        app: folder of the app, `android_demo` in the sources of poets_edge.
        labels: labels file that replaces the labels of the model.
        input_range: input values for the pixel values 0 and 255, such as "-1:1"; for models that do not specify them.

    Raises:
        ModelError: the model is missing or damaged, its input is not one RGB image, its tensors are not float32, uint8
            or int8, or it has no labels.
        UsageError: `app` is not the folder of the Android app.
        OutputError: the copy cannot be written.
    """
    if not (app / _MANIFEST).is_file():
        raise UsageError(
            f"{app}: not the app (no {_MANIFEST} in it). Name the android_demo folder of poets_edge's sources: `app`."
        )
    classifier = open_for_other_readers(model, "the app", labels=labels, input_range=input_range)
    data = classifier.file.content
    write_bytes(app / ASSET, data)
    return InstalledModel(app / ASSET, len(data), classifier.labels, classifier.input)


def write_vectors(model: Path, photos: Sequence[Path], folder: Path) -> None:
    """Label photos, and write all intermediate values as test vectors for the Android app.

    The files in `folder` are a copy of the model, its labels, `model.properties` with the types, shapes and
    quantization of its tensors, and one `.bin` file per photo: pixels, input tensor, output tensor, scores, the indices
    of the best labels, and the distance from the training photos (empty if the model has no detector). Lengths in the
    `.bin` files are big-endian int32; tensors are little-endian.

    Raises:
        ModelError: the app cannot run the model.
        PhotoError: a photo cannot be read.
        OutputError: a file cannot be written.
    """
    classifier = open_for_other_readers(model, "the app")
    write_bytes(folder / "model.tflite", classifier.file.content)
    write_text(folder / "labels.txt", join_labels(classifier.labels))
    write_text(
        folder / "model.properties", _describe("input", classifier.input) + _describe("output", classifier.output)
    )
    for number, photo in enumerate(photos):
        write_bytes(folder / f"{number:03}.bin", _vector(classifier, photo))


def _vector(classifier: Classifier, photo: Path) -> bytes:
    picture = read_photo(photo)
    pixels = classifier.resize(picture)
    found = classifier.predict_pixels(pixels)
    best = np.argsort(-found.scores, kind="stable")[:_VECTOR_TOP]
    distance = [] if found.distance is None else [found.distance]
    return b"".join(
        [
            struct.pack(">ii", picture.width, picture.height),
            _block(np.asarray(picture)),
            _block(classifier.input_values(pixels)),
            _block(classifier.raw_output(pixels)),
            _block(found.scores),
            _block(best.astype(np.int32)),
            _block(np.array(distance, np.float32)),
        ]
    )


def _block(values: npt.NDArray[Any]) -> bytes:
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return struct.pack(">i", len(data)) + data


def _describe(end: str, tensor: TensorInfo) -> str:
    shape = ",".join(map(str, tensor.shape))
    return (
        f"{end}.type={tensor.dtype.name.upper()}\n{end}.shape={shape}\n"
        f"{end}.scale={tensor.scale!r}\n{end}.zeroPoint={tensor.zero_point}\n"
    )
