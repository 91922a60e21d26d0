"""Substitutes for the shared photos and weights, for checkouts without them.

The photos are synthetic. The weights are those of the embedded backbone, whose channels are repeated up to the width of
each MobileNet. Each copy of a channel has the values of the original, so the features of all architectures are useful,
and nothing is downloaded. Tests of accuracy require real photos and weights; see the `shared` marker.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.demo.draw import draw_photo
from poets_edge.demo.flowers import HEADS
from poets_edge.nets.mobilenet_v1 import MOBILENETS
from poets_edge.nets.weights import EMBEDDED_FILE

PHOTOS_PER_CLASS = 60
_BLOCKS = 13

Array = npt.NDArray[np.float32]


def draw_flowers(folder: Path, named: dict[str, int]) -> Path:
    """Write synthetic flower photos with names like those in the codelab, <number>_m.jpg; return the folder.

    Args:
        named: file names that tests require instead, relative to the folder, each with the number of its photo.
    """
    names = {(Path(name).parent.name, number): name for name, number in named.items()}
    for label in HEADS:
        (folder / label).mkdir(parents=True)
        for number in range(PHOTOS_PER_CLASS):
            name = names.get((label, number), f"{label}/{number:03}_m.jpg")
            (folder / name).write_bytes(draw_photo(label, number))
    return folder


def write_keras_weights(home: Path) -> Path:
    """Write weights of all MobileNets, in files like those that Keras downloads; return the folder, for KERAS_HOME."""
    models = home / "models"
    models.mkdir(parents=True)
    with np.load(EMBEDDED_FILE) as stored:
        arrays = [stored[f"arr_{index}"].astype(np.float32) for index in range(len(stored.files))]
    written: dict[str, Path] = {}
    for architecture in MOBILENETS:
        path = models / architecture.weights.file
        if architecture.series in written:  # the resolution changes no weight
            shutil.copy(written[architecture.series], path)
        else:
            _save(path, [widened(array, architecture.bottleneck_size // 256) for array in arrays])
            written[architecture.series] = path
    return home


def widened(array: Array, times: int) -> Array:
    """Return the weights of a layer with each channel repeated `times` times, so that its outputs keep their values.

    Args:
        array: [channels], [3, 3, 3, out] (the first kernel), [3, 3, channels, 1] (depthwise) or [1, 1, in, out].
    """
    if array.ndim == 1 or array.shape[2] == 3:
        return np.repeat(array, times, axis=-1)
    if array.shape[-1] == 1:
        return np.repeat(array, times, axis=2)
    return np.asarray(np.repeat(np.repeat(array, times, axis=2), times, axis=3) / times, np.float32)


def _save(path: Path, arrays: list[Array]) -> None:
    import h5py

    waiting = iter(arrays)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer for layer, _ in _layers()]
        for layer, kinds in _layers():
            group: Any = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{kind}" for kind in kinds]
            for kind in kinds:
                group[f"{layer}/{kind}"] = next(waiting)


def _layers() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each Keras layer that has weights, in order, as (layer name, names of its weights)."""
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    yield from (("conv1", ("kernel",)), ("conv1_bn", norm))
    for number in range(1, _BLOCKS + 1):
        yield from ((f"conv_dw_{number}", ("kernel",)), (f"conv_dw_{number}_bn", norm))
        yield from ((f"conv_pw_{number}", ("kernel",)), (f"conv_pw_{number}_bn", norm))
