"""One inference of a model in a process of its own, with limits of memory and time.

`run_trial` starts `python -m poets_edge.tflite.verify.trial`, hands it the model and reads whether it lived. The
process loads the model both with XNNPACK and without, since one program may do either.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import poets_edge
from poets_edge.core.orphans import end_with_parent, helper_environment
from poets_edge.errors import ModelError
from poets_edge.tflite.interpreter import find_runtime, open_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.rules import Cost
from poets_edge.tflite.verify.tables import FlawError

_SPARE_BYTES = 512 << 20
"""Memory of an interpreter beside a model: threads, tables, its own code."""
_SECONDS = 60.0
_MULTIPLICATIONS_A_SECOND = 50e6
"""A Raspberry Pi Zero does three times as many."""


def run_trial(content: bytes, cost: Cost) -> None:
    """Run a model once. Where no process can be started, nothing happens.

    Raises:
        FlawError: it ends its process, takes too long, or answers with what is no number.
    """
    seconds = _SECONDS + cost.multiplications / _MULTIPLICATIONS_A_SECOND
    root = str(Path(poets_edge.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(cost.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**helper_environment(), "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is its parent's to deal with
        )
    except OSError:
        return
    try:
        output, _ = process.communicate(content, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise FlawError(f"an inference takes more than {seconds:.0f} seconds") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode < 0:
        raise FlawError(f"it takes the interpreter down, by signal {-process.returncode}")
    try:
        trouble = json.loads(output)["trouble"]
    except (ValueError, KeyError, TypeError):
        raise FlawError("it takes the interpreter down, or more memory than it should") from None
    if trouble:
        raise FlawError(str(trouble)[:300])


def _try(content: bytes) -> str:
    """The fault that a model shows when it runs; empty where there is none."""
    for accelerate in (True, False):
        try:
            interpreter = open_model(ModelFile(Path("it"), content), accelerate=accelerate)
            for details in interpreter.get_input_details():
                interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
            interpreter.invoke()
            answers = [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]
        except ModelError as error:
            return str(error).removeprefix("it: ")
        except (RuntimeError, ValueError) as error:
            return " ".join(str(error).split()) or "it cannot be run"
        if not all(np.isfinite(answer).all() for answer in answers):
            return "it answers with NaN or infinity"
    return ""


def _limit(memory: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = size + 2 * memory + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    end_with_parent()
    find_runtime()
    model = sys.stdin.buffer.read()
    _limit(int(sys.argv[1]))
    print(json.dumps({"trouble": _try(model)}))
