"""The memory that an architecture needs on a microcontroller, and the best architecture for a given memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poets_edge.exporting.microcontroller.tflm import run_micro
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.mobilenet_v1 import MOBILENET_V1
from poets_edge.nets.network import Network, Parameters
from poets_edge.quantize.write_full_int8 import write_full_int8_model

_RANGE = (0.0, 6.0)


@dataclass(frozen=True, kw_only=True)
class MicroCost:
    """Cost of an architecture on a microcontroller.

    Attributes:
        arena: bytes of memory for the tensors; see `MicroRun`.
        size: bytes of the full-int8 file, without appended files.
    """

    architecture: Architecture
    arena: int
    size: int


def micro_cost(architecture: Architecture, *, classes: int) -> MicroCost:
    """Measure the cost of an architecture in TensorFlow Lite Micro. It does not depend on the weights, which are zero.

    Raises:
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    content = write_full_int8_model(*_blank(architecture, classes), input_type="int8")
    return MicroCost(
        architecture=architecture, arena=run_micro(content, [], name=architecture.name).arena, size=len(content)
    )


def fitting_architecture(memory: int, flash: int, *, classes: int) -> MicroCost | None:
    """Return the MobileNet with the most multiply-accumulates that fits a board; None if none does.

    Args:
        memory: bytes of memory that the tensors may take.
        flash: bytes of flash memory that the model may take.

    Raises:
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    for architecture in sorted(MOBILENET_V1.architectures, key=lambda one: -one.mmacs):
        network, _ = _blank(architecture, classes)
        if _least_arena(network) <= memory and _weights(network) <= flash:
            cost = micro_cost(architecture, classes=classes)
            if cost.arena <= memory and cost.size <= flash:
                return cost
    return None


def _blank(architecture: Architecture, classes: int) -> tuple[Network, dict[str, tuple[float, float]]]:
    """Return a network with weights of zero, and a range for each layer."""
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
    network = Network(architecture.size, layers, parameters).with_head(
        np.zeros((bottleneck, classes), np.float32), np.zeros(classes, np.float32), "final_result"
    )
    return network, {layer.name: _RANGE for layer in network.layers}


def _least_arena(network: Network) -> int:
    """Return a lower bound of the arena: the largest sum of a layer's output and its input."""
    known = network.shapes()
    return max(math.prod(known[layer.name]) + math.prod(known[layer.sources[0]]) for layer in network.layers)


def _weights(network: Network) -> int:
    return sum(parameters.kernel.size for parameters in network.parameters.values())
