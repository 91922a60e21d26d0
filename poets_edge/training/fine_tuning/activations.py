"""Disk cache for the activations that the fine-tuned layers (the tail) read, encoded in 8 bits.

For each view (distorted variant) of a photo, the cache has one row with the activations that the first trained layer
reads.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import run_parallel
from poets_edge.core.sqlite import LOG_BYTES
from poets_edge.errors import OutputError
from poets_edge.nets.layers import Shape
from poets_edge.nets.network import Network
from poets_edge.photos.image import PREPROCESSING
from poets_edge.photos.open_photo import open_photo
from poets_edge.progress import Reporter
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottleneck_cache import cache_key
from poets_edge.training.bottlenecks import Extractor, HashedPhoto
from poets_edge.training.fine_tuning.encoding import Encoding, encoding_of
from poets_edge.training.fine_tuning.tail import Tail, up_to
from poets_edge.training.fine_tuning.views import Views
from poets_edge.training.row_store import RowStore, open_row_store

Activation = npt.NDArray[np.float32]

_FILE_OVERHEAD = 1.1
"""Estimated ratio of the size of a cache file to the total size of its rows, each of which occupies whole pages."""


@dataclass(frozen=True)
class View:
    """A photo, either without augmentation or with one of its random distortions.

    Attributes:
        photo: the photo.
        name: PLAIN for the photo without augmentation, or one of `Views.names`.
    """

    photo: HashedPhoto
    name: str

    def key(self, encoding: Encoding) -> bytes:
        """Return the 32-byte key of the cached activations for this view (distorted variant of a photo)."""
        return cache_key(self.photo.digest, f"{PREPROCESSING} {encoding.name} {self.name}")


class Activations:
    """Cache of the activations that the trained layers of a backbone read as input; opened by `open_activations`.

    Attributes:
        file: path of the cache.
        shape: (height, width, channels) of the activations.
    """

    def __init__(
        self, backbone: Backbone, model: ModelFile, shape: Shape, rows: RowStore, file: Path, views: Views,
        encoding: Encoding,
    ) -> None:  # fmt: skip
        self._backbone = backbone
        self._model = model
        self._rows = rows
        self.file = file
        self._views = views
        self._encoding = encoding
        self.shape = shape

    @cached_property
    def _extractor(self) -> Extractor:
        """Extractor for activations that `read` does not find in the cache."""
        return Extractor(self._model)

    def compute(self, views: Sequence[View], reporter: Reporter) -> int:
        """Compute, on all cores, the activations for those views that are not in the cache, and store them.

        Args:
            views: distorted variants of photos.

        Returns:
            Number of computed activations.

        Raises:
            OutputError: the disk does not have enough space; cached activations are kept.
            PhotoError: a photo has changed since it was hashed.
        """
        absent = set(self._rows.missing([view.key(self._encoding) for view in views]))
        todo: dict[HashedPhoto, list[str]] = {}
        for view in views:
            if view.key(self._encoding) in absent:
                todo.setdefault(view.photo, []).append(view.name)
        count = sum(map(len, todo.values()))
        if not count:
            return 0
        row_bytes = self._encoding.size(self.shape)
        needed = _check_space(self.file, count, row_bytes)
        reporter.note(
            f"activations: {count} to compute, {row_bytes / 1e3:.0f} kB each, {needed / 1e6:.0f} MB in {self.file}"
        )

        def work(item: tuple[HashedPhoto, list[str]], extractor: Extractor) -> list[tuple[bytes, bytes]]:
            photo, names = item
            return [
                (View(photo, name).key(self._encoding), data) for name, data in self._extract(photo, names, extractor)
            ]

        what = f"activations, {self._backbone.architecture.backbone}"
        with reporter.progress(what, count, "view") as advance:
            for _, results in run_parallel(list(todo.items()), partial(Extractor, self._model), work):
                for key, data in results:
                    self._rows.write(key, data)
                advance(len(results))
        self._rows.commit()
        return count

    def read(self, views: Sequence[View]) -> Activation:
        """Return the activations for distorted variants of photos, float32 [views, height, width, channels].

        Activations that are absent from the cache, or damaged, are computed.

        Raises:
            PhotoError: a photo whose activations must be computed has changed since it was hashed.
        """
        batch = np.empty((len(views), *self.shape), np.float32)
        for index, view in enumerate(views):
            data = self._rows.read(view.key(self._encoding))
            if data is None or len(data) != self._encoding.size(self.shape):
                ((_, data),) = self._extract(view.photo, [view.name], self._extractor)
                self._rows.write(view.key(self._encoding), data)
            batch[index] = self._encoding.decode(data, self.shape)
        return batch

    def _extract(self, photo: HashedPhoto, names: Sequence[str], extractor: Extractor) -> Iterator[tuple[str, bytes]]:
        # Decode the bytes that were hashed, or a row would be stored under another photo's key.
        image = open_photo(replace(photo.photo, sha256=photo.digest.hex()))
        for name in names:
            pixels = self._views.render(image, self._backbone.architecture.size, name, photo.digest)
            yield name, self._encoding.encode(extractor(pixels))


@contextlib.contextmanager
def open_activations(
    backbone: Backbone, network: Network, tail: Tail, views: Views, folder: Path, reporter: Reporter
) -> Iterator[Activations]:
    """Context manager that opens or creates the cache of activations for fine-tuning.

    A damaged cache is moved aside, and its activations are computed again.

    Args:
        backbone: the backbone; the name of its model file determines the name of the cache file.
        network: layers and weights of the backbone.
        tail: the trained layers.
        views: randomly distorted variants of the photos, for which activations are computed.
        folder: folder that contains the cache file.
        reporter: receives a warning if the cache was damaged.

    Raises:
        OutputError: `folder` cannot be written.
    """
    file = activations_file(backbone, tail, folder)
    with open_row_store(file, "activations") as (rows, damaged):
        if damaged:
            reporter.warn(f"the cache of activations was damaged; it was moved to {damaged} and is computed again.")
        model = ModelFile(file, write_float_model(up_to(network, tail.cut)))
        shape = network.shapes()[tail.cut.name]
        yield Activations(backbone, model, shape, rows, file, views, encoding_of(tail.cut))
        for moved in rows.set_aside:
            reporter.warn(f"the cache of activations was damaged; it was moved to {moved} and is computed again.")


def activations_file(backbone: Backbone, tail: Tail, folder: Path) -> Path:
    """Return the path of the activation cache for a backbone and its trained layers."""
    return folder / f"{backbone.model.stem}-last{tail.blocks}.activations.sqlite"


def _check_space(path: Path, rows: int, row_bytes: int) -> int:
    """Return the disk space that new rows of the cache need, in bytes. Raises OutputError if less space is free."""
    needed, free = int(rows * row_bytes * _FILE_OVERHEAD) + LOG_BYTES, shutil.disk_usage(path.parent).free
    if needed > free:
        raise OutputError(
            f"cannot write {path}: {rows} activations of {row_bytes / 1e3:.0f} kB take {needed / 1e6:.0f} MB, and"
            f" {free / 1e6:.0f} MB are free. Free some space, give another `bottleneck_dir`, or take fewer"
            " `variants`."
        )
    return needed
