"""Memory that a network needs on a microcontroller, and the choice of an architecture that fits a board."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from poets_edge.exporting.microcontroller.tflm import run_micro
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.mobilenet_v1 import MOBILENET_V1
from poets_edge.nets.network import Network, Parameters
from poets_edge.quantize.write_full_int8 import write_full_int8_model

_RANGE = (0.0, 6.0)
"""Quantization range of every layer in a model that is written only to measure its size and memory, which do not depend
on ranges."""


@dataclass(frozen=True, kw_only=True)
class MicroCost:
    """Cost of a network on a microcontroller.

    Attributes:
        arena: size of the tensor arena in bytes; see `MicroRun`.
        size: size of the full-int8 file in bytes, without appended files.
    """

    arena: int
    size: int


def uncalibrated(network: Network) -> bytes:
    """Return a full-int8 model for measuring size and memory only: it is not calibrated, so its scores are wrong."""
    ranges = {layer.name: _RANGE for layer in network.layers}
    return write_full_int8_model(replace(network, detector=None), ranges, input_type="int8")


def micro_cost(network: Network, *, name: str) -> MicroCost:
    """Measure the file size and the tensor memory of a network in TensorFlow Lite Micro.

    Args:
        name: name of the network in messages.

    Raises:
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    content = uncalibrated(network)
    return MicroCost(arena=run_micro(content, [], name=name).arena, size=len(content))


def fitting_architecture(memory: int, flash: int, *, classes: int) -> tuple[Architecture, MicroCost] | None:
    """Return the MobileNet with the most multiply-accumulates that fits, and its cost; None if none fits.

    Args:
        memory: bytes of memory available for the tensor arena.
        flash: bytes of flash memory available for the model.

    Raises:
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    for architecture in sorted(MOBILENET_V1.architectures, key=lambda one: -one.mmacs):
        network = blank_network(architecture, classes)
        if _least_arena(network) <= memory and _weights(network) <= flash:
            cost = micro_cost(network, name=architecture.name)
            if cost.arena <= memory and cost.size <= flash:
                return architecture, cost
    return None


def blank_network(architecture: Architecture, classes: int) -> Network:
    """Return a network with the given architecture, a head for `classes` classes, and weights that are all zero."""
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
    return network.with_head(np.zeros((bottleneck, classes), np.float32), np.zeros(classes, np.float32), "final_result")


def _least_arena(network: Network) -> int:
    """Return a lower bound of the arena size in bytes: the largest sum of the input and output sizes of a layer."""
    known = network.shapes()
    return max(math.prod(known[layer.name]) + math.prod(known[layer.sources[0]]) for layer in network.layers)


def _weights(network: Network) -> int:
    return sum(parameters.kernel.size for parameters in network.parameters.values())
