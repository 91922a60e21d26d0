"""Convert frozen graphs to `.tflite` with TensorFlow's converter.

Networks that consist of layers from `poets_edge.nets.layers` do not need TensorFlow; `poets_edge.quantize.quantize`
converts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from poets_edge.core.files import scratch_folder
from poets_edge.errors import ModelError, OutputError
from poets_edge.nets.graphdef import serialize
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.photos.image import Pixels, normalizer
from poets_edge.photos.normalization import BACKBONE
from poets_edge.quantize.write_full_int8 import InputType
from poets_edge.tflite.interpreter import silent_stderr

Quantization = Literal["float32", "dynamic", "float16", "int8", "full-int8"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
CPU_QUANTIZATIONS: tuple[Quantization, ...] = ("float32", "dynamic", "float16", "int8")
"""Quantizations for CPUs; "full-int8", for microcontrollers and NPUs, is not included."""
CALIBRATED: tuple[Quantization, ...] = ("int8", "full-int8")
"""Quantizations that require calibration photos."""


def convert(
    graph: Any,
    source: str,
    input_name: str,
    output_name: str,
    size: tuple[int, int] | None = None,
    quantization: Quantization = "float32",
    *,
    calibration: Sequence[Pixels] = (),
    float_io: bool = False,
    input_type: InputType = "uint8",
) -> bytes:
    """Convert the part of a frozen graph between its input and its output with TensorFlow's converter.

    Args:
        graph: a GraphDef.
        source: name of the graph in error messages.
        size: (height, width) of the input if the graph does not specify it.
        quantization: "float32"; "float16", weights in half precision; "dynamic", 8-bit weights and float input and
            output; "int8" and "full-int8", 8-bit weights and activations, quantized by the converter.
        calibration: images for calibrating the ranges of 8-bit activations, each uint8 [height, width, 3].
        float_io: whether "int8" has float32 input and output instead of uint8.
        input_type: type of the input and the output of "full-int8".

    Returns:
        The bytes of a `.tflite` without metadata.

    Raises:
        ModelError: the graph cannot be converted.
        RuntimeMissingError: TensorFlow is not installed.
        OutputError: a temporary file cannot be written.
    """
    tf = load_tensorflow("converting a graph")
    # The frozen-graph converter takes 0.1 s where from_keras_model takes 3 s, and unlike
    # from_concrete_functions([f], model) it has not been observed to write a model that returns NaN.
    make = tf.compat.v1.lite.TFLiteConverter.from_frozen_graph
    # The converter accepts only files; its messages must not name the temporary one.
    with scratch_folder() as folder, silent_stderr():
        file = folder / "graph.pb"
        try:
            file.write_bytes(serialize(graph))
        except OSError as error:
            raise OutputError(f"cannot write {folder.parent}: {error.strerror or error}.") from None
        try:
            shapes = {input_name: [1, *size, 3]} if size else None
            converter = make(str(file), [input_name], [output_name], input_shapes=shapes)
            _set_quantization(tf, converter, quantization, calibration)
            if quantization in CALIBRATED and not (float_io and quantization == "int8"):
                ends = tf.int8 if (quantization, input_type) == ("full-int8", "int8") else tf.uint8
                converter.inference_input_type = converter.inference_output_type = ends
            return bytes(converter.convert())
        except Exception as error:  # the converter raises ValueError, ConverterError, RuntimeError, TypeError
            reason = " ".join(str(error).replace(str(file), source).split())[:300]
    raise ModelError(f"{source}: cannot be converted to TensorFlow Lite as {quantization} ({reason}).")


def _set_quantization(tf: Any, converter: Any, quantization: Quantization, calibration: Sequence[Pixels]) -> None:
    if quantization == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "dynamic":
        # One scale for each class of the head would need an operator version of 2024, which 32-bit Raspberry Pis
        # (tflite-runtime 2.14) and the TensorFlow Lite on Maven Central (2.16.1) lack. int8 does not need it.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization in CALIBRATED:
        converter.representative_dataset = lambda: ([sample] for sample in _normalized(calibration))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]


def _normalized(pixels: Sequence[Pixels]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield each image as a batch of one, with values from -1 to 1: float32 [1, height, width, 3]."""
    normalize = normalizer(BACKBONE)
    for picture in pixels:
        batch = np.empty((1, *picture.shape), np.float32)
        normalize(picture, batch[0])
        yield batch
