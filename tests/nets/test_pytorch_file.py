"""Tests of reading PyTorch's weights files."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from poets_edge.nets.pytorch_file import PytorchFileError, read_pytorch_file
from tools.fuzz import pytorch as files

VALUES = np.arange(24, dtype=np.float32)
BEGINNING = files.MAGIC + files.VERSION + files.machine() + b"\x80\x02"


def one(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, count: int = 24) -> bytes:
    return files.file({"a": files.tensor("0", count, offset, shape, strides)}, {"0": VALUES})


def test_read_pytorch_file_applies_strides_and_offsets() -> None:
    content = files.file(
        {
            "plain": files.tensor("0", 24, 0, (4, 6), (6, 1)),
            "transposed": files.tensor("0", 24, 0, (6, 4), (1, 6)),
            "inner": files.tensor("0", 24, 7, (2, 3), (12, 2)),
            "counter": files.tensor("1", 1, 0, (), (), kind="LongStorage"),
        },
        {"0": VALUES, "1": np.array([9], np.int64)},
    )
    found = {key: value.read() for key, value in read_pytorch_file(content).items()}
    np.testing.assert_array_equal(found["plain"], VALUES.reshape(4, 6))
    np.testing.assert_array_equal(found["transposed"], VALUES.reshape(4, 6).T)
    np.testing.assert_array_equal(found["inner"], [[7, 9, 11], [19, 21, 23]])
    assert found["counter"] == 9 and found["counter"].dtype == np.int64


WRONG = {
    "another function": files.file(
        {"a": files.tensor("0", 24, 0, (24,), (1,), function=("os", "system"))}, {"0": VALUES}
    ),
    "another type": files.file({"a": files.tensor("0", 24, 0, (24,), (1,), kind="HalfStorage")}, {"0": VALUES}),
    "a call": BEGINNING + files.name("torch", "FloatStorage") + b")R.",
    "an object": BEGINNING + b"i__main__\nX\n.",
    "a long stride": one((4, 6), (7, 1)),
    "a late offset": one((4, 6), (6, 1), offset=1),
    "a negative offset": one((4, 6), (6, 1), offset=-1),
    "a negative stride": one((4, 6), (6, -1), offset=5),
    "too many values": one((1 << 40,), (0,)),
    "fewer strides": one((4, 6), (6,)),
    "another count": one((4,), (1,), count=25),
    "a short file": one((4, 6), (6, 1))[:-1],
    "no values": files.file({"a": files.tensor("0", 24, 0, (24,), (1,))}, {}),
    "values of no tensor": files.file({}, {"0": VALUES}),
    "big-endian": files.file({}, {}, files.machine(little_endian=False)),
    "a storage twice": one((4, 6), (6, 1)).replace(b"](" + files.text("0"), b"](" + 2 * files.text("0"))
    + struct.pack("<q", 24)
    + VALUES.tobytes(),
    "another magic number": b"\x80\x02K\x01." * 5,
    "a magic number of another program": files.file({}, {}).replace(files.MAGIC, b"\x80\x02K\x01."),
    "another version": files.file({}, {}).replace(files.VERSION, b"\x80\x02M\xea\x03."),
    "a number beside the tensors": files.file(
        {"a": files.tensor("0", 24, 0, (24,), (1,)), "epoch": files.number(3)}, {"0": VALUES}
    ),
    "a zip": b"PK\x03\x04",
    "nothing": b"",
    "text": b"<html>",
    "a huge memo": b"\x80\x02Nr\xff\xff\xff\xff0.",
}


@pytest.mark.parametrize("case", WRONG)
def test_read_pytorch_file_rejects_invalid_files(case: str) -> None:
    with pytest.raises(PytorchFileError):
        read_pytorch_file(WRONG[case])


def test_errors_about_pytorch_files_name_forbidden_functions_and_unsupported_formats() -> None:
    with pytest.raises(PytorchFileError, match="os system"):
        read_pytorch_file(WRONG["another function"])
    with pytest.raises(PytorchFileError, match="_use_new_zipfile_serialization=False"):
        read_pytorch_file(WRONG["a zip"])


def test_mutated_pytorch_files_are_read_or_rejected() -> None:
    rng, whole = random.Random(0), one((4, 6), (1, 4))
    outcomes = set()
    for _ in range(2000):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            outcomes.add(len([entry.read() for entry in read_pytorch_file(bytes(changed)).values()]))
        except PytorchFileError:
            outcomes.add(-1)
    assert outcomes == {-1, 1}


@pytest.mark.parametrize("value", [b"\x88", b"\x89", b"J\xff\xff\xff\xff", b"N", files.text("4")])
def test_read_pytorch_file_requires_whole_numbers_as_counts_and_offsets(value: bytes) -> None:
    """True, false, -1, None and text are not counts."""
    good = files.tensor("0", 24, 7, (4,), (1,))
    for number in (files.number(7), files.number(24)):
        assert good.count(number) == 1
        content = files.file({"a": good.replace(number, value)}, {"0": VALUES})
        with pytest.raises(PytorchFileError):
            read_pytorch_file(content)
    assert read_pytorch_file(files.file({"a": good}, {"0": VALUES}))["a"].read().tolist() == [7, 8, 9, 10]
