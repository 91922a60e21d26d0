"""Labelling a photo with a `.tflite`: the class behind every command that runs a model.

classifier = Classifier("retrained_graph.tflite")
classifier.classify("photo.jpg", top=3)   # [Label(name='daisy', score=0.99), ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import read_bytes
from poets_edge.errors import ModelError, UsageError
from poets_edge.photos.image import PhotoSource, Pixels, fit, normaliser, read_photo
from poets_edge.photos.normalization import BACKBONE, Normalization
from poets_edge.tflite.metadata import Metadata, read_metadata, split_labels
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.read_model import ModelSource, read_model
from poets_edge.tflite.session import Session, TensorInfo
from poets_edge.tflite.verify.answers import other_answer

Scores = npt.NDArray[np.float32]

_LARGEST_LABELS = 16 << 20


@dataclass(frozen=True)
class Label:
    """One answer: a class name and its score, 0 to 1."""

    name: str
    score: float


class Scorer(Protocol):
    """Anything that gives a photo one score a label: a `.tflite`, or a frozen graph where TensorFlow is."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """The record of training and export that came with the model; empty for foreign models."""

    def scores(self, photo: PhotoSource) -> Scores: ...

    def clone(self) -> Scorer:
        """Return a scorer of the same model for another thread."""


def best(labels: Sequence[str], scores: Scores, top: int | None = None) -> list[Label]:
    """The labels with their scores, best first; ties keep the labels' order."""
    order = np.argsort(-scores, kind="stable")[:top]
    return [Label(labels[index], float(scores[index])) for index in order]


class Classifier:
    """A `.tflite` image classifier, ready to run on this machine's CPU.

    Labels, input size and normalization come from the model. Not for use by two threads at once: give each
    thread its own.
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        labels: Path | str | None = None,
        threads: int = 1,
        unlabelled: bool = False,
    ) -> None:
        """Load a model.

        Args:
            model: a `.tflite` or `.lite` file, or what has been read of one.
            labels: a text file, one label a line, in place of those inside the model.
            threads: CPU threads for one inference, at least 1.
            unlabelled: accept a model without labels; for callers that need only its scores or its speed.

        Raises:
            ModelError: the model or labels are missing, damaged, or do not fit each other.
            RuntimeMissingError: no interpreter is installed.
            UsageError: `threads` is below 1.
        """
        if threads < 1:
            raise UsageError(f"`threads` must be 1 or more, not {threads}.")
        self.file: ModelFile = read_model(model)
        self.path = self.file.path
        self.metadata: Metadata = read_metadata(self.file)
        self.session = Session(self.file, threads)
        self.input = _only_tensor(self.session.inputs, self.path, "input")
        self.output = _only_tensor(self.session.outputs, self.path, "output")
        self.size = _image_size(self.input, self.path)
        self.labels: tuple[str, ...] = _choose_labels(self, labels, unlabelled)
        self._arguments: dict[str, Any] = {"labels": labels, "threads": threads, "unlabelled": unlabelled}
        self._fill = _input_filler(self.input, self.metadata)
        # Ours and not the interpreter's own: it refuses to run while anyone holds a view of its memory, and profilers
        # hold the frames they look at with all that is in them.
        self._values = np.empty(self.input.shape, self.input.dtype)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The record of training and export inside the model; empty for foreign models."""
        return self.metadata.facts

    def clone(self) -> Classifier:
        """Return a classifier of the same model for another thread."""
        return Classifier(self.file, **self._arguments)

    @property
    def highest_score(self) -> float:
        """The highest score the model can give: 1, or a little less where its output is quantized (255/256 in int8)."""
        if not self.output.scale:
            return 1.0
        largest = np.iinfo(self.output.dtype).max
        return min(1.0, float((largest - self.output.zero_point) * self.output.scale))

    def check_threshold(self, threshold: float) -> None:
        """Refuse a threshold that no answer can reach. Raises UsageError."""
        if threshold > self.highest_score:
            raise UsageError(
                f"`threshold` {threshold:g}: no score of {self.path} can be above {self.highest_score:.6g}, so every"
                " answer would be 'unknown'."
            )

    def classify(self, photo: PhotoSource, top: int | None = None) -> list[Label]:
        """Label one photo, best first. Raises PhotoError."""
        return best(self.labels, self.scores(photo), top)

    def scores(self, photo: PhotoSource) -> Scores:
        """Scores of one photo: float32 of shape [labels]. Raises PhotoError."""
        return self.score_pixels(fit(read_photo(photo), self.size))

    def score_pixels(self, pixels: Pixels) -> Scores:
        """Scores of a picture already at the model's size.

        Args:
            pixels: uint8 RGB of shape [height, width, 3].

        Returns:
            float32 of shape [labels]; a quantized output is de-quantized by its scale and zero point.
        """
        return self._finite(self.output.dequantize(self.raw_output(pixels)))

    def raw_output(self, pixels: Pixels) -> npt.NDArray[Any]:
        """The output tensor as the model wrote it, of shape [labels], for a picture already at the model's size."""
        self._fill(pixels, self._values[0])
        return self.session.run(self._values).reshape(-1)

    def input_values(self, pixels: Pixels) -> npt.NDArray[Any]:
        """The input tensor for a picture at the model's size: [height, width, 3] of its input's type.

        Another thread may call this while `score_values` runs.
        """
        values = np.empty(pixels.shape, self.input.dtype)
        self._fill(pixels, values)
        return values

    def score_values(self, values: npt.NDArray[Any]) -> Scores:
        """Scores of what `input_values` made: float32 of shape [labels]."""
        return self._finite(self.output.dequantize(self.session.run(values[None]).reshape(-1)))

    def _finite(self, scores: Scores) -> Scores:
        if not np.isfinite(scores).all():
            raise ModelError(f"{self.path}: answers with NaN or infinity: its weights are damaged. Export it again.")
        return scores


def _only_tensor(tensors: Sequence[TensorInfo], path: Path, kind: str) -> TensorInfo:
    if len(tensors) != 1:
        raise ModelError(f"{path}: has {len(tensors)} {kind}s; an image classifier has one.")
    return tensors[0]


def _image_size(tensor: TensorInfo, path: Path) -> tuple[int, int]:
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[3] != 3:
        raise ModelError(f"{path}: input shape {list(tensor.shape)} is not one RGB picture [1, height, width, 3].")
    return tensor.shape[1], tensor.shape[2]


def _choose_labels(model: Classifier, labels: Path | str | None, unlabelled: bool) -> tuple[str, ...]:
    outputs = int(np.prod(model.output.shape))
    if labels is not None:
        names, source = read_labels(Path(labels)), str(labels)
    else:
        names, source = model.metadata.labels, str(model.path)
    if not names and unlabelled and labels is None:
        return ()
    if not names and (other := other_answer([model.output.shape])):
        raise ModelError(f"{model.path}: {other}")
    if not names:
        raise ModelError(f"{source}: no labels inside. Give a text file with one label a line: `labels`")
    if len(names) != outputs:
        raise ModelError(f"{source}: {len(names)} labels, but {model.path} has {outputs} outputs.")
    return names


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a labels file: UTF-8, one label a line. Raises ModelError."""
    try:
        return split_labels(read_bytes(path, _LARGEST_LABELS).decode("utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ModelError(f"{path}: not a text file in UTF-8.") from None


def _input_filler(tensor: TensorInfo, metadata: Metadata) -> Any:
    # A foreign model that says nothing is taken for a MobileNet.
    normalise = normaliser(Normalization(metadata.mean or BACKBONE.mean, metadata.std or BACKBONE.std))
    if not tensor.scale:
        if tensor.dtype == np.uint8:
            return lambda pixels, out: np.copyto(out, pixels)
        return normalise
    # Quantized input: 256 pixel values a channel have 256 answers, so compute them once. Pixels cannot simply be
    # copied to every model: scale 1/127.5 with zero point 127, a converter's own, shifts them by a step.
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    real = np.empty(levels.shape, np.float32)
    normalise(levels, real)
    limits = np.iinfo(tensor.dtype)
    quantized = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
    table = np.clip(quantized, limits.min, limits.max).astype(tensor.dtype)
    if tensor.dtype == np.uint8 and np.array_equal(table, levels):
        return lambda pixels, out: np.copyto(out, pixels)
    if (table == table[:, :1]).all():
        shared = np.ascontiguousarray(table[:, 0])
        return lambda pixels, out: np.take(shared, pixels, out=out, mode="clip")

    def fill(pixels: Pixels, out: npt.NDArray[Any]) -> None:
        for channel in range(3):
            out[..., channel] = table[pixels[..., channel], channel]

    return fill
