"""Load Keras files and SavedModels in TensorFlow, after checking that they do not run code or access files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from poets_edge.errors import ModelError
from poets_edge.quantize.foreign_code import check_keras, check_saved_model


def load_keras(tf: Any, path: Path) -> tuple[Callable[[Any], Any], list[Any]]:
    """Load a Keras model; return a function that runs it, and the shapes of its inputs.

    Raises:
        ModelError: the file contains weights without a model, Python code, or layers that read files.
    """
    check_keras(path)
    model = tf.keras.models.load_model(str(path), compile=False, custom_objects=_earlier_layers(tf))
    return lambda values: model(values, training=False), [tensor.shape for tensor in model.inputs]


def _earlier_layers(tf: Any) -> dict[str, Any]:
    """Return replacements for Keras layers, by name, that accept the options in HDF5 files written by Keras 2."""

    class DepthwiseConv2D(tf.keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            options.pop("groups", None)  # always 1; Keras 3 refuses it
            super().__init__(**options)

    return {"DepthwiseConv2D": DepthwiseConv2D}


def load_saved(tf: Any, path: Path) -> tuple[Callable[[Any], Any], list[Any]]:
    """Load a SavedModel; return a function that runs its serving signature, and the shapes of its inputs.

    Raises:
        ModelError: the SavedModel accesses files, has no serving signature, has several outputs, or its input is not
            float32.
    """
    check_saved_model(path)
    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    function = signatures.get("serving_default") or (next(iter(signatures.values())) if len(signatures) == 1 else None)
    if function is None:
        found = f"; it has {', '.join(signatures)}" if signatures else ""
        raise ModelError(f"{path}: has no signature serving_default{found}. Export it as model.export() of Keras does.")
    inputs = function.structured_input_signature[1]
    outputs = list(function.structured_outputs)
    if len(outputs) != 1:
        raise ModelError(
            f"{path}: has {len(outputs)} outputs; an image classifier has one. Export it with the scores alone."
        )
    if any(spec.dtype != tf.float32 for spec in inputs.values()):
        raise ModelError(f"{path}: its input is not float32. Export it with a float32 input.")
    [output], name = outputs, next(iter(inputs))

    def run(values: Any) -> Any:
        run.keeps = loaded  # type: ignore[attr-defined]  # the variables live as long as the model
        return function(**{name: tf.convert_to_tensor(values, tf.float32)})[output]

    return run, [spec.shape.as_list() for spec in inputs.values()]
