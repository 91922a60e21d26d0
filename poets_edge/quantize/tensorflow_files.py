"""Open Keras files and SavedModels in TensorFlow, without running Python code that they contain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from poets_edge.core.json_checks import parse_json
from poets_edge.errors import ModelError
from poets_edge.tflite.formats import HDF5, model_format


def load_keras(tf: Any, path: Path) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return a function that runs a Keras model, and the shapes of its inputs.

    Raises:
        ModelError: the file contains weights without a model, or a layer with Python code.
    """
    if model_format(path) is HDF5:
        _check_no_code(path)
    model = tf.keras.models.load_model(str(path), compile=False)  # .keras: safe mode, without code in the file
    return lambda values: model(values, training=False), [tensor.shape for tensor in model.inputs]


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


def load_saved(tf: Any, path: Path) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return a function that runs the serving signature of a SavedModel, and the shapes of its inputs.

    Raises:
        ModelError: the SavedModel has no such signature, several outputs, or an input that is not float32.
    """
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

    return run, [spec.shape.as_list() for spec in inputs.values()]
