"""Reference results that TensorFlow computes from the same weights and graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import BOTTLENECK, INPUT
from poets_edge.nets.tensorflow import load_tensorflow
from tests.needs import need_tensorflow
from tests.once import made_once


def tensorflow() -> Any:
    """Return the module `tensorflow`; if it is not installed, skip the test or, on CI, fail it."""
    need_tensorflow()
    return load_tensorflow("the yardstick")


def keras_model(entry: Architecture) -> Any:
    """Return the Keras model of a backbone, with random weights, up to its last feature map."""
    applications = tensorflow().keras.applications
    options: dict[str, Any] = {
        "input_shape": (*entry.size, 3),
        "include_top": False,
        "weights": None,
    }
    if entry.family == "Inception V3":
        return applications.InceptionV3(**options)
    return applications.MobileNet(alpha=float(entry.name.split("_")[1]), **options)


def save_as_keras_does(model: Any, path: Path) -> None:
    """Write a model's weights in the format of the weights files that Keras downloads."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def load_as_keras_does(model: Any, path: Path) -> None:
    """Set a model's weights to those in a file that `save_as_keras_does` has written."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "r") as file:
        legacy_h5_format.load_weights_from_hdf5_group(file, model)


def random_inception(factory: pytest.TempPathFactory) -> Path:
    """Return a file of Keras with random weights and random batch normalization for Inception V3."""

    def make(folder: Path) -> None:
        tensorflow().keras.utils.set_random_seed(0)
        model, rng = keras_model(architecture("inception_v3")), np.random.default_rng(0)
        for layer in model.layers:
            if type(layer).__name__ == "BatchNormalization":
                beta, mean, variance = (array.shape for array in layer.get_weights())
                layer.set_weights([rng.normal(0, 0.1, beta), rng.normal(0, 0.1, mean), rng.uniform(0.3, 1.5, variance)])
        save_as_keras_does(model, folder / "inception.h5")

    return made_once(factory, "inception", make) / "inception.h5"


def frozen(model: Any, entry: Architecture) -> bytes:
    """Return the frozen graph of a Keras backbone with pooling, as earlier versions of poets-edge wrote it."""
    tf = tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = [tf.TensorSpec([1, *entry.size, 3], tf.float32, name=INPUT)]
    function = tf.function(
        lambda pixels: tf.reduce_mean(model(pixels, training=False), axis=[1, 2], name=BOTTLENECK),
        input_signature=signature,
    )
    graph = convert_variables_to_constants_v2(function.get_concrete_function()).graph
    return bytes(graph.as_graph_def().SerializeToString())


def run_graph(path: Path, inputs: Sequence[Any], output: str = "bottleneck") -> Any:
    """Return the outputs of a frozen graph, run with TensorFlow as in the codelab's `label_image.py`."""
    v1 = tensorflow().compat.v1
    graph, definition = v1.Graph(), v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    with graph.as_default():
        v1.import_graph_def(definition)
    start, end = (graph.get_operation_by_name(f"import/{name}").outputs[0] for name in (INPUT, output))
    with v1.Session(graph=graph) as session:
        return np.array([session.run(end, {start: picture})[0] for picture in inputs])
