"""A frozen graph -> the bytes of a `.tflite`, float or quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import scratch_folder
from poets_edge.errors import ModelError, OutputError
from poets_edge.nets.graphdef import serialize
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.quantize.float_io import put_first_layer_in_float, put_softmax_in_float
from poets_edge.tflite.flatbuffer import read_tree, write_tree
from poets_edge.tflite.interpreter import silent_stderr

Quantization = Literal["float32", "dynamic", "float16", "int8"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

Samples = Callable[[], Iterator[npt.NDArray[np.float32]]]
"""Gives calibration pictures, each float32 [1, height, width, 3], normalised."""


def convert(
    graph: Any,
    source: str,
    input_name: str,
    outputs: str | Sequence[str],
    size: tuple[int, int] | None = None,
    quantization: Quantization = "float32",
    *,
    calibration: Samples | None = None,
    float_io: bool = False,
) -> bytes:
    """Convert the part of a frozen graph between its input and one or more nodes.

    Args:
        graph: a GraphDef.
        source: what to call it in messages.
        size: (height, width) of the input, where the graph leaves it open.
        quantization: "float32" none; "float16" weights in half precision; "dynamic" 8-bit weights, float
            arithmetic at the ends; "int8" weights and activations from the first layer's output to the logits, which
            needs `calibration`.
        float_io: keep float32 input and output with int8; otherwise they are uint8.

    Raises:
        ModelError: the graph cannot be converted.
        RuntimeMissingError: TensorFlow is not installed.
    """
    tf = load_tensorflow("converting a graph")
    # The frozen-graph converter takes 0.1 s where from_keras_model takes 3 s, and unlike
    # from_concrete_functions([f], model) it has not been seen to write a model that answers NaN.
    make = tf.compat.v1.lite.TFLiteConverter.from_frozen_graph
    # The converter takes files only. Its messages must not name ours.
    with scratch_folder() as folder, silent_stderr():
        file = folder / "graph.pb"
        try:
            file.write_bytes(serialize(graph))
        except OSError as error:
            raise OutputError(f"cannot write {folder.parent}: {error.strerror or error}.") from None
        try:
            shapes = {input_name: [1, *size, 3]} if size else None
            names = [outputs] if isinstance(outputs, str) else list(outputs)
            converter = make(str(file), [input_name], names, input_shapes=shapes)
            _set_quantization(tf, converter, quantization, calibration, float_io)
            model = bytes(converter.convert())
            return _with_float_ends(model) if quantization == "int8" else model
        except Exception as error:  # the converter raises ValueError, ConverterError, RuntimeError, TypeError
            reason = " ".join(str(error).replace(str(file), source).split())[:300]
    raise ModelError(f"{source}: cannot be converted to TensorFlow Lite as {quantization} ({reason}).")


def _with_float_ends(model: bytes) -> bytes:
    tree = read_tree(model)
    put_first_layer_in_float(tree)
    put_softmax_in_float(tree)
    return write_tree(tree)


def _set_quantization(
    tf: Any, converter: Any, quantization: Quantization, calibration: Samples | None, float_io: bool
) -> None:
    if quantization == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "dynamic":
        # One scale for each class of the head would need an operator version of 2024, which 32-bit Raspberry Pis
        # (tflite-runtime 2.14) and the TensorFlow Lite on Maven Central (2.16.1) lack. int8 does not need it.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        assert calibration is not None, "int8 needs calibration pictures"
        converter.representative_dataset = lambda: ([sample] for sample in calibration())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if not float_io:
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
