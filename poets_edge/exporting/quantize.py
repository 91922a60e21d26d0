"""A network -> the bytes of a `.tflite` in any quantization, written here, without TensorFlow.

For int8 the network's float model runs over the calibration photos once: every layer's range is taken from all of
them, the Hessians that round the weights (`gptq`) from the first ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.edge.interpreter import open_model
from poets_edge.edge.model_file import ModelFile
from poets_edge.edge.parallel import cores
from poets_edge.exporting.calibration import ROUNDING_PHOTOS
from poets_edge.exporting.gptq import Convolution, Hessian
from poets_edge.graphs.convert import Quantization
from poets_edge.graphs.frozen import FrozenGraph
from poets_edge.graphs.network import Network, Parameters
from poets_edge.graphs.read_graph import known_network
from poets_edge.graphs.write_int8 import Range, can_be_int8, write_int8_model
from poets_edge.graphs.write_model import write_float_model
from poets_edge.layers import INPUT

Batch = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """The findings of a run over the calibration photos.

    Attributes:
        ranges: the smallest and largest value that each layer answered.
        kernels: of the convolutions, rounded to the grid of 8 bits.
    """

    ranges: Mapping[str, Range]
    kernels: Mapping[str, npt.NDArray[np.float32]]


def network_of(frozen: FrozenGraph) -> Network | None:
    """The network in a frozen graph; None where it holds something that only TensorFlow's converter can write."""
    network = known_network(frozen.graph, frozen.input_name, frozen.output_name, frozen.size)
    return network if network and can_be_int8(network) else None


def quantized(
    network: Network, quantization: Quantization, calibration: Iterable[Batch] = (), *, float_io: bool = False
) -> bytes:
    """Write a network.

    Args:
        calibration: for int8: pictures, each float32 [1, height, width, 3], normalised.
        float_io: keep float32 input and output with int8; otherwise they are uint8.
    """
    if quantization != "int8":
        return write_float_model(network, quantization)
    found = calibrate(network, calibration)
    parameters = {
        name: Parameters(found.kernels.get(name, numbers.kernel), numbers.bias)
        for name, numbers in network.parameters.items()
    }
    return write_int8_model(replace(network, parameters=parameters), found.ranges, float_io=float_io)


def calibrate(network: Network, pictures: Iterable[Batch]) -> Calibration:
    """Run a network's float model over pictures."""
    # The softmax stays in float, and every layer before it needs a range.
    names = [layer.name for layer in network.layers[:-1]]
    hessians = _hessians(network)
    ranges: dict[str, Range] = dict.fromkeys(names, (0.0, 0.0))
    rng = np.random.default_rng(0)
    model = ModelFile(Path("the network to be calibrated"), write_float_model(network, also=names))
    interpreter: Any = open_model(model, threads=cores())
    start = interpreter.get_input_details()[0]["index"]
    places = [details["index"] for details in interpreter.get_output_details()[1:]]
    for count, picture in enumerate(pictures):
        interpreter.set_tensor(start, picture)
        interpreter.invoke()
        answers = {name: interpreter.get_tensor(index) for name, index in zip(names, places, strict=True)}
        for name, values in answers.items():
            smallest, largest = ranges[name]
            ranges[name] = min(smallest, float(values.min())), max(largest, float(values.max()))
        if count < ROUNDING_PHOTOS:
            for layer, hessian in hessians.values():
                hessian.add(picture[0] if layer.source == INPUT else answers[layer.source][0], rng)
    return Calibration(ranges, {name: hessian.rounded() for name, (_, hessian) in hessians.items()})


def _hessians(network: Network) -> dict[str, tuple[Convolution, Hessian]]:
    found = {}
    for layer in network.layers:
        if layer.kind in ("convolution", "depthwise"):
            kernel, strides = network.parameters[layer.name].kernel, (layer.stride, layer.stride)
            convolution = Convolution(layer.source, layer.kind == "depthwise", kernel, strides, layer.padding)
            if convolution.can_be_rounded():
                found[layer.name] = (convolution, Hessian(convolution))
    return found
