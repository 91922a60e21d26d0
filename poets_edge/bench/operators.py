"""Where the time goes inside a model: `python -m poets_edge.bench.operators MODEL THREADS RUNS`.

The Python interpreter has no profiler, but LiteRT's C library has one, which sees into XNNPACK too. Its structures are
not promised to stay and it aborts on some CPUs, hence a process of its own; and what it says is believed only where the
operators add up to the time that a stopwatch around the whole model shows.
"""

from __future__ import annotations

import ctypes
import importlib.util
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from poets_edge.bench.processes import answer
from poets_edge.errors import MeasurementError, RuntimeMissingError

_Handle = ctypes.c_void_p

# tflite::Profiler::EventType (tflite/core/api/profiler.h): an operator of the interpreter, or one inside a delegate.
_OPERATOR, _DELEGATE_OPERATOR, _PROFILED_DELEGATE_OPERATOR = 2, 4, 8
_CPU_ACCELERATOR = 1
_LEAST_COVERED = 0.5
"""Share of a run that its operators must explain; the rest is the interpreter's own."""
_WARM_UP = 20
_LARGEST_TENSOR_TYPE = 512
"""Bytes; LiteRtRankedTensorType is 72 of them today."""


class _Event(ctypes.Structure):
    """ProfiledEventData of litert/c/litert_profiler_event.h as ai-edge-litert 2.3 has it."""

    _fields_ = [
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_int64 * 6),
        ("index", ctypes.c_uint64),
        ("metadata", ctypes.c_uint64),
        ("source", ctypes.c_int),
    ]


def profile(model: Path, threads: int, runs: int) -> dict[str, Any]:
    """Median microseconds of every operator, in the order they run.

    Raises:
        RuntimeMissingError: this interpreter has no profiler.
        MeasurementError: what it says cannot be trusted.
    """
    library = _Library()
    compiled, run = library.compile(model, threads)
    profiler = library.handle("LiteRtCompiledModelGetProfiler", compiled)
    for _ in range(_WARM_UP):
        run()
    library.call("LiteRtResetProfiler", profiler)
    library.call("LiteRtStartProfiler", profiler)
    times = []
    for _ in range(runs):
        before = time.perf_counter()
        run()
        times.append((time.perf_counter() - before) * 1e6)
    library.call("LiteRtStopProfiler", profiler)
    names, runs_us = _operators(library.events(profiler), runs)
    # In the run that was disturbed least: what other programs take falls between the operators too.
    covered = max(sum(one) / wall for one, wall in zip(runs_us, times, strict=True))
    if not _LEAST_COVERED < covered < 1.05:
        raise MeasurementError(
            f"operator times cannot be taken: the interpreter's add up to {100 * covered:.0f} % of the model's."
        )
    return {
        "wall_us": statistics.median(times),
        "runs": runs,
        "operators": [
            {"name": name, "us": statistics.median(elapsed)}
            for name, elapsed in zip(names, zip(*runs_us, strict=True), strict=True)
        ],
    }


class _Library:
    """libLiteRt.so, with every status checked."""

    def __init__(self) -> None:
        package = importlib.util.find_spec("ai_edge_litert")
        folder = Path(package.origin).parent if package and package.origin else None
        path = folder / "libLiteRt.so" if folder else None
        if path is None or not path.is_file():
            raise RuntimeMissingError(
                "operator times need ai-edge-litert 2.3 or later. Run: pip install ai-edge-litert"
            )
        self._library = ctypes.CDLL(str(path))
        self._c = ctypes.CDLL(None)
        self._c.strdup.restype = ctypes.c_void_p

    def call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, name, None)
        status = -1 if function is None else function(*arguments)
        if status:
            raise MeasurementError(f"operator times cannot be taken: {name} of this interpreter fails ({status}).")

    def handle(self, name: str, *arguments: Any) -> Any:
        """Call a function whose last argument receives a handle."""
        handle = _Handle()
        self.call(name, *arguments, ctypes.byref(handle))
        if not handle:
            raise MeasurementError(f"operator times cannot be taken: {name} of this interpreter gives nothing.")
        return handle

    def compile(self, model: Path, threads: int) -> tuple[Any, Any]:
        """The model with its profiler, and the function that runs it once."""
        environment = self.handle("LiteRtCreateEnvironment", 0, None)
        loaded = self.handle("LiteRtCreateModelFromFile", environment, str(model).encode())
        options = self.handle("LiteRtCreateOptions")
        self.call("LiteRtSetOptionsHardwareAccelerators", options, _CPU_ACCELERATOR)
        self._add_option(options, "runtime_options_string", "enable_profiling = true\n")
        self._add_option(options, "xnnpack", f"num_threads = {threads}\n")
        compiled = self.handle("LiteRtCreateCompiledModel", environment, loaded, options)
        graph = self.handle("LiteRtGetModelSubgraph", loaded, ctypes.c_size_t(0))
        first = ctypes.c_size_t(0)
        buffers = []
        for end in ("Input", "Output"):
            tensor = self.handle(f"LiteRtGetSubgraph{end}", graph, first)
            kind = ctypes.create_string_buffer(_LARGEST_TENSOR_TYPE)
            self.call("LiteRtGetRankedTensorType", tensor, kind)
            needs = self.handle(f"LiteRtGetCompiledModel{end}BufferRequirements", compiled, first, first)
            make = "LiteRtCreateManagedTensorBufferFromRequirements"
            buffers.append((_Handle * 1)(self.handle(make, environment, kind, needs)))
        one = ctypes.c_size_t(1)
        inputs, outputs = buffers
        return compiled, lambda: self.call("LiteRtRunCompiledModel", compiled, first, one, inputs, one, outputs)

    def events(self, profiler: Any) -> Any:
        count = ctypes.c_int()
        self.call("LiteRtGetNumProfilerEvents", profiler, ctypes.byref(count))
        events = (_Event * max(count.value, 1))()
        self.call("LiteRtGetProfilerEvents", profiler, count, events)
        return events

    def _add_option(self, options: Any, kind: str, text: str) -> None:
        # The library frees the text itself, so it must be the C library's own copy.
        copy = ctypes.c_void_p(self._c.strdup(text.encode()))
        free = ctypes.cast(self._c.free, ctypes.c_void_p)
        option = self.handle("LiteRtCreateOpaqueOptions", kind.encode(), copy, free)
        self.call("LiteRtAddOpaqueOptions", options, option)


def _operators(events: Any, runs: int) -> tuple[list[str], list[list[int]]]:
    """The operators in the order they run, which is the same in every run, and their microseconds run by run."""
    kinds = {_OPERATOR: "", _DELEGATE_OPERATOR: "XNNPACK ", _PROFILED_DELEGATE_OPERATOR: "XNNPACK "}
    seen = [
        (kinds[event.type] + event.tag.decode(errors="replace"), event.elapsed_us)
        for event in events
        if event.type in kinds
    ]
    length = len(seen) // runs
    names = [name for name, _ in seen[:length]]
    if not length or [name for name, _ in seen] != names * runs:
        raise MeasurementError("operator times cannot be taken: the interpreter's differ from run to run.")
    return names, [[us for _, us in seen[start : start + length]] for start in range(0, len(seen), length)]


if __name__ == "__main__":
    answer(lambda: profile(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
