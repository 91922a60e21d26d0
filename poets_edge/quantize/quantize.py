"""Convert networks to `.tflite` files in any quantization, without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.detector import project
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.network import Network
from poets_edge.nets.read_graph import known_network
from poets_edge.photos.image import Pixels
from poets_edge.quantize.activation_statistics import Int8Calibration, calibrate
from poets_edge.quantize.convert import Quantization
from poets_edge.quantize.int8_features import keep_features, keep_output
from poets_edge.quantize.write_full_int8 import InputType, write_full_int8_model
from poets_edge.quantize.write_int8 import build_int8_model, can_be_int8, write_int8_model
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.flatbuffer import pack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session

_SHIFT_PHOTOS = 20
"""Approximate number of calibration photos for estimating the mean error of int8 bottlenecks. With 100 photos, int8
and float files do not agree more often on which photos are unknown."""


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
    return quantize_int8(network, statistics, calibration, float_io=float_io)


def quantize_int8(
    network: Network, statistics: Int8Calibration, calibration: Sequence[Pixels], *, float_io: bool = False
) -> bytes:
    """Convert a network to the bytes of an int8 `.tflite`; see `quantize`.

    Args:
        statistics: quantization ranges and rounded weights, determined from the activations for `calibration`.
    """
    rounded = _with_int8_offsets(_with_rounded_kernels(network, statistics), statistics, calibration)
    shift = _bottleneck_shift(rounded, statistics, calibration)
    return write_int8_model(rounded, statistics.ranges, float_io=float_io, bottleneck_shift=shift)


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
        inner=statistics.inner,
        input_type=input_type,
        gray=gray,
    )


def _with_rounded_kernels(network: Network, statistics: Int8Calibration) -> Network:
    parameters = {
        name: replace(weights, kernel=statistics.kernels.get(name, weights.kernel))
        for name, weights in network.parameters.items()
    }
    return replace(network, parameters=parameters)


def _with_int8_offsets(network: Network, statistics: Int8Calibration, calibration: Sequence[Pixels]) -> Network:
    """Return a copy of a network whose unknown-photo detector compensates for the rounding error of its inner layer.

    The inner layer is a layer in the middle of a fine-tuned backbone, whose averaged output the detector projects. In
    an int8 model, this output is rounded, which changes the mean of the projections over the calibration photos. The
    change is subtracted from the offsets of the detector. A network whose detector has no inner layer is returned
    unchanged.

    Args:
        network: network with rounded kernels.
        calibration: calibration photos, of which about _SHIFT_PHOTOS, at regular intervals, are used.
    """
    detector = network.detector
    if detector is None or detector.inner is None or statistics.inner is None:
        return network
    inner = detector.inner
    rows, outputs = _int8_outputs(network, statistics, calibration, lambda model: keep_output(model, inner.layer))
    found = np.stack([output.mean(axis=(0, 1)) for output in outputs])
    exact, rounded = (project(vectors, inner.weights) for vectors in (statistics.inner[rows], found))
    offsets = detector.offsets.copy()
    offsets[-exact.shape[1] :] += (exact - rounded).mean(axis=0)
    return replace(network, detector=replace(detector, offsets=offsets))


def _bottleneck_shift(
    network: Network, statistics: Int8Calibration, calibration: Sequence[Pixels]
) -> npt.NDArray[np.float32] | None:
    """Return how much larger bottlenecks are in float than in int8, averaged over photos, float32 [bottleneck_size].

    The detector in an int8 model adds this mean difference to the bottleneck. Return None for a network without a
    detector.

    Args:
        network: network with rounded kernels.
        calibration: calibration photos, of which about _SHIFT_PHOTOS, at regular intervals, are used.
    """
    if network.detector is None or statistics.bottlenecks is None:
        return None
    rows, outputs = _int8_outputs(network, statistics, calibration, keep_features)
    return np.asarray((statistics.bottlenecks[rows] - np.stack(outputs)).mean(axis=0), np.float32)


def _int8_outputs(
    network: Network, statistics: Int8Calibration, calibration: Sequence[Pixels], keep: Callable[[Any], None]
) -> tuple[range, list[npt.NDArray[np.float32]]]:
    """Return the outputs of one layer of the int8 network for a sample of the calibration photos.

    Args:
        network: network with rounded kernels; its unknown-photo detector is left out.
        calibration: calibration photos, of which about _SHIFT_PHOTOS, at regular intervals, are used.
        keep: function that makes the layer's output the only output of a `ModelT`, which it changes in place.

    Returns:
        Row numbers of the photos in the sample, and the dequantized output for each, without the batch dimension.
    """
    model = build_int8_model(replace(network, detector=None), statistics.ranges)
    keep(model)
    session = Session(ModelFile(Path("the int8 network"), pack_model(model)))
    rows = range(0, len(calibration), max(1, len(calibration) // _SHIFT_PHOTOS))
    [output] = session.outputs
    return rows, [output.dequantize(session.run(calibration[row][None]))[0] for row in rows]
