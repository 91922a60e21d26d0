"""Files like those of the original codelab: its frozen MobileNets, and a graph that its `retrain.py` wrote.

The originals cannot be downloaded, so they are rebuilt with the same node names, shapes and operators. The weights up
to the pooled features are real; those of the 1,001 ImageNet logits, which only `retrained_graph` reads, are random.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.nets.architecture import Architecture
from poets_edge.nets.weights import find_weights
from tests.yardstick import keras_model, tensorflow

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def frozen_mobilenet(architecture: Architecture) -> bytes:
    """Return a graph like `frozen_graph.pb` in the codelab's mobilenet_v1_<alpha>_<resolution>_frozen.tgz."""
    tf = tensorflow()
    graph, values = tf.Graph(), _weights(architecture)
    with graph.as_default():
        _mobilenet(tf.compat.v1, architecture, values)
    return bytes(graph.as_graph_def().SerializeToString())


def frozen_tgz(architecture: Architecture, folder: Path) -> Path:
    """Write an archive like the codelab's mobilenet_v1_<alpha>_<resolution>_frozen.tgz; return its path."""
    name = architecture.name.replace("mobilenet_", "mobilenet_v1_")
    data = frozen_mobilenet(architecture)
    path = folder / f"{name}_frozen.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for member, content in {"labels.txt": b"background\n", "frozen_graph.pb": data}.items():
            info = tarfile.TarInfo(f"./{name}/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def retrained_graph(architecture: Architecture, class_count: int) -> bytes:
    """Return a graph like the output of the codelab's `retrain.py`, with a random head on the 1,001 logits."""
    tf = tensorflow()
    rng = np.random.default_rng(1)
    graph, values = tf.Graph(), _weights(architecture)
    with graph.as_default():
        v1 = tf.compat.v1
        logits = _mobilenet(v1, architecture, values)
        with v1.name_scope("input_1/"):
            bottleneck = v1.placeholder_with_default(logits, [None, 1001], name="BottleneckInputPlaceholder")
        with v1.name_scope("final_training_ops"):
            weights = v1.constant(rng.normal(0, 0.3, (1001, class_count)).astype(np.float32))
            added = v1.add(v1.matmul(bottleneck, weights), np.zeros(class_count, np.float32))
        v1.nn.softmax(added, name="final_result")
    return bytes(graph.as_graph_def().SerializeToString())


def _weights(architecture: Architecture) -> dict[str, Any]:
    model = keras_model(architecture)
    model.load_weights(find_weights(architecture, Path("nowhere")).path)
    return {layer.name: layer.get_weights() for layer in model.layers}


def _mobilenet(v1: Any, architecture: Architecture, values: dict[str, Any]) -> Any:
    net = v1.placeholder(v1.float32, [1, *architecture.size, 3], name="input")

    def normalized(net: Any, name: str) -> Any:
        gamma, beta, mean, variance = values[name]
        net, _, _ = v1.nn.fused_batch_norm(net, gamma, beta, mean, variance, epsilon=1e-3, is_training=False)
        return v1.nn.relu6(net)

    with v1.name_scope("MobilenetV1"):
        net = normalized(v1.nn.conv2d(net, values["conv1"][0], [1, 2, 2, 1], "SAME"), "conv1_bn")
        for number, stride in enumerate(_STRIDES, 1):
            kernel = values[f"conv_dw_{number}"][0]
            kernel = kernel.reshape(3, 3, -1, 1)
            net = v1.nn.depthwise_conv2d_native(net, kernel, [1, stride, stride, 1], "SAME")
            net = normalized(net, f"conv_dw_{number}_bn")
            net = v1.nn.conv2d(net, values[f"conv_pw_{number}"][0], [1, 1, 1, 1], "SAME")
            net = normalized(net, f"conv_pw_{number}_bn")
        side = architecture.resolution // 32
        net = v1.nn.avg_pool(net, [1, side, side, 1], [1, 1, 1, 1], "VALID", name="Logits/AvgPool_1a/AvgPool")
        projection = np.random.default_rng(0).normal(0, 0.1, (1, 1, architecture.bottleneck_size, 1001))
        net = v1.nn.conv2d(net, projection.astype(np.float32), [1, 1, 1, 1], "SAME")
        return v1.reshape(net, [-1, 1001], name="Predictions/Reshape")
