"""Convert Keras models (`.keras`, `.h5`) and SavedModels to frozen graphs like those that `train` writes.

A frozen graph accepts inputs from -1 to 1. It contains the conversion to the input range that the model requires, and a
softmax if the model lacks one. It can therefore be converted, calibrated, evaluated and labeled like a trained graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from poets_edge.core.json_checks import parse_json
from poets_edge.core.wording import percent
from poets_edge.device.paired import compare_paired
from poets_edge.errors import ModelError
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.graphdef import parse_graph
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.photos.image import Pixels
from poets_edge.tflite.formats import HDF5, KERAS, SAVED_MODEL, model_format
from poets_edge.tflite.interpreter import silent_stderr

InputRange = Literal["-1:1", "0:1", "0:255"]
"""Input values that represent the pixel values 0 and 255."""
INPUT_RANGES: tuple[InputRange, ...] = get_args(InputRange)

_PIXELS_OF: dict[InputRange, tuple[float, float]] = {"-1:1": (1.0, 0.0), "0:1": (0.5, 0.5), "0:255": (127.5, 127.5)}
"""Factor and offset that convert an input from the range -1 to 1 to each input range."""
_SCALING_LAYERS = frozenset({"Rescaling", "Normalization"})
_BATCH = 32
_TOLERANCE = 1e-3

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TensorFlowModel:
    """A model that TensorFlow runs.

    Attributes:
        path: file or folder of the model.
        run: function that runs the model: maps float32 [batch, height, width, 3] to float32 [batch, outputs].
        size: (height, width) of the input, pixels.
        outputs: number of outputs.
        scales_inside: whether the model begins with a layer that scales or normalizes pixels.
    """

    path: Path
    run: Callable[[Any], Any]
    size: tuple[int, int]
    outputs: int
    scales_inside: bool

    def scores(self, pixels: Sequence[Pixels], input_range: InputRange) -> Scores:
        """Return the model's outputs for images at its input size, float32 [images, outputs]."""
        factor, offset = _PIXELS_OF[input_range]
        results = []
        for start in range(0, len(pixels), _BATCH):
            batch = np.stack(pixels[start : start + _BATCH]).astype(np.float32) / 127.5 - 1
            # One by one: a model may have a fixed batch of 1.
            results += [np.asarray(self.run(one[None] * np.float32(factor) + np.float32(offset)))[0] for one in batch]
        return np.asarray(results, np.float32)


def is_tensorflow_model(path: Path) -> bool:
    """Return whether a path is a Keras model or a SavedModel, according to its contents."""
    return model_format(path) in (KERAS, HDF5, SAVED_MODEL)


def load_model(path: Path) -> TensorFlowModel:
    """Load a Keras model or a SavedModel.

    Raises:
        ModelError: the model cannot be loaded, or is not a classifier of RGB images with a fixed size.
        RuntimeMissingError: TensorFlow is not installed.
    """
    tf = load_tensorflow(f"{path}: reading a Keras model or SavedModel")
    try:
        with silent_stderr():
            run, inputs, scales_inside = _load_saved(tf, path) if path.is_dir() else _load_keras(tf, path)
            shapes = [tuple(shape) for shape in inputs]
            if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3 or None in shapes[0][1:3]:
                raise ModelError(
                    f"{path}: its input {shapes} is not one RGB picture [1, height, width, 3] of known size."
                )
            size = (int(shapes[0][1]), int(shapes[0][2]))
            answer = np.asarray(run(np.zeros((1, *size, 3), np.float32)))
    except ModelError:
        raise
    except Exception as error:  # Keras and TensorFlow raise a dozen kinds for damaged and unusual files
        raise ModelError(f"{path}: TensorFlow cannot load it ({' '.join(str(error).split())[:200]}).") from None
    if answer.ndim != 2 or answer.shape[0] != 1 or answer.shape[1] < 2:
        raise ModelError(f"{path}: answers with the shape {list(answer.shape)}, not with one score for each label.")
    return TensorFlowModel(path, run, size, answer.shape[1], scales_inside)


def find_input_range(
    model: TensorFlowModel, pixels: Sequence[Pixels], classes: npt.NDArray[np.int64]
) -> tuple[InputRange, str]:
    """Return the input range of a model, and a phrase that states the evidence for it.

    The evidence is a layer in the model that scales pixels, or a significantly higher accuracy with one range
    than with the other ranges.

    Args:
        pixels: images at the model's size.
        classes: index of each image's class among the model's outputs, int64 [images].

    Raises:
        ModelError: there is no evidence for one of the ranges.
    """
    if model.scales_inside:
        return "0:255", "the model scales pixels itself"
    correct = {one: model.scores(pixels, one).argmax(axis=1) == classes for one in INPUT_RANGES} if len(pixels) else {}
    ranked = sorted(correct, key=lambda one: -float(correct[one].mean()))
    if ranked:
        figures = ", ".join(f"{percent(float(correct[one].mean()))} with {one}" for one in ranked)
        if not compare_paired(correct[ranked[0]], correct[ranked[1]]).could_be_chance:
            return ranked[0], f"accuracy on {len(pixels)} photos: {figures}"
    found = f" (accuracy on {len(pixels)} photos: {figures})" if ranked else ""
    raise ModelError(
        f"{model.path}: nothing tells the range of its input{found}. Give it: `input_range`=0:255, 0:1 or -1:1"
    )


def freeze(
    model: TensorFlowModel, input_range: InputRange, labels: tuple[str, ...], pixels: Sequence[Pixels]
) -> FrozenGraph:
    """Convert a model to a frozen graph that accepts values from -1 to 1 and returns probabilities.

    Args:
        pixels: images at the model's size, for determining whether the model's outputs are probabilities; if there are
            none, a gray image is used.

    Raises:
        ModelError: the model cannot be frozen, or returns scores from 0 to 1 whose sum is not 1.
    """
    tf = load_tensorflow(f"{model.path}: converting a Keras model or SavedModel")
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    factor, offset = _PIXELS_OF[input_range]
    shown = pixels[:_BATCH] or [np.full((*model.size, 3), 128, np.uint8)]
    scores = model.scores(shown, input_range)
    normalized = (scores >= 0).all() and (np.abs(scores.sum(axis=1) - 1) < _TOLERANCE).all()
    if not normalized and (scores >= 0).all() and (scores <= 1).all():
        raise ModelError(f"{model.path}: its scores do not sum to 1, as of a model with several labels for a photo.")

    def answer(values: Any) -> Any:
        found = model.run(values * factor + offset)
        return tf.identity(found if normalized else tf.nn.softmax(found), name="final_result")

    try:
        with silent_stderr():
            signature = [tf.TensorSpec([1, *model.size, 3], tf.float32, name="input")]
            function = tf.function(answer, input_signature=signature).get_concrete_function()
            frozen = convert_variables_to_constants_v2(function)
            content = frozen.graph.as_graph_def().SerializeToString(deterministic=True)
    except Exception as error:
        raise ModelError(f"{model.path}: TensorFlow cannot freeze it ({' '.join(str(error).split())[:200]}).") from None
    return FrozenGraph(
        path=model.path,
        graph=parse_graph(content, str(model.path)),
        input_name=frozen.inputs[0].op.name,
        output_name=frozen.outputs[0].op.name,
        size=model.size,
        labels=labels,
        photo_sets=None,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _load_keras(tf: Any, path: Path) -> tuple[Callable[[Any], Any], list[Any], bool]:
    if model_format(path) is HDF5:
        _check_no_code(path)
    model = tf.keras.models.load_model(str(path), compile=False)  # .keras: safe mode, without code in the file
    scales = any(type(layer).__name__ in _SCALING_LAYERS for layer in _first_layers(model))
    return lambda values: model(values, training=False), [tensor.shape for tensor in model.inputs], scales


def _first_layers(model: Any) -> list[Any]:
    """Return the first layers of a model, including those of a nested model that follows the input layer."""
    found = []
    waiting = list(model.layers[:3])
    while waiting:
        layer = waiting.pop(0)
        found.append(layer)
        if hasattr(layer, "layers") and len(found) == 2:  # behind the input layer
            waiting = list(layer.layers[:3])
    return found


def _check_no_code(path: Path) -> None:
    """Raise ModelError if an HDF5 file contains no model, or a layer with Python code, which Keras would run."""
    import h5py

    with h5py.File(path) as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise ModelError(f"{path}: an HDF5 file with weights only, or not of Keras. Save the whole model.")
    text = config.decode() if isinstance(config, bytes) else str(config)

    def names(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [str(value["class_name"])] if "class_name" in value else []
            return own + [name for part in value.values() for name in names(part)]
        return [name for part in value for name in names(part)] if isinstance(value, list) else []

    if {"Lambda", "TFOpLambda", "__lambda__"} & set(names(parse_json(text))):
        raise ModelError(f"{path}: holds a Lambda layer, Python code that would be run. It is not loaded.")


def _load_saved(tf: Any, path: Path) -> tuple[Callable[[Any], Any], list[Any], bool]:
    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    function = signatures.get("serving_default") or (next(iter(signatures.values())) if len(signatures) == 1 else None)
    if function is None:
        raise ModelError(f"{path}: has no signature serving_default. Export it for serving.")
    inputs = function.structured_input_signature[1]
    outputs = list(function.structured_outputs)
    if len(outputs) != 1:
        raise ModelError(f"{path}: has {len(outputs)} outputs; an image classifier has one.")
    if any(spec.dtype != tf.float32 for spec in inputs.values()):
        raise ModelError(f"{path}: its input is not float32. Export it with a float32 input.")
    [output], name = outputs, next(iter(inputs))

    def run(values: Any) -> Any:
        run.keeps = loaded  # type: ignore[attr-defined]  # the variables live as long as the model
        return function(**{name: tf.convert_to_tensor(values, tf.float32)})[output]

    return run, [spec.shape.as_list() for spec in inputs.values()], False
