"""Measure the memory that a network needs on a microcontroller, and find an architecture that fits a board."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from poets_edge.exporting.microcontroller.boards import Board
from poets_edge.exporting.microcontroller.tflm import run_micro
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.detector import Detector
from poets_edge.nets.layers import BOTTLENECK, INPUT
from poets_edge.nets.mobilenet_v1 import MOBILENET_V1
from poets_edge.nets.network import Network, Parameters
from poets_edge.quantize.write_full_int8 import write_full_int8_model

_RANGE = (0.0, 6.0)
"""Arbitrary quantization range for every layer of a model that is written only to measure its size and memory."""
_DIRECTIONS = 32
"""Number of PCA directions in the unknown-photo detector of a model that is written only to measure its memory."""


@dataclass(frozen=True, kw_only=True)
class MicroCost:
    """Memory that a network needs on a microcontroller.

    Attributes:
        arena: size of the tensor arena in bytes; see `MicroRun`.
        size: size of the full-int8 model in bytes, without the labels and metadata files that are appended to it.
        gray_arena: size of the tensor arena in bytes if the input is gray.
    """

    arena: int
    size: int
    gray_arena: int

    def fits(self, board: Board, *, gray: bool = False) -> bool:
        """Return whether a board has enough memory and flash for the network.

        Args:
            gray: whether the input of the network is gray instead of RGB.
        """
        return (self.gray_arena if gray else self.arena) <= board.memory and self.size <= board.flash


def uncalibrated(network: Network, *, gray: bool = False) -> bytes:
    """Return an uncalibrated full-int8 model, which is used to measure size and memory. Its scores are meaningless.

    Args:
        gray: whether the input is gray instead of RGB.
    """
    ranges = {layer.name: _RANGE for layer in network.layers}
    bottlenecks = np.ones((1, *network.shapes()[BOTTLENECK]), np.float32)
    return write_full_int8_model(network, ranges, bottlenecks=bottlenecks, input_type="int8", gray=gray)


def micro_cost(network: Network, *, name: str) -> MicroCost:
    """Measure the file size of a network, and the memory for its tensors in TensorFlow Lite Micro.

    Args:
        name: name of the network in messages.

    Raises:
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    content = uncalibrated(network)
    arena, gray_arena = (run_micro(model, [], name=name).arena for model in (content, uncalibrated(network, gray=True)))
    return MicroCost(arena=arena, size=len(content), gray_arena=gray_arena)


def fitting_architecture(board: Board, *, classes: int, gray: bool = False) -> tuple[Architecture, MicroCost] | None:
    """Return the largest MobileNet that fits a board, and the memory that it needs; None if no MobileNet fits.

    The size of a network is measured in multiply-accumulate operations.

    Args:
        classes: number of classes.
        gray: whether the input is gray.

    Raises:
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    for architecture in sorted(MOBILENET_V1.architectures, key=lambda one: -one.mmacs):
        network = blank_network(architecture, classes)
        if _least_arena(network, gray) <= board.memory and _weights(network) <= board.flash:
            cost = micro_cost(network, name=architecture.name)
            if cost.fits(board, gray=gray):
                return (architecture.in_gray() if gray else architecture), cost
    return None


def blank_network(architecture: Architecture, classes: int) -> Network:
    """Return a network of the given architecture whose weights are all zero.

    Like most trained networks, it has a last layer for `classes` classes and an unknown-photo detector.
    """
    bottleneck = architecture.bottleneck_size
    layers = architecture.layers()
    known = Network(architecture.size, layers, {}).shapes()
    parameters = {}
    for layer in layers:
        if layer.has_weights():
            kernel = layer.kernel_shape(known[layer.source][-1])
            parameters[layer.name] = Parameters(
                np.zeros(kernel, np.float32), np.zeros(known[layer.name][-1], np.float32)
            )
    network = Network(architecture.size, layers, parameters)
    headed = network.with_head(
        np.zeros((bottleneck, classes), np.float32), np.zeros(classes, np.float32), "final_result"
    )
    return replace(headed, detector=_blank_detector(bottleneck, classes))


def _blank_detector(bottleneck: int, classes: int) -> Detector:
    """Return an unknown-photo detector of typical size whose weights are all zero."""
    directions = np.zeros(_DIRECTIONS, np.float32)
    return Detector(
        projection=np.zeros((bottleneck, _DIRECTIONS), np.float32),
        offsets=directions,
        quadratic=directions,
        linear=np.zeros((_DIRECTIONS, classes), np.float32),
        biases=np.zeros(classes, np.float32),
        background=directions,
        background_bias=np.zeros(1, np.float32),
    )


def _least_arena(network: Network, gray: bool) -> int:
    """Return a lower bound for the arena size in bytes: the maximum over all layers of input size plus output size."""
    known = network.shapes()
    if gray:
        known[INPUT] = (*known[INPUT][:2], 1)
    return max(math.prod(known[layer.name]) + math.prod(known[layer.sources[0]]) for layer in network.layers)


def _weights(network: Network) -> int:
    return sum(parameters.kernel.size for parameters in network.parameters.values())
