"""Import the installed TensorFlow Lite interpreter, and load models into it.

`ai_edge_litert` is preferred to its predecessor `tflite_runtime` (32-bit Raspberry Pi OS); both have the same Python
interface. TensorFlow contains a third interpreter, which is not used, because loading it takes seconds and half a
gigabyte of memory.
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

import numpy

from poets_edge.errors import ModelError, RuntimeMissingError
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.memory import RUNTIMES

_DELEGATE = "DELEGATE"
"""Name under which the interpreter lists a group of operators that XNNPACK runs."""
_DEQUANTIZE = "DEQUANTIZE"
_LAST_FOR_NUMPY_1 = (2, 14)
"""Last version of tflite-runtime that requires numpy 1, as (major, minor); it was released in October 2023."""
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class Runtime:
    """An installed interpreter package.

    Attributes:
        name: import name of the package.
        module: the module with the class `Interpreter`.
    """

    name: str
    module: ModuleType

    @property
    def version(self) -> str:
        """Version of the interpreter's package, or "unknown". Looking it up takes as long as an inference."""
        return _package_version(self.name) or "unknown"


def find_runtime() -> Runtime:
    """Return the preferred installed interpreter.

    Raises:
        RuntimeMissingError: no interpreter is installed, or none can be imported.
    """
    problems = []
    for package in RUNTIMES:
        try:
            runtime = Runtime(package, importlib.import_module(f"{package}.interpreter"))
            _check_numpy(runtime)
            return runtime
        except ModuleNotFoundError:
            continue
        except RuntimeMissingError:
            raise
        except Exception as error:  # a wheel for other numpy or glibc versions fails in many ways
            problems.append(f"{package} does not start ({' '.join(str(error).split())})")
    from poets_edge.tflite.runtimes import install_command, support, this_system

    system = this_system()
    found = support(system)
    remedy = f"Run: {install_command(system)}" if found.runtimes else f"{found.problem} {found.remedy}"
    detail = f" {'; '.join(problems)}." if problems else ""
    raise RuntimeMissingError(f"no TensorFlow Lite interpreter is installed.{detail} {remedy}")


def runtime_version() -> tuple[str, str]:
    """Return the import name and the version of the preferred installed interpreter.

    It is not imported for this, which would take 12 MB. A package that is installed but cannot be imported is returned
    only if no other one has been imported.

    Raises:
        RuntimeMissingError: no interpreter is installed.
    """
    for package in sorted(RUNTIMES, key=lambda name: sys.modules.get(f"{name}.interpreter") is None):
        if version := _package_version(package):
            return package, version
    runtime = find_runtime()
    return runtime.name, runtime.version


def _package_version(package: str) -> str | None:
    """Return the version of an installed package, given its import name; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package.replace("_", "-"))
    except PackageNotFoundError:
        return None


def _check_numpy(runtime: Runtime) -> None:
    """Raise RuntimeMissingError if a tflite-runtime built for numpy 1 is installed together with numpy 2."""
    if runtime.name != "tflite_runtime" or int(numpy.__version__.partition(".")[0]) < 2:
        return
    version = runtime.version
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers <= _LAST_FOR_NUMPY_1:
        raise RuntimeMissingError(
            f"tflite-runtime {version} needs numpy 1, and numpy {numpy.__version__} is installed. Run: pip install"
            " 'numpy<2'"
        )


def open_model(file: ModelFile, threads: int = 1, *, accelerate: bool = True, delegate: str | None = None) -> Any:
    """Load a model into an interpreter and allocate its tensors.

    Args:
        threads: number of CPU threads for one inference.
        accelerate: whether to use XNNPACK; without it, the interpreter lists the operators of the model file unchanged.
        delegate: path or name of the shared library of a delegate, such as libedgetpu.so.1, which runs the operators
            that it supports.

    Raises:
        ModelError: the model is damaged, or needs operators that the interpreter lacks.
        RuntimeMissingError: no interpreter is installed, or the delegate cannot be loaded.
    """
    runtime = find_runtime()
    options: dict[str, Any] = {"num_threads": threads}
    if not accelerate:
        resolver = runtime.module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        options["experimental_op_resolver_type"] = resolver
    if delegate is not None:
        options["experimental_delegates"] = [_load_delegate(runtime, delegate)]
    try:
        # Not mapped from its file: overwriting a mapped file changes the model or crashes the program.
        with silent_stderr():
            interpreter = runtime.module.Interpreter(model_content=file.content, **options)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or "damaged"
        remedy = "Export it again, or copy it again."
        if "find op for builtin opcode" in reason:
            remedy = f"{runtime.name} {runtime.version} is too old for it. {_newer_runtime(runtime)}"
        raise ModelError(f"{file.path}: cannot be loaded ({reason}). {remedy}") from None
    return interpreter


def _load_delegate(runtime: Runtime, library: str) -> Any:
    import ctypes

    try:
        ctypes.CDLL(library)  # if this failed in `load_delegate`, its destructor would print a traceback
        return runtime.module.load_delegate(library)
    except (OSError, ValueError, AttributeError) as error:  # not found; refused by the library; not a delegate
        reason = " ".join(str(error).split()) or "no reason given"
        raise RuntimeMissingError(
            f"{library}: cannot be loaded as a delegate ({reason[:200]}). A Coral Edge TPU needs Google's package"
            " libedgetpu1-std, and the device plugged in."
        ) from None


def _newer_runtime(runtime: Runtime) -> str:
    """Return a sentence of advice for a model that requires an interpreter newer than the installed one."""
    from poets_edge.tflite.runtimes import support, this_system

    if runtime.name == "ai_edge_litert":
        return "Run: pip install --upgrade ai-edge-litert"
    if "ai-edge-litert" in support(this_system()).runtimes:
        return "Run: pip install ai-edge-litert"
    return "Export it as float32 or int8, whose operators are older."


def operator_names(interpreter: Any) -> list[str]:
    """Return the names of a model's operators, in order, excluding those that XNNPACK adds."""
    return [details["op_name"] for details in interpreter._get_ops_details() if details["op_name"] != _DELEGATE]


def is_accelerated(interpreter: Any) -> bool:
    """Return whether XNNPACK accelerates a model: whether it runs most of the convolutions.

    Other operators do not count, because old interpreters delegate only the float input and output of an int8 model. In
    a model without convolutions, it is sufficient that XNNPACK runs any operator.
    """
    operators = interpreter._get_ops_details()
    delegated = {index for details in operators if details["op_name"] == _DELEGATE for index in details["inputs"]}
    # The weights of a convolution are inputs of the node that computes it; float16 weights are converted before.
    converted = {
        details["outputs"][0]: details["inputs"][0] for details in operators if details["op_name"] == _DEQUANTIZE
    }
    weights = [details["inputs"][1] for details in operators if details["op_name"] in _CONVOLUTIONS]
    if not weights:
        return bool(delegated)
    return sum(converted.get(index, index) in delegated for index in weights) > len(weights) / 2


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Context manager that discards the log lines that native libraries write to file descriptor 2."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):  # there is no stderr
        yield
        return
    try:
        with open(os.devnull, "wb") as null:  # noqa: PTH123 - a device
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
