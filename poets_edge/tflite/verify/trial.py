"""Trial inference of a model in a helper process with limits on memory and time.

The process runs the model both with and without XNNPACK, because programs may use either mode.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poets_edge.core.processes import Helper, HelperEndedError
from poets_edge.errors import ModelError
from poets_edge.tflite.interpreter import find_runtime, open_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.graph_rules import InferenceCost
from poets_edge.tflite.verify.tables import FlawError, OtherNetworkError

_SPARE_BYTES = 512 << 20
"""Memory for an interpreter's threads, tables and code, in bytes, in addition to the model's memory."""
_SECONDS = 60.0
_NOT_LOADED = "cannot be loaded"
"""Start of the error message from `open_model` for a model that the interpreter rejects."""
_MULTIPLICATIONS_PER_SECOND = 50e6
"""Speed that the time limit for an inference is computed from; a Raspberry Pi Zero is three times as fast."""


@dataclass(frozen=True)
class _Trial:
    """Request to the helper process to run a model within a memory limit.

    Attributes:
        content: bytes of a `.tflite`.
        memory: memory that an inference needs, bytes.
    """

    content: bytes
    memory: int


def run_trial(content: bytes, cost: InferenceCost) -> None:
    """Run a model in a helper process; do nothing if the process cannot be started.

    Raises:
        FlawError: the process crashed, the inference took too long, or an output contains NaN or infinity.
        OtherNetworkError: the interpreter rejects the model; the message says what to do.
    """
    seconds = _SECONDS + cost.multiplications / _MULTIPLICATIONS_PER_SECOND
    try:
        with Helper(_try) as helper:
            problem = helper.ask(_Trial(content, cost.memory), "a model", seconds=seconds)
    except OSError:
        return
    except HelperEndedError as error:
        if error.timed_out:
            raise FlawError(f"an inference takes more than {seconds:.0f} seconds") from None
        if error.status < 0:
            raise FlawError(f"it crashes the interpreter with signal {-error.status}") from None
        raise FlawError("it crashes the interpreter, or needs too much memory") from None
    if problem.startswith(_NOT_LOADED):
        raise OtherNetworkError(problem)
    if problem:
        raise FlawError(problem[:300])


def _try(trial: _Trial) -> str:
    """Run a model with and without XNNPACK, and return a description of the first failure; "" if there is none."""
    find_runtime()
    _limit(trial.memory)
    for accelerate in (True, False):
        try:
            interpreter = open_model(ModelFile(Path("it"), trial.content), accelerate=accelerate)
            for details in interpreter.get_input_details():
                interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
            interpreter.invoke()
            answers = [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]
        except ModelError as error:
            return str(error).removeprefix("it: ")
        except (RuntimeError, ValueError) as error:
            return " ".join(str(error).split()) or "it cannot be run"
        if not all(np.isfinite(answer).all() for answer in answers):
            return "its output contains NaN or infinity"
    return ""


def _limit(memory: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = size + 2 * memory + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
