"""Read Keras's weights without the classifier, from Keras's HDF5 files or from the same arrays in `.npz` files.

Error messages state what a file contains and what was expected.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.archive_reads import opened_zip
from poets_edge.errors import PoetsEdgeError, RuntimeMissingError, WeightsError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.layers import Layer, keras_order, shapes
from poets_edge.nets.network import Network, Norm, Parameters, checked
from poets_edge.nets.weights_file import Weights

Array = npt.NDArray[Any]


_LARGEST_DIRECTORY = 4 << 20
"""Maximum size of the zip directory of an `.npz` file, in bytes."""
_ARRAY_NAME = re.compile(r"arr_(\d+)")
_KERAS_FILE_NAME = re.compile(r"mobilenet_\d_\d_(\d+)_tf")
_WIDTHS = {32: "1.0", 24: "0.75", 16: "0.50", 8: "0.25"}
"""Width multiplier of a MobileNet, by the number of output channels of its first convolution."""
_SOURCE = "Keras's weights without the classifier"


@dataclass(frozen=True)
class _Stored:
    """Description of an array in a weights file; `read` loads and returns its values."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]


def read_keras_weights(architecture: Architecture, weights: Weights) -> Network:
    """Read a backbone from a Keras weights file.

    Raises:
        WeightsError: the file is damaged, belongs to another architecture, or contains values that are not finite.
        RuntimeMissingError: the file is HDF5 and h5py is not installed.
    """
    named = _KERAS_FILE_NAME.match(weights.path.name)
    weights_name = _KERAS_FILE_NAME.match(architecture.weights.file)  # the file of a larger input for 96 pixels
    if named and named[1] != (weights_name[1] if weights_name else str(architecture.resolution)):
        raise _refusal(weights.path, architecture, f"by its name it was trained on pictures of {named[1]} pixels")
    layers = architecture.layers()
    with _opened(weights.path, weights.read()) as stored:
        expected = list(_expected(layers, architecture.size))
        if [entry.shape for entry in stored] != [shape for _, _, shape in expected]:
            raise _refusal(weights.path, architecture, _kind_of(stored))
        # The embedded weights are float16, and so may be other files made in the same way.
        usual = (np.float32, np.float16) if weights.path.suffix == ".npz" else (np.float32,)
        unusual = next((entry.dtype for entry in stored if entry.dtype not in usual), None)
        if unusual:
            raise _refusal(weights.path, architecture, f"holds {unusual} numbers, not float32")
        arrays = [np.asarray(entry.read(), np.float32) for entry in stored]
    parameters = _folded(layers, expected, arrays)
    try:
        return checked(architecture.size, layers, parameters)
    except WeightsError as error:
        raise WeightsError(f"{weights.path}: not usable: {error}. Fetch it again, or take another file.") from None


def _expected(layers: Sequence[Layer], size: tuple[int, int]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield (layer name, kind, shape) for each array that a weights file must contain, in Keras's order.

    The kind is "kernel", "gamma", "beta", "mean" or "variance".
    """
    known = shapes(layers, size)
    for layer, norm in keras_order(layers):
        if norm:
            for what in (*(["gamma"] if layer.scaled else []), "beta", "mean", "variance"):
                yield layer.name, what, known[layer.name][-1:]
        else:
            yield layer.name, "kernel", layer.kernel_shape(known[layer.source][-1])


def _folded(
    layers: Sequence[Layer], expected: Sequence[tuple[str, str, tuple[int, ...]]], arrays: Sequence[Array]
) -> dict[str, Parameters]:
    """Return the weights of each layer, with its batch norm folded in.

    Args:
        expected: (layer, kind such as "kernel" or "beta", shape) of each array, in the order of `arrays`.
    """
    found: dict[str, dict[str, Array]] = {}
    for (name, what, _), array in zip(expected, arrays, strict=True):
        found.setdefault(name, {})[what] = array
    parameters = {}
    with np.errstate(all="ignore"):  # values that are not finite are refused later
        for layer in layers:
            if layer.has_weights():
                kernel = found[layer.name].pop("kernel")
                factors, offsets = _norm(**found[layer.name]).factors_and_offsets()
                scaled = Parameters(kernel, np.zeros_like(offsets)).scaled(factors, layer.kind == "depthwise")
                parameters[layer.name] = Parameters(scaled.kernel, offsets)
    return parameters


def _norm(beta: Array, mean: Array, variance: Array, gamma: Array | None = None) -> Norm:
    return Norm(beta, mean, variance, gamma)


@contextlib.contextmanager
def _opened(path: Path, content: bytes) -> Iterator[list[_Stored]]:
    """Context manager that opens a weights file and yields descriptions of its arrays, in Keras's order."""
    try:
        if path.suffix == ".npz" or content[:2] == b"PK":
            with opened_zip(io.BytesIO(content), _LARGEST_DIRECTORY) as archive:
                yield _of_zip(path, archive)
        else:
            with _h5py().File(io.BytesIO(content), "r") as file:
                yield list(_of_hdf5(path, file))
    except PoetsEdgeError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{path}: damaged, or no weights file ({reason}). Delete it to have it fetched again."
        ) from None


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise RuntimeMissingError(
            "reading Keras's weights needs h5py, which is not installed. Run: pip install 'poets-edge[train]'"
        ) from None
    return h5py


def _of_zip(path: Path, archive: zipfile.ZipFile) -> list[_Stored]:
    """Return descriptions of the arrays in an `.npz` file, in the order in which they were saved.

    `numpy.savez` names them arr_0, arr_1, ...
    """
    entries = []
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        number = _ARRAY_NAME.fullmatch(name)
        if number is None:
            raise WeightsError(
                f"{path}: holds {name!r}, {_foreign(name)}; wanted are {_SOURCE}, its arrays as"
                " numpy.savez(file, *model.get_weights()) writes them."
            )
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
        read = partial(_npy, archive, member)
        entries.append((int(number[1]), _Stored(member.filename, shape, dtype, read)))
    return [entry for _, entry in sorted(entries, key=lambda item: item[0])]


def _npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _of_hdf5(path: Path, file: Any) -> Iterator[_Stored]:
    """Yield descriptions of the arrays in a Keras HDF5 file, which contains weights or a whole model.

    Raises:
        WeightsError: the file has another format.
    """
    group = file
    if "layer_names" not in group.attrs and "model_weights" in group:
        group = group["model_weights"]
    if "layer_names" in group.attrs:
        names = [_text(name) for name in group.attrs["layer_names"]]
        datasets = [group[layer][_text(name)] for layer in names for name in group[layer].attrs["weight_names"]]
    elif "layers" in group:
        raise WeightsError(
            f"{path}: in the format of Keras 3 (.weights.h5); wanted are {_SOURCE} as HDF5: save them with"
            " numpy.savez('weights.npz', *model.get_weights()) instead."
        )
    else:
        first = next(iter(group), "nothing")
        raise WeightsError(f"{path}: holds {first!r}, {_foreign(str(first))}; wanted are {_SOURCE}.")
    for dataset in datasets:
        if dataset.is_virtual or dataset.external:
            raise WeightsError(f"{path}: {dataset.name} lies in another file. Wanted are {_SOURCE}.")
        yield _Stored(dataset.name, tuple(dataset.shape), dataset.dtype, partial(dataset.__getitem__, ()))


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _foreign(name: str) -> str:
    """Return a clause for an error message about the probable origin of a file, based on the name of an entry in it."""
    if name.endswith(("data.pkl", ".weight", ".bias", "running_mean", "num_batches_tracked")) or "/data/" in name:
        return "so it is PyTorch's"
    return "which is none of Keras's arrays"


def _kind_of(stored: Sequence[_Stored]) -> str:
    """Describe the arrays in a weights file, for example as "holds MobileNet V1 of width 0.50", for error messages."""
    if not stored:
        return "holds no arrays"
    first = stored[0].shape
    transposed = len(first) == 4 and first[1:] in ((3, 3, 3), (3, 3, 3)[::-1]) and first[0] in _WIDTHS
    if transposed:
        return f"its first kernel is {list(first)}, so it is transposed, or PyTorch's; Keras's is {list(first[::-1])}"
    width = _WIDTHS.get(first[3]) if len(first) == 4 and first[:3] == (3, 3, 3) else None
    norms = sum(len(entry.shape) == 1 for entry in stored)
    name = f"{len(stored)} arrays of which the first is {list(first)}"
    if width and norms in (4 * 27, 4 * 27 + 1):
        name = f"MobileNet V1 of width {width}"
    elif first == (3, 3, 3, 32) and norms in (3 * 94, 3 * 94 + 1):
        name = "Inception V3"
    top = len(stored) in (5 * 27 + 1, 5 * 27 + 2, 4 * 94 + 1, 4 * 94 + 2)
    return f"holds {name}{', with its classifier (a top)' if top else ''}"


def _refusal(path: Path, architecture: Architecture, what: str) -> WeightsError:
    return WeightsError(
        f"{path}: not the weights of {architecture.backbone}: {what}. Wanted are {_SOURCE}; delete it to have it"
        " fetched again, or give another file or `architecture`."
    )
