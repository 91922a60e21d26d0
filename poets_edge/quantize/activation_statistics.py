"""Collect statistics of a network's activations over calibration photos, for int8: value ranges and Hessians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import run_parallel
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.nets.detector import Detector
from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import Pixels, normalizer
from poets_edge.photos.image_cache import ImageCache
from poets_edge.photos.normalization import BACKBONE
from poets_edge.quantize.gptq import GptqLayer, Hessian, Positions
from poets_edge.quantize.write_int8 import Range
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session

Activations = npt.NDArray[np.float32]

_ROUNDING_PHOTOS = 50
"""Maximum number of photos from which the Hessians are computed. Each photo contributes up to 128 samples per layer, so
more photos hardly change the result."""
_PHOTOS_PER_TASK = 5
"""Number of photos that a worker processes in one task. It affects rounding errors, because the samples from all photos
in a task are multiplied in one matrix product."""
_TASKS_AHEAD = 2
"""Maximum number of tasks per worker that are running or waiting for their results to be added to the Hessians. The
result of a task takes up to 15 MB of memory for a MobileNet."""
_MIN_CONTRAST = 8
"""An image is considered blank if its largest and smallest pixel values (0 to 255) differ by less than this."""


@dataclass(frozen=True)
class Int8Calibration:
    """Quantization ranges and rounded weights for converting a network to int8, determined with calibration images.

    Attributes:
        ranges: smallest and largest output of each layer except the softmax, by layer name.
        kernels: convolution kernels rounded to the 8-bit grid, float32, by layer name.
        corrections: values to add to the biases to compensate for the mean error of the rounded kernels, float32
            [outputs], by layer name.
        bottlenecks: bottleneck of each image, float32 [images, bottleneck_size]; None for a network without an
            unknown-photo detector.
        inner: for each image, the output of the inner layer that the detector reads (a layer in the middle of a
            fine-tuned backbone), averaged over height and width, float32 [images, channels]; None if the detector reads
            only bottlenecks.
    """

    ranges: Mapping[str, Range]
    kernels: Mapping[str, npt.NDArray[np.float32]]
    corrections: Mapping[str, npt.NDArray[np.float32]]
    bottlenecks: npt.NDArray[np.float32] | None = None
    inner: npt.NDArray[np.float32] | None = None


def calibration_pixels(
    photos: Sequence[Photo], size: tuple[int, int], images: ImageCache | None = None
) -> list[Pixels]:
    """Return readable photos, resized to the input size of a model, each uint8 [height, width, 3].

    Args:
        size: (height, width) of the model's input.
        images: cache of decoded photos; by default, decoded photos are not cached.

    Raises:
        DatasetError: no photo can be read, or all readable photos are blank.
    """

    source = images or ImageCache()

    def read(photo: Photo, _: None) -> Pixels | None:
        try:
            return source.at(photo, [size])[size]
        except PhotoError:  # reported by the training run; the other photos are enough
            return None

    pixels = [found for _, found in run_parallel(photos, lambda: None, read) if found is not None]
    if pixels and all(np.ptp(picture) < _MIN_CONTRAST for picture in pixels):
        raise DatasetError(
            "int8 needs training photos that show something to calibrate with, and these are all of one color. Give"
            " others as `image_dir`."
        )
    if not pixels:
        raise DatasetError("int8 needs training photos to calibrate with, and none can be read. Give `image_dir`.")
    return pixels


def calibrate(network: Network, pictures: Sequence[Pixels], *, workers: int | None = None) -> Int8Calibration:
    """Run a network on images, and determine its quantization ranges and rounded weights.

    The result does not depend on the number of workers, because Hessians are summed in batches of fixed size, in the
    order of the images. It depends on the number of BLAS threads in numpy, which the command line sets to one.

    Args:
        pictures: images, resized to the network's input size, uint8 [height, width, 3].
        workers: number of threads; by default one per core.
    """
    ranged = network.layers[:-1]  # the softmax stays in float
    names = [layer.name for layer in ranged]
    hessians, shapes = _hessians(network), network.shapes()
    sources = {layer.name: layer.source for layer in ranged if layer.name in hessians}
    plain = replace(network, detector=None)
    model = ModelFile(Path("the network to be calibrated"), write_float_model(plain, also=names))
    rng, normalize = np.random.default_rng(0), normalizer(BACKBONE)
    # Drawn before the work is distributed, so that the order of the draws is fixed.
    positions: list[dict[str, Positions]] = [
        {name: hessian.positions(shapes[sources[name]], rng) for name, hessian in hessians.items()}
        for _ in pictures[:_ROUNDING_PHOTOS]
    ]

    def observe(
        task: range, session: Session
    ) -> tuple[list[list[Range]], list[list[Activations]], dict[str, Activations]]:
        """Run the network on the images with the indices in `task`.

        Returns:
            For each image, the output range of each layer except the softmax; for each image, the inputs of the
            unknown-photo detector; and, by layer name, the terms to add to `Hessian.moments`.
        """
        ranges: list[list[Range]] = []
        seen_by_detector: list[list[Activations]] = []
        samples: dict[str, list[Activations]] = {name: [] for name in hessians}
        batch = np.empty((1, *pictures[0].shape), np.float32)
        for index in task:
            normalize(pictures[index], batch[0])
            # Views of millions of values, deleted before the next run.
            outputs = dict(zip([network.output, *names], session.run_all(batch), strict=True))
            outputs[INPUT] = batch
            ranges.append([_range(layer, outputs[layer.name]) for layer in ranged])
            seen_by_detector.append(_detector_inputs(network.detector, outputs))
            for name, drawn in positions[index].items() if index < len(positions) else ():
                samples[name].append(hessians[name].samples(outputs[sources[name]][0], drawn))
            del outputs
        return (
            ranges,
            seen_by_detector,
            {name: hessians[name].products(arrays) for name, arrays in samples.items() if arrays},
        )

    seen: dict[str, Range] = dict.fromkeys(names, (0.0, 0.0))
    indices = range(len(pictures))
    tasks = [indices[start : start + _PHOTOS_PER_TASK] for start in indices[::_PHOTOS_PER_TASK]]
    observed = run_parallel(tasks, partial(Session, model), observe, workers=workers, ahead=_TASKS_AHEAD)
    inputs: list[list[Activations]] = []
    for _, (ranges, vectors, products) in observed:
        inputs += vectors
        for of_picture in ranges:
            seen = {
                name: (min(low, smallest), max(high, largest))
                for (name, (low, high)), (smallest, largest) in zip(seen.items(), of_picture, strict=True)
            }
        for name, product in products.items():
            hessians[name].moments += product
    kernels = dict(
        run_parallel(hessians, lambda: None, lambda name, _: hessians[name].round_weights(), workers=workers)
    )
    corrections = {name: hessians[name].bias_correction(kernel) for name, kernel in kernels.items()}
    return Int8Calibration(seen, kernels, corrections, *(np.stack(each) for each in zip(*inputs, strict=True)))


def _detector_inputs(detector: Detector | None, outputs: Mapping[str, Activations]) -> list[Activations]:
    """Return copies of the vectors that the unknown-photo detector reads, for one image.

    They are the bottleneck and, if the detector uses an inner layer, its output averaged over height and width. Without
    a detector, the list is empty.

    Args:
        outputs: outputs of all layers for one image, by layer name.
    """
    if detector is None:
        return []
    bottleneck = outputs[BOTTLENECK][0].copy()
    return [bottleneck] if detector.inner is None else [bottleneck, outputs[detector.inner.layer][0].mean(axis=(0, 1))]


def _range(layer: Layer, outputs: Activations) -> Range:
    """Return the smallest and the largest output of a layer; the smallest is 0 if the layer ends with a ReLU."""
    return 0.0 if layer.activation != "none" else float(outputs.min()), float(outputs.max())


def _hessians(network: Network) -> dict[str, Hessian]:
    """Return an empty Hessian for each convolution whose weights GPTQ can round, by layer name."""
    hessians = {}
    for layer in network.layers:
        if layer.kind in ("convolution", "depthwise"):
            kernel, strides = network.parameters[layer.name].kernel, (layer.stride, layer.stride)
            convolution = GptqLayer(kernel, layer.kind == "depthwise", strides, layer.padding)
            if convolution.can_be_rounded():
                hessians[layer.name] = Hessian(convolution)
    return hessians
