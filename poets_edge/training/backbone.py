"""A backbone without its classifier, in the two forms a run needs, built once and kept beside the bottlenecks.

- a frozen graph from `input` (float32 [1, R, R, 3], normalised) to `bottleneck` (float32 [1, size]), onto which
  the head is put;
- the same as a float `.tflite`, which computes bottlenecks on all cores faster than TensorFlow does.

Building them loads TensorFlow; finding them does not.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.architectures import Architecture
from poets_edge.edge.interpreter import silent_stderr
from poets_edge.errors import WeightsError
from poets_edge.files import sha256_of, write_bytes, write_text
from poets_edge.graphs.convert import convert
from poets_edge.graphs.graphdef import (
    BOTTLENECK,
    INPUT,
    flattened,
    not_finite,
    parse_graph,
    placeholder_shape,
    serialize,
    subgraph,
)
from poets_edge.graphs.tensorflow import load_tensorflow
from poets_edge.training.weights import Weights

# Raise when the code below builds something else from the same weights.
_FORMAT = "backbone-1"

_CODELAB_POOLING = "MobilenetV1/Logits/AvgPool_1a/AvgPool"


@dataclass(frozen=True)
class Backbone:
    """A backbone ready to use.

    Attributes:
        digest: names everything its vectors follow from: the weights, the architecture, and how it was built.
        graph: the frozen graph's file.
        model: the `.tflite` file.
    """

    architecture: Architecture
    digest: str
    graph: Path
    model: Path

    @property
    def cache_file(self) -> Path:
        """Where its bottlenecks are kept."""
        return self.model.with_suffix(".sqlite")

    def read_graph(self) -> Any:
        """Its GraphDef."""
        return parse_graph(self.graph.read_bytes(), str(self.graph))


def prepare_backbone(architecture: Architecture, weights: Weights, folder: Path) -> Backbone:
    """Find a backbone in `folder`, or build it there.

    Raises:
        WeightsError: the weights file is damaged or belongs to another architecture.
        RuntimeMissingError: it has to be built and TensorFlow is not installed.
        OutputError: `folder` cannot be written.
    """
    digest = hashlib.sha256(f"{_FORMAT} {architecture.backbone} {weights.digest}".encode()).hexdigest()[:16]
    stem = f"{architecture.backbone}-{digest}"
    backbone = Backbone(architecture, digest, folder / f"{stem}.pb", folder / f"{stem}.tflite")
    checksums = folder / f"{stem}.json"
    if not _is_intact(backbone, checksums):
        graph = _build(architecture, weights)
        if name := not_finite(graph):
            raise WeightsError(f"{weights.path}: its weights hold NaN or infinity ({name}). Fetch or copy it again.")
        write_bytes(backbone.graph, serialize(graph))
        write_bytes(backbone.model, convert(graph, str(backbone.graph), INPUT, BOTTLENECK))
        # Last: its presence says that the two others are complete.
        write_text(
            checksums, json.dumps({"graph": sha256_of(backbone.graph), "model": sha256_of(backbone.model)}) + "\n"
        )
    return backbone


def _is_intact(backbone: Backbone, checksums: Path) -> bool:
    try:
        expected = json.loads(checksums.read_text())
        return bool(expected == {"graph": sha256_of(backbone.graph), "model": sha256_of(backbone.model)})
    except (OSError, ValueError):
        return False


def _build(architecture: Architecture, weights: Weights) -> Any:
    if weights.is_keras:
        return subgraph(_freeze_keras(architecture, weights), BOTTLENECK)
    return _cut_codelab_graph(architecture, weights)


def _freeze_keras(architecture: Architecture, weights: Weights) -> Any:
    tf = load_tensorflow("building a backbone")
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with silent_stderr():
        model = keras_model(architecture)
        try:
            weights.load_into(model)
        except Exception as error:  # h5py and Keras raise a dozen kinds
            reason = " ".join(str(error).split())[:160]
            raise WeightsError(
                f"{weights.path}: not the weights of {architecture.backbone}, or damaged ({reason})."
                " Delete it to have it fetched again."
            ) from None
        signature = [tf.TensorSpec([1, *architecture.size, 3], tf.float32, name=INPUT)]
        # Pooled here and not by Keras, whose pooling layer is named by a counter: equal runs write equal graphs.
        function = tf.function(
            lambda pixels: tf.reduce_mean(model(pixels, training=False), axis=[1, 2], name=BOTTLENECK),
            input_signature=signature,
        )
        frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    return parse_graph(frozen.graph.as_graph_def().SerializeToString(), str(weights.path))


def keras_model(architecture: Architecture) -> Any:
    """The Keras model of a backbone, with random weights, up to its last feature map."""
    applications = load_tensorflow("building a backbone").keras.applications
    options: dict[str, Any] = {
        "input_shape": (*architecture.size, 3),
        "include_top": False,
        "weights": None,
    }
    if architecture.alpha is None:
        return applications.InceptionV3(**options)
    return applications.MobileNet(alpha=architecture.alpha, **options)


def _cut_codelab_graph(architecture: Architecture, weights: Weights) -> Any:
    """The codelab's graph up to its average pooling, with the vector reshaped from [1, 1, 1, C] to [1, C]."""
    whole = parse_graph(weights.frozen_graph(), str(weights.path))
    names = {node.name for node in whole.node}
    if not {INPUT, _CODELAB_POOLING} <= names:
        raise WeightsError(f"{weights.path}: not one of the codelab's MobileNet V1 graphs (no {_CODELAB_POOLING}).")
    graph = subgraph(whole, _CODELAB_POOLING)
    shape = placeholder_shape(graph, INPUT)
    if shape[1:] != [*architecture.size, 3]:
        raise WeightsError(
            f"{weights.path}: takes pictures of {shape[1:3]} pixels, {architecture.name} of {list(architecture.size)}."
        )
    return flattened(graph, _CODELAB_POOLING, architecture.bottleneck_size, BOTTLENECK)
