"""Mutated `.tflite` files, with changes to FlatBuffer objects, to bytes, or to the files appended to a model."""

from __future__ import annotations

import functools
import io
import struct
import zipfile
from random import Random
from typing import Any

import flatbuffers

from poets_edge.tflite.verify import schema, tables

_INTERESTING = (
    0,
    1,
    -1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    13,
    14,
    16,
    127,
    128,
    255,
    256,
    65535,
    65536,
    1 << 20,
    (1 << 31) - 1,
    -(1 << 31),
)
_REALS = (0.0, -0.0, 1e-45, 1e-30, -1.0, 1e30, 3e38, float("inf"), float("-inf"), float("nan"))
_FORMATS = {"b": "<b", "B": "<B", "?": "<B", "i": "<i", "I": "<I", "q": "<q", "Q": "<Q", "f": "<f"}


def mutate(model: bytes, rng: Random) -> bytes:
    """Return a copy of a `.tflite` model with one to four random changes."""
    end = model.find(b"PK\x03\x04")
    body, rest = (model[:end], model[end:]) if end > 0 else (model, b"")
    kind = rng.random()
    if kind < 0.45:
        body = _by_places(body, rng)
    elif kind < 0.75:
        body = _by_tree(body, rng)
    elif kind < 0.9:
        body = _by_bytes(body, rng)
    else:
        return _archive(body, rest, rng)
    return body + rest if rng.random() < 0.5 else body + _without_checksum(rest)


class _Places(tables._Parser):
    """FlatBuffer parser that records the position of every value."""

    def __init__(self, view: memoryview) -> None:
        super().__init__(view, schema.MODEL, True)
        self.places: list[tuple[int, str]] = []

    def _scalar(self, kind: str, place: int) -> Any:
        if place:
            self.places.append((place, kind[0]))
        return super()._scalar(kind, place)

    def _follow(self, place: int) -> int:
        self.places.append((place, "I"))
        return super()._follow(place)

    def _numbers(self, code: str, place: int) -> Any:
        values = super()._numbers(code, place)
        if place and len(values):
            first, count = self._vector(place, values.dtype.itemsize)
            for index in {0, count // 2, count - 1}:
                self.places.append((first + index * values.dtype.itemsize, code))
            self.places.append((first - 4, "I"))  # its length
        return values


@functools.lru_cache
def _places(body: bytes) -> list[tuple[int, str]]:
    found = _Places(memoryview(body))
    found.table("Model", struct.unpack_from("<I", body)[0], 0)
    return found.places


def _by_places(body: bytes, rng: Random) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        place, code = rng.choice(_places(body))
        _set(changed, place, code, rng)
    return bytes(changed)


def _set(changed: bytearray, place: int, code: str, rng: Random) -> None:
    size = struct.calcsize(_FORMATS[code])
    if code == "f":
        value = struct.pack("<f", rng.choice(_REALS) if rng.random() < 0.8 else rng.uniform(-1e3, 1e3))
    elif rng.random() < 0.7:
        value = (rng.choice(_INTERESTING) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    else:
        before = int.from_bytes(changed[place : place + size], "little")
        value = ((before + rng.choice((-4, -2, -1, 1, 2, 4, 64))) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    changed[place : place + size] = value


def _by_tree(body: bytes, rng: Random) -> bytes:
    """Return a copy of a model with changes to random objects: a valid FlatBuffer of a possibly inconsistent model."""
    from ai_edge_litert import schema_py_generated as generated

    tree = generated.ModelT.InitFromPackedBuf(body, 0)
    graph = tree.subgraphs[0]
    for each in graph.operators:
        each.inputs, each.outputs = [int(i) for i in each.inputs], [int(i) for i in each.outputs]
    for each in graph.tensors:
        each.shape = [int(length) for length in (each.shape if each.shape is not None else ())]
    for _ in range(rng.randint(1, 3)):
        tensor, operator = rng.choice(graph.tensors), rng.choice(graph.operators)
        action = rng.randrange(12)
        if action == 0:
            tensor.type = rng.randrange(21)
        elif action == 1 and len(tensor.shape):
            tensor.shape[rng.randrange(len(tensor.shape))] = rng.choice(_INTERESTING[:-1])
        elif action == 2:
            tensor.buffer = rng.randrange(len(tree.buffers))
        elif action == 3 and len(operator.inputs):
            operator.inputs[rng.randrange(len(operator.inputs))] = rng.choice((-1, *range(len(graph.tensors))))
        elif action == 4:
            operator.outputs[0] = rng.randrange(len(graph.tensors))
        elif action == 5:
            rng.choice(tree.operatorCodes).builtinCode = rng.randrange(207)
        elif action == 6:
            graph.operators.insert(rng.randrange(len(graph.operators)), rng.choice(graph.operators))
        elif action == 7:
            graph.operators.remove(operator)
            graph.operators = graph.operators or [operator]
        elif action == 8:
            rng.shuffle(graph.operators)
        elif action == 9:
            graph.outputs = [rng.randrange(len(graph.tensors))]
        elif action == 10 and tensor.quantization is not None:
            scale = rng.choice(_REALS[:-3])
            tensor.quantization.scale = [scale] * rng.choice((1, 2, 8))
            tensor.quantization.zeroPoint = [rng.choice(_INTERESTING)] * rng.choice((0, 1, 8))
        elif action == 11:
            operator.builtinOptions, operator.builtinOptionsType = None, 0
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _by_bytes(body: bytes, rng: Random) -> bytes:
    changed = bytearray(body)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == 1:
        start = rng.randrange(len(changed))
        del changed[start : start + rng.randrange(1, 64)]
    elif kind == 2:
        start = rng.randrange(len(changed))
        changed[start:start] = rng.randbytes(rng.randrange(1, 64))
    else:
        for _ in range(rng.randrange(1, 20)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _without_checksum(rest: bytes) -> bytes:
    """Return a copy of the zip archive that is appended to a model, without the file with the model's checksum.

    Only the `.txt` files, which contain the labels, are copied. Otherwise every damaged model would be rejected because
    of its checksum, and its other faults would not be tested.
    """
    if not rest:
        return rest
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(rest)) as archive, zipfile.ZipFile(target, "w") as written:
        for name in archive.namelist():
            if name.endswith(".txt"):
                written.writestr(name, archive.read(name))
    return target.getvalue()


def _archive(body: bytes, rest: bytes, rng: Random) -> bytes:
    kind = rng.randrange(6)
    if kind == 0 or not rest:
        return body + _by_bytes(rest or b"PK\x05\x06" + bytes(18), rng)
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    if kind == 1:
        data = _bomb(body, rest, method)
        return _by_bytes(data, rng) if rng.random() < 0.2 else data
    target = io.BytesIO()
    target.write(body)
    with zipfile.ZipFile(io.BytesIO(rest)) as archive, zipfile.ZipFile(target, "a", method) as written:
        for name in archive.namelist():
            content = archive.read(name)
            if kind == 2:
                content = _by_bytes(content, rng)
            elif kind == 3 and name.endswith(".json"):
                content = b"[" * 100_000
            elif kind == 4 and name.endswith(".json"):
                content = content.replace(b"0.", rng.choice((b"NaN ", b"-Infinity ", b"1e999 ", b'"x" ')), 1)
            written.writestr(name, content)
        if kind == 5:
            for number in range(rng.choice((10, 5000))):
                written.writestr(f"{number}", b"")
    data = target.getvalue()
    return _by_bytes(data, rng) if rng.random() < 0.2 else data


@functools.lru_cache(maxsize=32)
def _bomb(body: bytes, rest: bytes, method: int) -> bytes:
    """Return a copy of a model whose appended labels file has 64 MiB of zeros, which are compressed.

    Results are cached, because compression takes seconds.

    Args:
        body: the model without the appended archive.
        rest: the archive.
        method: compression method of `zipfile`.
    """
    target = io.BytesIO()
    target.write(body)
    with zipfile.ZipFile(io.BytesIO(rest)) as archive, zipfile.ZipFile(target, "a", method) as written:
        for name in archive.namelist():
            written.writestr(name, bytes(64 << 20) if name.endswith(".txt") else archive.read(name))
    return target.getvalue()
