"""Inference on this machine with TensorFlow Lite Micro, the interpreter for microcontrollers.

The interpreter runs in a separate process, because it aborts the process if a model needs more memory than the arena
has. The results of its reference kernels do not depend on the machine; the optimized kernels for ESP32 and Cortex-M
boards are designed to compute equal results.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.processes import Helper
from poets_edge.errors import ModelError, RuntimeMissingError
from poets_edge.tflite.flatbuffer import operator_code, schema, unpack_model

_ROOM = 1 << 26
"""Size in bytes of the arena that is used to measure the required size; no supported network needs a larger one."""
_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")
_REASON = re.compile(r"Didn't find op|not supported|Failed|Missing|Couldn't", re.IGNORECASE)
_SECONDS = 600


@dataclass(frozen=True)
class MicroRun:
    """Result of running a model in TensorFlow Lite Micro.

    Attributes:
        arena: size in bytes of the smallest tensor arena in which the model runs on this machine. Pointers have 8 bytes
            here and 4 on a microcontroller, which therefore needs 10 to 20 KB less for a MobileNet.
        outputs: for each input, the arrays that the model returned.
    """

    arena: int
    outputs: tuple[tuple[npt.NDArray[Any], ...], ...]


@dataclass(frozen=True)
class _Request:
    content: bytes
    inputs: tuple[npt.NDArray[Any], ...]
    outputs: int


def run_micro(content: bytes, inputs: Sequence[npt.NDArray[Any]], *, name: str) -> MicroRun:
    """Find the smallest tensor arena in which a model runs, run the model in it, and return its size and the outputs.

    Args:
        content: bytes of a `.tflite`.
        inputs: arrays to run the model on, with the dtype and shape of its input; may be empty.
        name: name of the model in messages.

    Raises:
        ModelError: TensorFlow Lite Micro cannot run the model.
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    outputs = len(unpack_model(content).subgraphs[0].outputs)
    with Helper(_run) as helper:
        return helper.ask(
            _Request(content, tuple(inputs), outputs), f"{name} in TensorFlow Lite Micro", seconds=_SECONDS
        )


def micro_operators(content: bytes) -> tuple[str, ...]:
    """Return the names of the operators that a model uses, as in `MicroMutableOpResolver`: "Conv2D" for `AddConv2D`."""
    model = unpack_model(content)
    names = {value: name for name, value in vars(schema().BuiltinOperator).items() if not name.startswith("_")}
    used = {names[operator_code(model, operator)] for graph in model.subgraphs for operator in graph.operators}
    return tuple(sorted("".join(word.capitalize() for word in name.split("_")).replace("2d", "2D") for name in used))


def _run(request: _Request) -> MicroRun:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        raise RuntimeMissingError(
            "running a model as on a microcontroller needs tflite-micro, which is not installed. Run: pip install"
            " 'poets-edge[micro]' (there is one for Linux on x86-64 only)"
        ) from None
    with _native_messages() as messages:
        try:
            probe = runtime.Interpreter.from_bytes(request.content, arena_size=_ROOM)
            probe.print_allocations()
            [arena] = {int(found) for found in _TOTAL.findall(messages())}
            del probe
            interpreter = runtime.Interpreter.from_bytes(request.content, arena_size=arena)
            outputs = []
            for values in request.inputs:
                interpreter.set_input(values, 0)
                interpreter.invoke()
                outputs.append(tuple(np.array(interpreter.get_output(index)) for index in range(request.outputs)))
        except (RuntimeError, ValueError) as error:
            lines = [line for line in messages().splitlines() if _REASON.search(line)]
            raise ModelError(f"TensorFlow Lite Micro cannot run the model ({(lines or [str(error)])[0]}).") from None
    return MicroRun(arena, tuple(outputs))


@contextlib.contextmanager
def _native_messages() -> Iterator[Any]:
    """Context manager that captures stderr, even from C++ code; yields a function that returns the captured text."""
    sys.stderr.flush()
    saved = os.dup(2)
    file: IO[bytes]
    with tempfile.TemporaryFile() as file:

        def text() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        os.dup2(file.fileno(), 2)
        try:
            yield text
        finally:
            os.dup2(saved, 2)
            os.close(saved)
