"""Read PyTorch's weights files (`.pth`, the format before PyTorch 1.6) without PyTorch and without unpickling.

A file consists of five pickles (a magic number, the format's version, properties of the machine, a dictionary of
tensors, and the keys of the storages) and, for each storage, an int64 count and the values. A tensor is a view of a
storage, with an offset and strides that need not be contiguous.

Unpickling is unsafe because a pickle can call any function. Here, pickles are interpreted by a small stack
machine that cannot call functions. It builds only tuples, lists, dictionaries and descriptions of tensors, and supports
only the four global names that a weights file requires.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_DTYPES: dict[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
_DICTIONARY, _TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
_GLOBALS = frozenset({_DICTIONARY, _TENSOR, *_DTYPES})
_MAX_OPERATIONS = 1_000_000
"""Maximum number of operations in a pickle. The weights file of EfficientNet-Lite2 has 15,000."""


class PytorchFileError(Exception):
    """Raised for a file that is damaged or is not a weights file in this format; the message is a phrase."""


@dataclass(frozen=True)
class PytorchTensor:
    """A tensor in a PyTorch weights file.

    Attributes:
        values: all values in the tensor's storage, [count].
        offset: index of the tensor's first value in `values`.
        shape: lengths of the axes.
        strides: distance between neighbors along each axis, as a number of values.
    """

    values: Array
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self) -> Array:
        """Return the tensor as a contiguous array."""
        steps = [stride * self.values.itemsize for stride in self.strides]
        return np.array(np.lib.stride_tricks.as_strided(self.values[self.offset :], self.shape, steps))


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pytorch_file(content: bytes) -> dict[str, PytorchTensor]:
    """Parse the content of a weights file, and return its tensors by name.

    Raises:
        PytorchFileError: the file is damaged, has another format, or contains anything but float32 or int64 tensors.
    """
    if content[:2] == b"PK":
        raise PytorchFileError(
            "in PyTorch's zip format; save it with torch.save(state_dict, file, _use_new_zipfile_serialization=False)"
        )
    file = io.BytesIO(content)
    try:
        magic, version, machine, entries, keys = (_load(file) for _ in range(5))
    except (ValueError, UnicodeDecodeError, OverflowError) as error:
        raise PytorchFileError(f"a malformed pickle ({' '.join(str(error).split())[:120]})") from None
    if magic != _MAGIC or version != _VERSION:
        raise PytorchFileError("no weights file of PyTorch")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise PytorchFileError("written on a big-endian machine")
    if not isinstance(entries, dict) or not isinstance(keys, list):
        raise PytorchFileError("no dictionary of tensors")
    views = {name: view for name, view in entries.items() if isinstance(name, str) and isinstance(view, _View)}
    if len(views) != len(entries):
        raise PytorchFileError("holds more than named tensors")
    storages = _storages(content, file.tell(), keys, {view.storage.key: view.storage for view in views.values()})
    return {name: _tensor(name, view, storages[view.storage.key]) for name, view in views.items()}


def _storages(content: bytes, start: int, keys: list[Any], wanted: Mapping[str, _Storage]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for key in keys:
        storage = wanted.get(key) if isinstance(key, str) else None
        if storage is None or key in found:
            raise PytorchFileError(f"a storage {key!r} that no tensor, or another one, uses"[:120])
        count = int.from_bytes(content[start : start + 8], "little", signed=True)
        end = start + 8 + storage.count * storage.dtype.itemsize
        if count != storage.count or end > len(content):
            raise PytorchFileError("truncated, or a storage whose size differs from that of its tensors")
        found[key] = np.frombuffer(content, storage.dtype, storage.count, start + 8)
        start = end
    if missing := sorted(wanted.keys() - found.keys()):
        raise PytorchFileError(f"no values for storage {missing[0]!r}"[:120])
    return found


def _tensor(name: str, view: _View, values: Array) -> PytorchTensor:
    """Return a tensor after checking that all of its values are inside its storage."""
    if len(view.shape) != len(view.strides) or min((view.offset, *view.shape, *view.strides)) < 0:
        raise PytorchFileError(f"{name[:60]} has a malformed shape")
    last = view.offset + sum((length - 1) * stride for length, stride in zip(view.shape, view.strides, strict=True))
    if 0 in view.shape or last >= len(values) or max((*view.shape, *view.strides), default=0) > len(values):
        raise PytorchFileError(f"{name[:60]} reaches beyond its storage")
    return PytorchTensor(values, view.offset, view.shape, view.strides)


def _load(file: io.BytesIO) -> Any:
    """Interpret one pickle and return its value. Raises ValueError or PytorchFileError if it cannot be interpreted."""
    import pickletools  # a megabyte of documentation, needed only for networks of PyTorch

    machine = _Machine()
    for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if number > _MAX_OPERATIONS:
            raise PytorchFileError("a pickle of too many operations")
        if operation.name == "STOP":
            return machine.pop()
        handler = _OPERATIONS.get(operation.name)
        if handler is None:
            raise PytorchFileError(f"the pickle operation {operation.name}, which weights do not need")
        handler(machine, argument)
    raise PytorchFileError("a pickle without an end")


class _Machine:
    """Stack machine that interprets the operations of a pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise PytorchFileError("a pickle with an empty stack")
        return self._stack.pop()

    def mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def since_mark(self) -> list[Any]:
        if not self._marks:
            raise PytorchFileError("a pickle without a mark")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def remember(self, index: int) -> None:
        value = self.pop()
        self.push(value)
        self._memo[index] = value

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise PytorchFileError("a pickle that recalls what it has not remembered")
        self.push(self._memo[index])

    def name(self, name: str) -> None:
        if name not in _GLOBALS:
            raise PytorchFileError(f"{name[:80]!r}, which weights do not need and which is not run")
        self.push(_Global(name))

    def pack(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if function == _Global(_DICTIONARY) and arguments == ():
            self.push({})
        elif function == _Global(_TENSOR) and isinstance(arguments, tuple):
            self.push(_view(arguments))
        else:
            raise PytorchFileError("a call that weights do not need and which is not run")

    def persistent(self, _: Any) -> None:
        self.push(_storage(self.pop()))

    def set_items(self, items: list[Any]) -> None:
        target = self.pop()
        if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, str) for key in items[::2]):
            raise PytorchFileError("a malformed dictionary")
        target.update(zip(items[::2], items[1::2], strict=True))
        self.push(target)

    def append(self, values: list[Any]) -> None:
        target = self.pop()
        if not isinstance(target, list):
            raise PytorchFileError("a malformed list")
        target.extend(values)
        self.push(target)

    def build(self, _: Any) -> None:
        """Execute the pickle operation BUILD, which sets attributes of an object, but discard the attributes.

        Weights files use BUILD only to store the versions of PyTorch modules.
        """
        self.pop()


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "MARK": _Machine.mark,
    **dict.fromkeys(("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"), _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.pack(1),
    "TUPLE2": lambda machine, _: machine.pack(2),
    "TUPLE3": lambda machine, _: machine.pack(3),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": _Machine.name,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.recall),
}


def _storage(identity: Any) -> _Storage:
    """Return the storage identified by a tuple ("storage", type, key, device, count, view).

    Raises:
        PytorchFileError: the tuple is malformed.
    """
    if not isinstance(identity, tuple) or len(identity) != 6 or identity[0] != "storage" or identity[5] is not None:
        raise PytorchFileError("a malformed storage")
    _, kind, key, _, count, _ = identity
    dtype: np.dtype[Any] | None = _DTYPES.get(kind.name) if isinstance(kind, _Global) else None
    if dtype is None or not isinstance(key, str) or not _is_index(count):
        raise PytorchFileError("a malformed storage")
    return _Storage(key, dtype, count)


def _view(arguments: tuple[Any, ...]) -> _View:
    """Return the tensor described by a tuple (storage, offset, shape, strides, requires_grad, hooks).

    Raises:
        PytorchFileError: the tuple is malformed.
    """
    if len(arguments) != 6:
        raise PytorchFileError("a malformed tensor")
    storage, offset, shape, strides = arguments[:4]
    numbers = [offset, *shape, *strides] if isinstance(shape, tuple) and isinstance(strides, tuple) else [None]
    if not isinstance(storage, _Storage) or not all(map(_is_index, numbers)):
        raise PytorchFileError("a malformed tensor")
    return _View(storage, offset, shape, strides)


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value <= sys.maxsize
