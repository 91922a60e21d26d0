"""Load Keras models (`.keras`, `.h5`), SavedModels and ONNX models, and convert them to frozen graphs.

Like the graphs that `train` writes, these frozen graphs accept RGB images with values from -1 to 1 and return
probabilities. They contain the conversion to the model's own input range and, if necessary, to gray values, and a
softmax if the model lacks one. All functions for trained graphs can therefore be used with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import scratch_folder
from poets_edge.core.wording import percent
from poets_edge.device.input_tensor import LUMA
from poets_edge.device.paired import compare_paired
from poets_edge.errors import ModelError
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.graph_input import input_evidence
from poets_edge.nets.graphdef import parse_graph
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.photos.image import Pixels
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization
from poets_edge.quantize.onnx_model import convert_onnx
from poets_edge.quantize.tensorflow_files import load_keras, load_saved
from poets_edge.tflite.first_layers import BlueFirstError
from poets_edge.tflite.formats import HDF5, KERAS, ONNX, SAVED_MODEL, model_format
from poets_edge.tflite.interpreter import silent_stderr
from poets_edge.tflite.scores import format_of_values

_RANGES = (BACKBONE, UNIT, RAW)
"""Input normalizations that are tried on photos if a model does not specify its own."""
_INPUT, _OUTPUT = "input", "final_result"
_SHOWN = 32
"""Maximum number of images that are used to check whether the scores of a model sum to 1."""
_TOLERANCE = 1e-3
_ARITHMETIC = ("Identity", "AddV2", "Sub", "Mul", "RealDiv", "Neg")
_LUMA = (LUMA / LUMA.sum()).astype(np.float32).reshape(1, 1, 3, 1)
"""Weights of a 1x1 convolution that converts RGB images to gray images."""

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TensorFlowModel:
    """An image classifier that runs in TensorFlow.

    Attributes:
        path: file or folder of the model.
        run: function that runs the model: maps float32 [1, height, width, 3] to float32 [1, outputs].
        graph: GraphDef of the model, including its weights.
        input_name: name of the input node in `graph`.
        size: (height, width) of the input, pixels.
        outputs: number of outputs.
    """

    path: Path
    run: Callable[[Any], Any]
    graph: Any
    input_name: str
    size: tuple[int, int]
    outputs: int

    def scores(self, pixels: Sequence[Pixels], normalization: Normalization) -> Scores:
        """Return the model's outputs for images that have its input size, float32 [images, outputs]."""
        factor, offset = _from_backbone(normalization)
        values = (image[None].astype(np.float32) / 127.5 - 1 for image in pixels)
        return np.asarray([np.asarray(self.run(one * factor + offset))[0] for one in values], np.float32)


def is_tensorflow_model(path: Path) -> bool:
    """Return whether a file or folder contains a Keras model, a SavedModel or an ONNX model."""
    return model_format(path) in (KERAS, HDF5, SAVED_MODEL, ONNX)


def load_model(path: Path, side: int | None = None) -> TensorFlowModel:
    """Load a Keras model, a SavedModel or an ONNX model.

    If the file contains a model with a single output for two classes, the loaded model returns the scores of both. If
    it contains a model for gray images, the loaded model accepts RGB images.

    Args:
        side: height and width of the input, pixels, for a model that accepts images of any size.

    Raises:
        ModelError: the model cannot be loaded, is not a classifier of RGB or gray images, or needs another `side`.
        RuntimeMissingError: TensorFlow, or onnx2tf for an ONNX model, is not installed.
    """
    tf = load_tensorflow(f"{path}: reading a Keras model or SavedModel")
    if model_format(path) is ONNX:
        with scratch_folder() as folder:
            return _load(tf, path, convert_onnx(path, folder), side)
    return _load(tf, path, path, side)


def _load(tf: Any, path: Path, source: Path, side: int | None) -> TensorFlowModel:
    """Load a model from a Keras file or from the folder of a SavedModel.

    Args:
        path: path of the model, for messages.
        source: path of the file or folder to load.
    """
    try:
        with silent_stderr():
            run, inputs = load_saved(tf, source) if source.is_dir() else load_keras(tf, source)
            height, width, channels = _input_shape(path, [tuple(shape) for shape in inputs], side)
            frozen = _frozen(tf, run, (height, width, channels))
            answers = frozen(tf.zeros([1, height, width, channels]))
            if len(answers) != 1:
                raise ModelError(
                    f"{path}: has {len(answers)} outputs; an image classifier has one. Export it with the scores alone."
                )
            [answer] = answers
    except ModelError:
        raise
    except Exception as error:  # Keras and TensorFlow raise a dozen kinds of exceptions for damaged and unusual files
        raise ModelError(f"{path}: TensorFlow cannot load it ({_in_one_line(error)}).") from None
    if answer.shape.rank != 2 or answer.shape[0] != 1:
        raise ModelError(f"{path}: its output has the shape {list(answer.shape)}, not one score for each label.")
    graph = parse_graph(frozen.graph.as_graph_def().SerializeToString(), str(path))
    outputs = int(answer.shape[1])
    single = outputs == 1
    sigmoid = _last_operation(graph, frozen.outputs[0].op.name) == "Sigmoid"
    if single and not sigmoid and _depends_on_scores(graph, frozen.outputs[0].op.name):
        raise ModelError(
            f"{path}: its only output is computed from a sigmoid or softmax, and nothing tells whether it is the score"
            " of the second label. Convert it with a sigmoid, or with an output for each label, at its end."
        )

    def scores(values: Any) -> Any:
        image = tf.convert_to_tensor(values, tf.float32)
        [found] = frozen(image if channels == 3 else tf.nn.conv2d(image, _LUMA, 1, "VALID"))
        if not single:
            return found
        score = found if sigmoid else tf.sigmoid(found)
        return tf.concat([1 - score, score], axis=1)

    return TensorFlowModel(path, scores, graph, frozen.inputs[0].op.name, (height, width), 2 if single else outputs)


def _input_shape(path: Path, shapes: list[tuple[int | None, ...]], side: int | None) -> tuple[int, int, int]:
    """Return (height, width, channels) of a model's only input. Raises ModelError if the input is not supported.

    Args:
        shapes: shapes of the model's inputs, in which an unspecified length is None.
        side: height and width for a model that accepts images of any size.
    """
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] not in (1, 3):
        raise ModelError(
            f"{path}: its input {shapes} is not one RGB or gray picture: [1, height, width, 3] or [1, height, width,"
            " 1]. Convert it again with an input of this shape."
        )
    _, height, width, channels = shapes[0]
    if side is None and (height is None or width is None):
        raise ModelError(
            f"{path}: accepts pictures of any size. Give the size that it was trained with: `input_size`=224"
        )
    if side is not None and (height or side, width or side) != (side, side):
        raise ModelError(f"{path}: its input has {height} x {width} pixels, not `input_size` {side}. Leave it out.")
    return int(height or side or 0), int(width or side or 0), int(channels or 0)


def model_of_graph(frozen: FrozenGraph) -> TensorFlowModel:
    """Return a TensorFlowModel that runs a frozen graph.

    Raises:
        ModelError: TensorFlow cannot load the graph.
        RuntimeMissingError: TensorFlow is not installed.
    """
    tf = load_tensorflow(f"{frozen.path}: changing the input range of a frozen graph")
    graph = tf.compat.v1.GraphDef.FromString(frozen.graph.SerializeToString())
    try:
        with silent_stderr():
            wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
            run = wrapped.prune(f"{frozen.input_name}:0", f"{frozen.output_name}:0")
            outputs = int(run(tf.zeros([1, *frozen.size, 3])).shape[1])
    except Exception as error:
        raise ModelError(f"{frozen.path}: TensorFlow cannot load it ({_in_one_line(error)}).") from None

    def scores(values: Any) -> Any:
        return run(tf.convert_to_tensor(values, tf.float32))

    return TensorFlowModel(frozen.path, scores, frozen.graph, frozen.input_name, frozen.size, outputs)


def find_input_range(
    model: TensorFlowModel, pixels: Sequence[Pixels], classes: npt.NDArray[np.int64]
) -> tuple[Normalization, str]:
    """Infer the normalization of a model's input; return it with a phrase that states the evidence for it.

    The evidence is either the arithmetic in the first layers of the model, or a significantly higher accuracy on photos
    with one input range than with the others.

    Args:
        pixels: images, resized to the model's input size.
        classes: index of each image's class among the model's outputs, int64 [images].

    Raises:
        ModelError: there is no evidence for any input range.
    """
    try:
        evidence = input_evidence(model.graph, model.input_name)
    except BlueFirstError as error:
        raise ModelError(f"{model.path}: {error}") from None
    if evidence:
        return evidence.normalization, evidence.reason
    correct = {one: model.scores(pixels, one).argmax(axis=1) == classes for one in _RANGES} if len(pixels) else {}
    ranked = sorted(correct, key=lambda one: -float(correct[one].mean()))
    if ranked:
        figures = ", ".join(f"{percent(float(correct[one].mean()))} with {one.short}" for one in ranked)
        if not compare_paired(correct[ranked[0]], correct[ranked[1]]).could_be_chance:
            return ranked[0], f"accuracy on {len(pixels)} photos: {figures}"
    found = f" (accuracy on {len(pixels)} photos: {figures})" if ranked else ""
    raise ModelError(f"{model.path}: its input range is not known{found}. Specify it: `input_range`=0:255, 0:1 or -1:1")


def freeze(
    model: TensorFlowModel, normalization: Normalization, labels: tuple[str, ...], pixels: Sequence[Pixels]
) -> FrozenGraph:
    """Convert a model to a frozen graph that accepts values from -1 to 1 and returns probabilities.

    Args:
        pixels: images, resized to the model's input size, that are used to test whether the outputs are probabilities;
            if there are no images, a gray image is used.

    Raises:
        ModelError: the model cannot be frozen, or returns scores from 0 to 1 whose sum is not 1.
    """
    tf = load_tensorflow(f"{model.path}: converting a Keras model or SavedModel")
    factor, offset = _from_backbone(normalization)
    shown = pixels[:_SHOWN] or [np.full((*model.size, 3), 128, np.uint8)]
    scores = model.scores(shown, normalization)
    found = format_of_values(scores, tolerance=_TOLERANCE)
    if found.kind == "sigmoids":
        raise ModelError(f"{model.path}: its scores do not sum to 1, as of a model with several labels for a photo.")

    def answer(values: Any) -> Any:
        output = model.run(values * factor + offset)
        if found.kind == "logits":
            return tf.nn.softmax(output, name=_OUTPUT)
        return tf.identity(output / found.high if found.is_scaled else output, name=_OUTPUT)

    try:
        with silent_stderr():
            frozen = _frozen(tf, answer, (*model.size, 3))
            content = frozen.graph.as_graph_def().SerializeToString(deterministic=True)
    except Exception as error:
        raise ModelError(f"{model.path}: TensorFlow cannot freeze it ({_in_one_line(error)}).") from None
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


def _from_backbone(normalization: Normalization) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return factors and offsets, one or three of each, that convert values in [-1, 1] to the given normalization."""
    mean, std = np.asarray(normalization.mean), np.asarray(normalization.std)
    return (127.5 / std).astype(np.float32), ((127.5 - mean) / std).astype(np.float32)


def _frozen(tf: Any, run: Callable[[Any], Any], shape: tuple[int, int, int]) -> Any:
    """Return a TensorFlow function that computes `run` for one image, with its variables converted to constants.

    Args:
        shape: (height, width, channels) of the image.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = [tf.TensorSpec([1, *shape], tf.float32, name=_INPUT)]
    return convert_variables_to_constants_v2(tf.function(run, input_signature=signature).get_concrete_function())


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _last_operation(graph: Any, name: str) -> str:
    """Return the name of the operation that computes a node's output, such as "Softmax", skipping Identity nodes."""
    nodes = {node.name: node for node in graph.node}
    while (node := nodes[name]).op == "Identity":
        name = node.input[0].partition(":")[0]
    return str(node.op)


def _depends_on_scores(graph: Any, name: str) -> bool:
    """Return whether a node is a softmax, or the result of arithmetic with a sigmoid or softmax, like 1 - sigmoid."""
    nodes = {node.name: node for node in graph.node}
    waiting, known = [name], {name}
    while waiting:
        node = nodes[waiting.pop()]
        if node.op in ("Sigmoid", "Softmax"):
            return True
        if node.op in _ARITHMETIC:
            new = {source.removeprefix("^").partition(":")[0] for source in node.input} - known
            waiting += new
            known |= new
    return False
