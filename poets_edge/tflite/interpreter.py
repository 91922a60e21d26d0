"""Finding a TensorFlow Lite interpreter, and running one model in it.

`ai_edge_litert` is tried first, then its predecessor `tflite_runtime` (32-bit Raspberry Pis). Both share one Python
interface. TensorFlow holds a third copy, which is not used: loading it takes seconds and half a gigabyte.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from poets_edge.errors import ModelError, RuntimeMissingError
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.memory import RUNTIMES

_TAKEN = "DELEGATE"
"""The name of what stands for operators that XNNPACK has taken."""
_WIDEN = "DEQUANTIZE"
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class Runtime:
    """One installed interpreter: its package, and the module that holds it."""

    name: str
    module: ModuleType

    @property
    def version(self) -> str:
        """The package's version; looked up when asked for, since that takes as long as an inference."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(self.name.replace("_", "-"))
        except PackageNotFoundError:
            return "unknown"


def find_runtime() -> Runtime:
    """The best installed interpreter.

    Raises:
        RuntimeMissingError: there is none, or none that starts.
    """
    troubles = []
    for package in RUNTIMES:
        try:
            return Runtime(package, importlib.import_module(f"{package}.interpreter"))
        except ModuleNotFoundError:
            continue
        except Exception as error:  # a wheel for other numpy or glibc versions fails in many ways
            troubles.append(f"{package} does not start ({' '.join(str(error).split())})")
    from poets_edge.tflite.runtimes import install_command, support, this_system

    system = this_system()
    found = support(system)
    way_out = f"Run: {install_command(system)}" if found.runtimes else f"{found.trouble} {found.way_out}"
    detail = f" {'; '.join(troubles)}." if troubles else ""
    raise RuntimeMissingError(f"no TensorFlow Lite interpreter is installed.{detail} {way_out}")


def open_model(file: ModelFile, threads: int = 1, *, accelerate: bool = True) -> Any:
    """Load a model into an interpreter and allocate its tensors.

    Args:
        threads: CPU threads for one inference.
        accelerate: use XNNPACK; without it the interpreter shows the model's own operators.

    Raises:
        ModelError: it is missing, damaged, or needs operators this interpreter lacks.
        RuntimeMissingError: no interpreter is installed.
    """
    runtime = find_runtime()
    options: dict[str, Any] = {"num_threads": threads}
    if not accelerate:
        resolver = runtime.module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        options["experimental_op_resolver_type"] = resolver
    try:
        # Read, not mapped: a mapped model changes, or takes the program down, when its file is overwritten meanwhile.
        with silent_stderr():
            interpreter = runtime.module.Interpreter(model_content=file.content, **options)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or "damaged"
        way_out = "Export it again, or copy it again."
        if "find op for builtin opcode" in reason:
            way_out = f"{runtime.name} {runtime.version} is too old for it; export it as float32 or int8."
        raise ModelError(f"{file.path}: cannot be loaded ({reason}). {way_out}") from None
    return interpreter


def operator_names(interpreter: Any) -> list[str]:
    """The operators of a model, in order, without what XNNPACK has put in the place of some."""
    return [details["op_name"] for details in interpreter._get_ops_details() if details["op_name"] != _TAKEN]


def is_accelerated(interpreter: Any) -> bool:
    """Whether XNNPACK has taken most of the convolutions, or any part of a model that has none.

    Any part would not do: old interpreters let it have the float ends of an int8 model, and nothing else.
    """
    operators = interpreter._get_ops_details()
    taken = {index for details in operators if details["op_name"] == _TAKEN for index in details["inputs"]}
    # A convolution's weights are input to whatever computes it; those in half precision are widened before.
    widened = {details["outputs"][0]: details["inputs"][0] for details in operators if details["op_name"] == _WIDEN}
    weights = [details["inputs"][1] for details in operators if details["op_name"] in _CONVOLUTIONS]
    if not weights:
        return bool(taken)
    return sum(widened.get(index, index) in taken for index in weights) > len(weights) / 2


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep native libraries' log lines off the terminal: they write to file descriptor 2 directly.

    Python's own errors are not affected; exceptions pass through.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):  # no usable stderr: nothing to keep quiet
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
