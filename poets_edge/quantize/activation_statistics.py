"""Showing a graph the calibration photos: for the ranges of int8, and for rounding its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import cores, run_parallel
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import Pixels, normaliser
from poets_edge.photos.image_cache import Pictures
from poets_edge.photos.normalization import BACKBONE
from poets_edge.quantize.convert import convert
from poets_edge.quantize.gptq import round_weights, sources
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session

Batch = npt.NDArray[np.float32]

# More than these hardly change how weights are rounded: each photo gives over a hundred samples a layer.
ROUNDING_PHOTOS = 50
_LEAST_CONTRAST = 8
"""Between the darkest and the brightest value of a picture that shows something, of 255."""


def calibration_pixels(
    photos: Sequence[Photo], size: tuple[int, int], pictures: Pictures | None = None
) -> list[Pixels]:
    """The photos at a model's size, uint8 [height, width, 3]; unreadable ones are left out.

    Args:
        pictures: where the pixels come from; by default they are decoded, and not kept.

    Raises:
        DatasetError: none can be read, or none shows anything.
    """

    source = pictures or Pictures()

    def read(photo: Photo, _: None) -> Pixels | None:
        try:
            return source.at(photo, [size])[size]
        except PhotoError:  # reported when it was trained on; the others serve as well
            return None

    pixels = [found for _, found in run_parallel(photos, lambda: None, read) if found is not None]
    if pixels and all(np.ptp(picture) < _LEAST_CONTRAST for picture in pixels):
        raise DatasetError(
            "int8 needs training photos that show something to calibrate with, and these are all of one color. Give"
            " others as `image_dir`."
        )
    if not pixels:
        raise DatasetError("int8 needs training photos to calibrate with, and none can be read. Give `image_dir`.")
    return pixels


def batches(pixels: Sequence[Pixels]) -> Iterator[Batch]:
    """Each picture as a float32 [1, height, width, 3], normalised for a backbone."""
    normalise = normaliser(BACKBONE)
    for picture in pixels:
        batch = np.empty((1, *picture.shape), np.float32)
        normalise(picture, batch[0])
        yield batch


def rounded(frozen: FrozenGraph, calibration: Iterator[Batch]) -> Any:
    """The GraphDef with its weights rounded for int8."""
    activations = _activations(frozen, sources(frozen.graph), islice(calibration, ROUNDING_PHOTOS))
    return round_weights(frozen.graph, activations)


def _activations(frozen: FrozenGraph, names: Sequence[str], calibration: Iterator[Batch]) -> Iterator[dict[str, Batch]]:
    """The named nodes' outputs for each picture, computed by the interpreter."""
    wanted = [name for name in names if name != frozen.input_name]
    model = convert(frozen.graph, str(frozen.path), frozen.input_name, wanted, frozen.size)
    session = Session(ModelFile(frozen.path, model), threads=cores())
    names = [output.name for output in session.outputs]
    for batch in calibration:
        yield dict(zip(names, map(np.copy, session.run_all(batch)), strict=True)) | {frozen.input_name: batch}
