"""Read frozen graphs (`.pb`) of image classifiers, written by `train` or by the codelab "TensorFlow for Poets"."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes
from poets_edge.errors import ModelError
from poets_edge.nets.detector import detector_of
from poets_edge.nets.graphdef import labels_of, not_finite, parse_graph, photo_sets_of, placeholder_shape
from poets_edge.tflite.formats import TFLITE, model_format

# The codelab's Inception graph takes images at node `Mul`, after its nodes for decoding and scaling.
CODELAB_INPUTS = ("input", "Mul")
CODELAB_OUTPUT = "final_result"
_OPERATIONS = frozenset(
    """
    Abs Add AddV2 AvgPool BatchMatMulV2 BatchNormWithGlobalNormalization BiasAdd Cast
    CheckNumerics Concat ConcatV2 Const Conv2D DecodeJpeg DepthwiseConv2dNative Elu Erf Exp
    ExpandDims FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Identity LRN LeakyRelu Log LogSoftmax MatMul
    Max MaxPool Maximum Mean Min Minimum MirrorPad Mul Neg NoOp Pack Pad PadV2 Placeholder
    PlaceholderWithDefault Pow RealDiv Relu Relu6 Reshape ResizeBilinear ResizeNearestNeighbor ReverseV2 Rsqrt
    Selu Shape Sigmoid Slice Softmax Softplus Split SplitV Sqrt Square
    SquaredDifference Squeeze StopGradient StridedSlice Sub Sum Tanh Transpose
    """.split()  # noqa: SIM905 - quoted, the words would fill a screen
)
"""Operations that a graph may contain: stateless arithmetic on tensors whose size follows from their inputs. TensorFlow
has other operations that read or write files when a graph is run."""
_MAX_GRAPH_BYTES = 512 << 20
"""Maximum size of a graph file, in bytes. The largest supported graph, Inception V3, is 95 MB."""


@dataclass(frozen=True)
class FrozenGraph:
    """The frozen graph of an image classifier.

    Attributes:
        graph: the GraphDef.
        input_name, output_name: names of the input and output nodes.
        size: (height, width) of the input, pixels.
        labels: class names stored in the graph; () if it contains none.
        photo_sets: digests of the photos in the training run, in the format of `KnownPhotos.to_json`; None if the graph
            contains none.
        sha256: checksum of the file, hexadecimal.
        has_detector: whether the graph computes a photo's distance from the training photos.
    """

    path: Path
    graph: Any
    input_name: str
    output_name: str
    size: tuple[int, int]
    labels: tuple[str, ...]
    photo_sets: dict[str, Any] | None
    sha256: str
    has_detector: bool = False


def read_frozen_graph(path: Path) -> FrozenGraph:
    """Read a frozen graph and find its input and its output.

    The input is the placeholder named `input` or `Mul`, as in the codelab "TensorFlow for Poets"; if there is none, the
    only placeholder for RGB images. The output is the Softmax node named `final_result`; if there is none, the last
    Softmax node.

    Raises:
        ModelError: the file is missing, damaged, or not an image classifier.
    """
    try:
        content = read_bytes(path, _MAX_GRAPH_BYTES)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from None
    try:
        graph = parse_graph(content, str(path))
    except ModelError:
        raise _not_a_graph(path) from None
    input_name = _input_of(graph)
    outputs = sorted(
        (node.name for node in graph.node if node.op == "Softmax"), key=lambda name: name == CODELAB_OUTPUT
    )
    if not input_name or not outputs:
        raise ModelError(
            f"{path}: not an image classifier: it needs exactly one placeholder for RGB images, and a Softmax."
        )
    shape = placeholder_shape(graph, input_name)
    if len(shape) != 4 or shape[1] < 1 or shape[2] < 1 or shape[3] != 3:
        raise ModelError(f"{path}: input shape {shape} is not a picture of known size.")
    _check_operations(graph, path)
    if name := not_finite(graph):
        raise ModelError(f"{path}: its weights {name!r} hold NaN or infinity. Train again, or copy it again.")
    digest = hashlib.sha256(content).hexdigest()
    size = (shape[1], shape[2])
    photo_sets = photo_sets_of(graph, str(path))
    has_detector = detector_of(graph, str(path)) is not None
    return FrozenGraph(path, graph, input_name, outputs[-1], size, labels_of(graph), photo_sets, digest, has_detector)


def _not_a_graph(path: Path) -> ModelError:
    """Return the error for a file that is not a frozen graph; its message names the file's format if that is known."""
    found = model_format(path)
    if found is TFLITE:
        return ModelError(f"{path}: a TensorFlow Lite model already. Try it: poets-edge label {path} PHOTO")
    if found is not None and found.remedy:
        return ModelError(found.refusal(path, "a frozen graph"))
    return ModelError(f"{path}: not a frozen graph, or damaged or empty.")


def _input_of(graph: Any) -> str:
    """Return the name of the placeholder for images, or "" if there is not exactly one such placeholder."""
    placeholders = [node.name for node in graph.node if node.op == "Placeholder"]
    for name in CODELAB_INPUTS:
        if name in placeholders:
            return name
    images = [name for name in placeholders if placeholder_shape(graph, name)[3:] == [3]]
    return str(images[0]) if len(images) == 1 else ""


def _check_operations(graph: Any, path: Path) -> None:
    unknown = sorted({node.op for node in graph.node} - _OPERATIONS)
    if unknown or len(graph.library.function):
        what = ", ".join(unknown)[:100] or "functions of its own"
        raise ModelError(
            f"{path}: contains {what}, which image classifiers do not need, and which could run any code. Convert it"
            " with TensorFlow's TFLiteConverter if you trust it."
        )
