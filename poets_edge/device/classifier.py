"""Classify photos with a `.tflite` model.

model = Classifier("retrained_graph.tflite")
model("photo.jpg", top=3)          # [Label(name='daisy', score=0.99), ...]
model("photo.jpg").unknown         # True if the photo is unlike the training photos
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from poets_edge.core.arguments import check_threads
from poets_edge.device.input_tensor import image_layout, input_filler
from poets_edge.device.model_labels import checked_labels, given_labels, renaming
from poets_edge.device.photo_input import PhotoInput, check_unmasked, photo_source, type_of
from poets_edge.device.scorer import Labels, ModelOutput, Scores, best, check_threshold
from poets_edge.device.tensor_roles import distance_output, only_input, score_output
from poets_edge.errors import ModelError, UsageError, WrongTypeError
from poets_edge.photos.image import Pixels, fit, read_photo
from poets_edge.photos.interpolation import interpolate
from poets_edge.photos.normalization import UNIT, parse_input_range
from poets_edge.progress import Reporter
from poets_edge.tflite.input_range import InputRange, decide_input_range
from poets_edge.tflite.metadata import Metadata, read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.read_model import ModelSource, read_model
from poets_edge.tflite.scores import ScoreFormat, format_of_values, known_format, remark, to_scores
from poets_edge.tflite.session import Session

if TYPE_CHECKING:
    from poets_edge.device.evaluate import EvaluatedSplit, EvaluateResult


class Classifier:
    """Image classifier that runs a `.tflite` model on this machine's CPU.

    Labels, input size and normalization come from the model. Threads that share a classifier run one inference at a
    time; `clone` returns a separate classifier for another thread. A classifier can be pickled, and is closed by
    `close` or a `with` statement.

    Attributes:
        path: path of the model, used in messages.
        labels: class names, in the order of the scores in the output.
        size: (height, width) of the input, pixels.
        metadata: normalization and labels, and how the model was trained and exported, as stored in the model.
        input, output: description of the input tensor, and of the output tensor that contains the scores.
        input_range: normalization of the input, and how it was determined.
        score_output: index of `output` among the model's outputs.
        distance_output: index of the output with the distance from the training photos; None if the model has
            no such output.
        score_format: meaning of the output's values, such as probabilities or logits.
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        labels: str | os.PathLike[str] | Sequence[str] | None = None,
        input_range: str | None = None,
        threads: int = 1,
        delegate: str | None = None,
        unlabeled: bool = False,
    ) -> None:
        """Load a model.

        Args:
            model: path of a `.tflite` or `.lite` file, a file returned by `export`, or a `ModelFile`.
            labels: path of a text file with one label per line, or a sequence of labels, for a model without labels; or
                translations of the model's labels, as `old=new`. By default, the labels in the model are used.
            input_range: values for the pixel values 0 and 255 in a float input, such as "-1:1", "0:1" or "0:255";
                required if neither the metadata nor the graph of the model determines it.
            threads: CPU threads for one inference, at least 1.
            delegate: path or name of the shared library of a delegate, such as "libedgetpu.so.1" for a Coral Edge TPU;
                the delegate runs the operators that it supports.
            unlabeled: whether to accept a model without labels or input range, for callers that only measure its speed.

        Raises:
            ModelError: the model or the labels are missing or damaged, or do not match each other.
            RuntimeMissingError: no interpreter is installed, or the delegate cannot be loaded.
            UsageError: an argument is out of range.
            WrongTypeError: an argument has the wrong type.
        """
        check_threads(threads)
        self.file: ModelFile = read_model(model, compiled=delegate is not None)
        self.path = self.file.path
        self.metadata: Metadata = read_metadata(self.file)
        self._session: Session | None = Session(
            self.file, threads, accelerate=not self.metadata.full_int8, delegate=delegate
        )
        self.input = only_input(self._session.inputs, self.path)
        layout = image_layout(self.input, self.path)
        self.size = layout.size
        names, source = given_labels(self.metadata.labels, labels, self.path)
        self.score_output = score_output(self._session.outputs, self.metadata, names, self.path)
        self.output = self._session.outputs[self.score_output]
        self.distance_output = distance_output(self._session.outputs, self.metadata)
        known = _known_format(self, unlabeled)
        self.labels: tuple[str, ...] = checked_labels(
            names, self.output.shape, source=source, model=self.path, unlabeled=unlabeled
        )
        self.input_range: InputRange = _input_range(self, input_range, unlabeled)
        self._arguments: dict[str, Any] = {
            "labels": renaming(self.metadata.labels, self.labels),
            "input_range": input_range,
            "threads": threads,
            "delegate": delegate,
            "unlabeled": unlabeled,
        }
        if layout.channels == 1 and len(self.input_range.normalization.mean) > 1:
            raise ModelError(f"{self.path}: its input is gray, but its normalization has a mean for each of 3 colors.")
        self._fill = input_filler(self.input, layout, self.input_range.normalization)
        self._lock = threading.Lock()
        # Not a view of the interpreter's memory: it refuses to run while a view exists, and profilers keep stack frames
        # with all of their objects.
        self._values = np.empty(self.input.shape, self.input.dtype)
        self.score_format: ScoreFormat = known if known and not known.uncertain else self._probed_format(known)

    def __repr__(self) -> str:
        height, width = self.size
        kind = self.facts.get("quantization") or self.input.dtype.name
        return f"<Classifier {self.path.name}: {len(self.labels)} labels, {width} x {height}, {kind}>"

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Classifier], tuple[ModelFile]]:
        return partial(Classifier, **self._arguments), (self.file,)

    @property
    def session(self) -> Session:
        """Interpreter session of the model. Raises UsageError if the classifier is closed."""
        if self._session is None:
            raise UsageError(f"{self.path}: this classifier was closed. Open another.")
        return self._session

    @property
    def facts(self) -> Mapping[str, Any]:
        """Description of the training and the export, as stored in the model; empty for models from other programs."""
        return self.metadata.facts

    @property
    def nodes(self) -> Mapping[str, str]:
        """Names of the input and output tensors, under the keys "input" and "output"."""
        return {"input": self.input.name, "output": self.output.name}

    @property
    def remarks(self) -> tuple[str, ...]:
        """Messages to users: one if the normalization was inferred, and one if the scores are not probabilities."""
        found = [f"pixels as {self.input_range}"] if self.input_range.inferred else []
        if text := remark(self.score_format, math.prod(self.output.shape), self.labels):
            found.append(text)
        return tuple(f"{self.path}: {text}" for text in found)

    @property
    def has_detector(self) -> bool:
        """Whether the model has an unknown-photo detector, which detects photos unlike the training photos."""
        return self.distance_output is not None

    def close(self) -> None:
        """Release the interpreter. Closing twice has no effect."""
        with self._lock:
            self._session = None

    def clone(self) -> Classifier:
        """Return a new classifier with the model and the options of this classifier, for use in a different thread."""
        return Classifier(self.file, **self._arguments)

    @property
    def highest_score(self) -> float:
        """Highest score that the model can return: 1, or slightly less for a quantized output (255/256 for int8)."""
        if not self.output.scale or self.score_format.kind != "probabilities":
            return 1.0
        low, high = self.score_format.low, self.score_format.high
        largest = (np.iinfo(self.output.dtype).max - self.output.zero_point) * self.output.scale
        return min(1.0, float((largest - low) / (high - low)))

    def check_threshold(self, threshold: float) -> None:
        """Raise UsageError if a threshold is not between 0 and 1, or exceeds the highest score the model can return."""
        check_threshold(threshold)
        if threshold > self.highest_score:
            raise UsageError(
                f"`threshold` {threshold:g}: no score of {self.path} can be above {self.highest_score:.6g}, so every"
                " label would be 'unknown'."
            )

    @overload
    def __call__(  # type: ignore[overload-overlap]  # text and bytes are sequences, too
        self, photo: PhotoInput, top: int | None = None
    ) -> Labels: ...

    @overload
    def __call__(self, photo: Sequence[PhotoInput], top: int | None = None) -> list[Labels]: ...

    def __call__(self, photo: PhotoInput | Sequence[PhotoInput], top: int | None = None) -> Labels | list[Labels]:
        """Classify one photo, or each photo in a list.

        Args:
            photo: path, bytes of a file, open binary file, PIL image, or RGB pixels as uint8 [height, width, 3]; or a
                list of these.
            top: number of labels to return for each photo; by default, all.

        Returns:
            Labels, highest score first; if `photo` is a list, a list with the labels of each photo.

        Raises:
            PhotoError: a photo cannot be read.
            UsageError: an argument is out of range.
            WrongTypeError: an argument has the wrong type.
        """
        if isinstance(photo, (list, tuple)):
            return [self.classify(one, top) for one in photo]
        return self.classify(photo, top)  # type: ignore[arg-type]  # any other sequence is refused there

    def classify(self, photo: PhotoInput, top: int | None = None) -> Labels:
        """Classify one photo; see `__call__`."""
        found = self.predict(photo)
        return Labels(best(self.labels, found.scores, top), found.distance)

    def predict(self, photo: PhotoInput) -> ModelOutput:
        """Return the output of the model for one photo: the scores and, if the model has one, the distance.

        A distance above 1 means that the photo is unlike the training photos.

        Raises:
            PhotoError: the photo cannot be read.
            UsageError: the photo is an array with the wrong shape.
            WrongTypeError: the photo has an unsupported type.
        """
        return self.predict_pixels(self.resize(read_photo(photo_source(photo))))

    def resize(self, image: Image.Image) -> Pixels:
        """Resize an RGB image to the model's input size, and return it as uint8 [height, width, 3].

        The metadata of the model determine whether the image is resized with antialiasing.
        """
        return fit(image, self.size) if self.metadata.antialias else interpolate(image, self.size)

    def predict_pixels(self, pixels: Pixels) -> ModelOutput:
        """Return the output of the model for an image that already has the model's input size.

        The output consists of the scores and, if the model has one, the distance from the training photos.

        Args:
            pixels: uint8 RGB [height, width, 3].

        Raises:
            UsageError: `pixels` does not have the shape [height, width, 3] with the size of the input.
            WrongTypeError: `pixels` is not a uint8 array.
        """
        self._check_pixels(pixels)
        with self._lock:
            self._fill(pixels, self._values[0])
            return self._predict(self._values)

    def predict_values(self, values: npt.NDArray[Any]) -> ModelOutput:
        """Return the output of the model for input values: the scores and, if the model has one, the distance.

        Args:
            values: result of `input_values` for an image.

        Raises:
            UsageError: `values` does not have the shape of the input without its batch dimension.
            WrongTypeError: `values` does not have the dtype of the input.
        """
        if not isinstance(values, np.ndarray) or values.dtype != self.input.dtype:
            raise WrongTypeError(f"`values` must be an array of {self.input.dtype}, not {type_of(values)}.")
        check_unmasked("values", values)
        if values.shape != self.input.shape[1:]:
            raise UsageError(f"`values` must have the shape {list(self.input.shape[1:])}, not {list(values.shape)}.")
        with self._lock:
            return self._predict(values[None])

    def scores(self, photo: PhotoInput) -> Scores:
        """Return the scores of one photo, float32 [labels]; see `predict`."""
        return self.predict(photo).scores

    def score_pixels(self, pixels: Pixels) -> Scores:
        """Return the scores of an image that has the size of the model's input; see `predict_pixels`.

        Returns:
            float32 [labels]; a quantized output is dequantized, and logits are converted by a softmax.
        """
        return self.predict_pixels(pixels).scores

    def score_values(self, values: npt.NDArray[Any]) -> Scores:
        """Return the scores, float32 [labels], for values returned by `input_values`."""
        return self.predict_values(values).scores

    def raw_output(self, pixels: Pixels) -> npt.NDArray[Any]:
        """Return the output tensor with the scores of an image: flattened, not dequantized, in the tensor's own dtype.

        Args:
            pixels: uint8 RGB [height, width, 3], with the size of the model's input.
        """
        self._check_pixels(pixels)
        with self._lock:
            self._fill(pixels, self._values[0])
            return self.session.run(self._values, self.score_output).reshape(-1)

    def input_values(self, pixels: Pixels) -> npt.NDArray[Any]:
        """Convert an image to input values with the model's own dtype and layout, without the batch dimension.

        Args:
            pixels: uint8 RGB [height, width, 3], with the size of the model's input.
        """
        self._check_pixels(pixels)
        values = np.empty(self.input.shape[1:], self.input.dtype)
        self._fill(pixels, values)
        return values

    def evaluate(
        self,
        image_dir: str | os.PathLike[str],
        *,
        split: EvaluatedSplit | None = None,
        recursive: bool = False,
        reporter: Reporter | None = None,
    ) -> EvaluateResult:
        """Measure the accuracy of the model on a folder of labeled photos; see `poets_edge.evaluate`."""
        from poets_edge.device.evaluate import evaluate

        return evaluate(self, Path(image_dir), split=split, recursive=recursive, reporter=reporter)

    def _check_pixels(self, pixels: Pixels) -> None:
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            raise WrongTypeError(f"`pixels` must be an array of uint8, 0 to 255, not {type_of(pixels)}.")
        check_unmasked("pixels", pixels)
        if pixels.shape != (*self.size, 3):
            raise UsageError(f"`pixels` must have the shape {[*self.size, 3]}, not {list(pixels.shape)}.")

    def _predict(self, values: npt.NDArray[Any]) -> ModelOutput:
        """Return the output of the model for input values with a batch dimension of 1."""
        if self.distance_output is None:
            return ModelOutput(self._scores(self.session.run(values, self.score_output).reshape(-1)))
        raw, distance = self.session.run_some(values, [self.score_output, self.distance_output])
        real = self.session.outputs[self.distance_output].dequantize(distance)
        return ModelOutput(self._scores(raw.reshape(-1)), float(real.reshape(-1)[0]))

    def _scores(self, raw: npt.NDArray[Any]) -> Scores:
        values = self.output.dequantize(raw)
        if not np.isfinite(values).all():
            raise ModelError(
                f"{self.path}: its scores contain NaN or infinity: its weights are damaged. Export it again."
            )
        return to_scores(self.score_format, values, len(self.labels))

    def _probed_format(self, known: ScoreFormat | None) -> ScoreFormat:
        """Return the output format, such as probabilities or logits, inferred from the outputs for three images.

        The images are black, white and random.

        Args:
            known: output format that the model's graph determines; None if it determines none.
        """
        shape = (*self.size, 3)
        images = (
            np.zeros(shape, np.uint8),
            np.full(shape, 255, np.uint8),
            np.random.default_rng(0).integers(0, 256, shape, np.uint8),
        )
        return format_of_values(np.stack([self.output.dequantize(self.raw_output(image)) for image in images]), known)


def _known_format(model: Classifier, speed_only: bool) -> ScoreFormat | None:
    """Return the output format (such as probabilities or logits) if the model's graph determines it, else None.

    Args:
        speed_only: whether to accept a model that returns the index of a label instead of scores.

    Raises:
        ModelError: the model returns the index of a label instead of scores, and `speed_only` is False.
    """
    try:
        return known_format(model.file, model.metadata, model.score_output)
    except ModelError:
        if speed_only:
            return None
        raise


def _input_range(model: Classifier, given: str | None, speed_only: bool) -> InputRange:
    """Determine the normalization of the input.

    Args:
        given: the user's input range, such as "-1:1"; None if the user has given no range.
        speed_only: whether to accept a model whose normalization cannot be determined.

    Raises:
        ModelError: the normalization cannot be determined, and `speed_only` is False.
        UsageError: `given` is not a valid range, or contradicts the model.
        WrongTypeError: `given` is not a string.
    """
    if given is not None and not isinstance(given, str):
        raise WrongTypeError(f"`input_range` must be text, as '-1:1', not {type_of(given)}.")
    try:
        normalization = None if given is None else parse_input_range(given)
        return decide_input_range(model.file, model.metadata, model.input, normalization)
    except ModelError:
        if speed_only:  # an inference takes equally long for any values
            return InputRange(UNIT, "not known")
        raise
