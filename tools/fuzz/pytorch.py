"""Valid and invalid weights files in PyTorch's format, written without PyTorch, for fuzzing and tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.fuzz.records import break_bytes

Array = npt.NDArray[Any]

MAGIC = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
VERSION = b"\x80\x02M\xe9\x03."
FUNCTION = ("torch._utils", "_rebuild_tensor_v2")


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def several(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def machine(little_endian: bool = True) -> bytes:
    return b"\x80\x02}(" + text("little_endian") + (b"\x88" if little_endian else b"\x89") + b"u."


def tensor(
    key: str, count: int, offset: int, shape: Sequence[int], strides: Sequence[int], kind: str = "FloatStorage",
    function: tuple[str, str] = FUNCTION,
) -> bytes:  # fmt: skip
    """Return the pickle operations that describe a tensor as a view of a storage.

    Args:
        key: key of the storage.
        count: number of elements of the storage.
        offset: index of the tensor's first element in the storage.
        shape: shape of the tensor.
        strides: strides of the tensor, in elements.
        kind: class of the storage in the module `torch`.
        function: module and name of the function that constructs the tensor.
    """
    storage = several(text("storage"), name("torch", kind), text(key), text("cpu"), number(count), b"N") + b"Q"
    lengths = [several(*map(number, values)) for values in (shape, strides)]
    return name(*function) + several(storage, number(offset), *lengths, b"\x89", b")") + b"R"


def file(tensors: Mapping[str, bytes], storages: Mapping[str, Array], facts: bytes | None = None) -> bytes:
    """Return the bytes of a weights file in PyTorch's legacy format.

    Args:
        tensors: pickle operations of each tensor, by name.
        storages: values of each storage, by key.
        facts: pickle of the facts about the machine; None for that of a little-endian machine.
    """
    entries = b"".join(text(key) + operations for key, operations in tensors.items())
    dictionary = b"\x80\x02" + name("collections", "OrderedDict") + b")R(" + entries + b"u."
    keys = b"\x80\x02](" + b"".join(map(text, storages)) + b"e."
    values = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return MAGIC + VERSION + (facts or machine()) + dictionary + keys + values


def weights(arrays: Mapping[str, Array]) -> bytes:
    """Return the bytes of a valid weights file in PyTorch's format, with the given arrays as float32.

    Each array has its own storage, in which the axes are in reverse order.

    Args:
        arrays: arrays by name.
    """
    tensors, storages = {}, {}
    for key, array in arrays.items():
        stored = np.ascontiguousarray(array.transpose(), np.float32)
        strides = [stride // 4 for stride in stored.transpose().strides]
        tensors[key] = tensor(key, stored.size, 0, array.shape, strides)
        storages[key] = stored
    return file(tensors, storages)


def mutate(rng: Random) -> bytes:
    """Return the bytes of a weights file in PyTorch's format with invalid tensor views, names or bytes."""
    values = np.arange(864, dtype=np.float32)
    view = {"count": 864, "offset": 0, "shape": (32, 3, 3, 3), "strides": (1, 32, 288, 96)}
    action = rng.randrange(6)
    numbers = (-1, 0, 7, 863, 1 << 31, 1 << 62, (1 << 63) + 1)
    if action == 0:
        view["count"] = rng.choice(numbers)
    elif action == 1:
        view["offset"] = rng.choice(numbers)
    elif action in (2, 3):
        lengths = list(view[("shape", "strides")[action - 2]])  # type: ignore[call-overload]
        lengths[rng.randrange(4)] = rng.choice(numbers)
        view[("shape", "strides")[action - 2]] = tuple(lengths)
    function = rng.choice((FUNCTION, FUNCTION, ("os", "system"), ("builtins", "eval")))
    operations = tensor("0", function=function, **view)  # type: ignore[arg-type]
    content = file({"_conv_stem.weight": operations}, {"0": values})
    return break_bytes(content, rng) if action > 3 else content
