"""A network -> the bytes of a `.tflite` in any quantization, written here, without TensorFlow.

For int8 the network's float model runs over the calibration photos once: every layer's range is taken from all of
them, the Hessians that round the weights (`gptq`) from the first ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import run_parallel
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.nets.read_graph import known_network
from poets_edge.photos.image import Pixels, normaliser
from poets_edge.photos.normalization import BACKBONE
from poets_edge.quantize.activation_statistics import ROUNDING_PHOTOS
from poets_edge.quantize.convert import Quantization
from poets_edge.quantize.gptq import Convolution, Hessian, Places
from poets_edge.quantize.write_int8 import Range, can_be_int8, write_int8_model
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session

Batch = npt.NDArray[np.float32]

_TOGETHER = 5
"""Photos whose samples a worker multiplies together. Their sums depend on it, in the last bits."""
_AHEAD = 2
"""Groups of so many photos a worker under way: what each adds to the Hessians of a MobileNet takes up to 15 MB."""


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
    network: Network, quantization: Quantization, calibration: Sequence[Pixels] = (), *, float_io: bool = False
) -> bytes:
    """Write a network.

    Args:
        calibration: for int8: pictures at the network's size, each uint8 [height, width, 3].
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


def calibrate(network: Network, pictures: Sequence[Pixels], *, workers: int | None = None) -> Calibration:
    """Run a network's float model over pictures, on all cores.

    The result is the same to the bit for any number of workers: the Hessians are summed over a few pictures at a time,
    in their order. (Threads of numpy's BLAS round a few weights otherwise; the command line allows it one.)

    Args:
        workers: threads; by default one a core.
    """
    # The softmax stays in float, and every layer before it needs a range.
    ranged = network.layers[:-1]
    names = [layer.name for layer in ranged]
    hessians, shapes = _hessians(network), network.shapes()
    model = ModelFile(Path("the network to be calibrated"), write_float_model(network, also=names))
    rng, normalise = np.random.default_rng(0), normaliser(BACKBONE)
    # Drawn beforehand, in one order.
    places: list[dict[str, Places]] = [
        {name: hessian.places(shapes[layer.source], rng) for name, (layer, hessian) in hessians.items()}
        for _ in pictures[:ROUNDING_PHOTOS]
    ]

    def observe(some: range, session: Session) -> tuple[list[list[Range]], dict[str, Batch]]:
        """The range of every layer in each picture, and what the pictures add to the Hessians."""
        ranges: list[list[Range]] = []
        taken: dict[str, list[Batch]] = {name: [] for name in hessians}
        batch = np.empty((1, *pictures[0].shape), np.float32)
        for number in some:
            normalise(pictures[number], batch[0])
            # Not copied, for they are millions of values, and deleted before the next run.
            answers = dict(zip([network.output, *names], session.run_all(batch), strict=True))
            answers[INPUT] = batch
            ranges.append([_range(layer, answers[layer.name]) for layer in ranged])
            for name, at in places[number].items() if number < len(places) else ():
                layer, hessian = hessians[name]
                taken[name].append(hessian.taken(answers[layer.source][0], at))
            del answers
        return ranges, {name: hessians[name][1].products(shares) for name, shares in taken.items() if shares}

    seen: dict[str, Range] = dict.fromkeys(names, (0.0, 0.0))
    groups = [range(len(pictures))[start : start + _TOGETHER] for start in range(0, len(pictures), _TOGETHER)]
    found = run_parallel(groups, partial(Session, model), observe, workers=workers, ahead=_AHEAD)
    for _, (ranges, products) in found:
        for of_picture in ranges:
            seen = {
                name: (min(low, smallest), max(high, largest))
                for (name, (low, high)), (smallest, largest) in zip(seen.items(), of_picture, strict=True)
            }
        for name, product in products.items():
            hessians[name][1].sums += product
    kernels = run_parallel(hessians, lambda: None, lambda name, _: hessians[name][1].rounded(), workers=workers)
    return Calibration(seen, dict(kernels))


def _range(layer: Layer, answers: Batch) -> Range:
    """The smallest and largest of a layer's answers. After an activation none is below 0, which every range holds."""
    return 0.0 if layer.activation != "none" else float(answers.min()), float(answers.max())


def _hessians(network: Network) -> dict[str, tuple[Convolution, Hessian]]:
    found = {}
    for layer in network.layers:
        if layer.kind in ("convolution", "depthwise"):
            kernel, strides = network.parameters[layer.name].kernel, (layer.stride, layer.stride)
            convolution = Convolution(layer.source, layer.kind == "depthwise", kernel, strides, layer.padding)
            if convolution.can_be_rounded():
                found[layer.name] = (convolution, Hessian(convolution))
    return found
