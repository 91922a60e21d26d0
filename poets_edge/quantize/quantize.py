"""Convert networks to `.tflite` files in any quantization, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.network import Network
from poets_edge.nets.read_graph import known_network
from poets_edge.photos.image import Pixels
from poets_edge.quantize.activation_statistics import Int8Calibration, calibrate
from poets_edge.quantize.convert import Quantization
from poets_edge.quantize.write_full_int8 import InputType, write_full_int8_model
from poets_edge.quantize.write_int8 import can_be_int8, write_int8_model
from poets_edge.quantize.write_model import write_float_model


def network_of(frozen: FrozenGraph) -> Network | None:
    """Return the network that a frozen graph contains; None if only TensorFlow's converter can convert the graph."""
    network = known_network(frozen.graph, frozen.input_name, frozen.output_name, frozen.size)
    return network if network and can_be_int8(network) else None


def quantize(
    network: Network,
    quantization: Quantization,
    calibration: Sequence[Pixels] = (),
    *,
    float_io: bool = False,
    input_type: InputType = "uint8",
    gray: bool = False,
) -> bytes:
    """Convert a network to the bytes of a `.tflite` without metadata.

    Args:
        calibration: images for calibrating int8 and full-int8, resized to the network's input size, each uint8
            [height, width, 3].
        float_io: whether int8 has float32 input and output instead of uint8.
        input_type: type of the input and the output of full-int8.
        gray: whether full-int8 has gray input instead of RGB.
    """
    if quantization != "int8" and quantization != "full-int8":
        return write_float_model(network, quantization)
    statistics = calibrate(network, calibration)
    if quantization == "full-int8":
        return quantize_fully(network, statistics, input_type=input_type, gray=gray)
    return quantize_int8(network, statistics, float_io=float_io)


def quantize_int8(network: Network, statistics: Int8Calibration, *, float_io: bool = False) -> bytes:
    """Convert a network to the bytes of an int8 `.tflite`, given the statistics of its activations; see `quantize`."""
    return write_int8_model(_with_rounded_kernels(network, statistics), statistics.ranges, float_io=float_io)


def quantize_fully(
    network: Network, statistics: Int8Calibration, *, input_type: InputType = "uint8", gray: bool = False
) -> bytes:
    """Convert a network to the bytes of a full-int8 `.tflite`, given the statistics of its activations; see `quantize`.

    The biases are corrected for the mean rounding error of the weights. This is not done for int8 files, whose scores
    must not change between versions of poets_edge.
    """
    rounded = _with_rounded_kernels(network, statistics)
    parameters = {
        name: replace(weights, bias=weights.bias + statistics.corrections.get(name, 0))
        for name, weights in rounded.parameters.items()
    }
    return write_full_int8_model(
        replace(rounded, parameters=parameters),
        statistics.ranges,
        bottlenecks=statistics.bottlenecks,
        input_type=input_type,
        gray=gray,
    )


def _with_rounded_kernels(network: Network, statistics: Int8Calibration) -> Network:
    parameters = {
        name: replace(weights, kernel=statistics.kernels.get(name, weights.kernel))
        for name, weights in network.parameters.items()
    }
    return replace(network, parameters=parameters)
