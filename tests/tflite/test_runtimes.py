"""Tests of choosing an interpreter package for a machine."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest

from poets_edge import tflite
from poets_edge.errors import RuntimeMissingError
from poets_edge.tflite import interpreter
from poets_edge.tflite.flatbuffer import pack_model, unpack_model
from poets_edge.tflite.interpreter import find_runtime, runtime_version
from poets_edge.tflite.runtimes import System, install_command, program_architecture, support, this_system
from tests.conftest import poets_edge


def test_interpreter_for_this_machine_is_found() -> None:
    found = support(this_system())
    assert find_runtime().name.replace("_", "-") in (*found.runtimes, "tensorflow")
    assert not found.problem


@pytest.mark.parametrize(
    ("system", "runtimes", "command"),
    [
        (System("aarch64", (3, 13), "glibc", (2, 41), "aarch64"), "ai-edge-litert", "pip install ai-edge-litert"),
        (System("aarch64", (3, 11), "glibc", (2, 36), "aarch64"), "ai-edge-litert tflite-runtime", "pip install ai"),
        (System("armv7l", (3, 11), "glibc", (2, 36), "armv7l"), "tflite-runtime", "pip install 'poets-edge[tflite"),
        # A 32-bit Raspberry Pi OS uses a 64-bit kernel on boards that support one.
        (System("armv7l", (3, 11), "glibc", (2, 36), "aarch64"), "tflite-runtime", "linux32 pip install 'poets-edge["),
    ],
)
def test_install_command_depends_on_the_system(system: System, runtimes: str, command: str) -> None:
    assert support(system).runtimes == tuple(runtimes.split())
    assert install_command(system).startswith(command)


@pytest.mark.parametrize(
    ("system", "problem", "remedy"),
    [
        (System("armv7l", (3, 13), "glibc", (2, 41)), "Python 3.13 on armv7l", "bookworm"),
        (System("armv6l", (3, 11), "glibc", (2, 36)), "ARMv6", "Zero 2 W"),
        (System("aarch64", (3, 11), "glibc", (2, 24)), "glibc 2.24 is too old; the interpreter needs 2.27", "bookworm"),
        (System("armv7l", (3, 10), "glibc", (2, 31)), "glibc 2.31 is too old; the interpreter needs 2.34", "bookworm"),
        (System("x86_64", (3, 11), "musl"), "musl", "-alpine"),
        (System("x86_64", (3, 14), "glibc", (2, 41)), "Python 3.14", "Python 3.10 to 3.13"),
        (System("i686", (3, 11), "glibc", (2, 36)), "i686", "64-bit"),
        (System("riscv64", (3, 11), "glibc", (2, 36)), "riscv64", "x86_64"),
    ],
)
def test_unsupported_systems_get_a_reason_and_a_remedy(system: System, problem: str, remedy: str) -> None:
    found = support(system)
    assert not found.runtimes and not install_command(system)
    assert problem in found.problem and remedy in found.remedy
    assert "\n" not in found.problem + found.remedy


def test_interpreter_is_assumed_to_be_available_on_macos() -> None:
    found = support(System("arm64", (3, 12), name="Darwin"))
    assert found.runtimes and not found.problem


def test_program_architecture_is_32_bit_for_32_bit_programs_under_a_64_bit_kernel() -> None:
    assert program_architecture("aarch64", 32) == program_architecture("armv8l", 32) == "armv7l"
    assert program_architecture("aarch64", 64) == "aarch64"
    assert program_architecture("x86_64", 32) == "i686"


@pytest.mark.parametrize(
    ("machine", "glibc", "expected"),
    [
        ("armv6l", "2.36", "ARMv6 (Raspberry Pi 1, Zero and Zero W). Use a Raspberry Pi"),
        ("riscv64", "2.36", "no TensorFlow Lite interpreter is made for riscv64 programs"),
        ("aarch64", "2.24", "glibc 2.24 is too old"),
        ("aarch64", "2.36", "pip install ai-edge-litert"),
    ],
)
def test_doctor_and_error_messages_name_an_unsupported_system(
    machine: str, glibc: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reported processor and C library are replaced by those of other machines."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "confstr", lambda name: f"glibc {glibc}", raising=False)
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, f"{package}.interpreter", None)
    assert expected in poets_edge("doctor", cwd=tmp_path).ok().stdout
    model = Path(tflite.__file__).with_name("probe.tflite")
    poets_edge("inspect", model).failed(expected)


def test_tflite_runtime_with_numpy_2_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An interpreter built for numpy 1 cannot receive arrays from numpy 2, so models would be reported as damaged."""
    package, facts = tmp_path / "tflite_runtime", tmp_path / "tflite_runtime-2.14.0.dist-info"
    for folder in (package, facts):
        folder.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text("class Interpreter: ...\n")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    for name in ("tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(numpy, "__version__", "2.1.0")
    expected = "tflite-runtime 2.14.0 needs numpy 1, and numpy 2.1.0 is installed. Run: pip install 'numpy<2'"
    assert expected in poets_edge("doctor", cwd=tmp_path).ok().stdout
    poets_edge("inspect", Path(tflite.__file__).with_name("probe.tflite")).failed(expected)
    monkeypatch.setattr(numpy, "__version__", "1.26.4")
    assert find_runtime().name == "tflite_runtime"
    for name in ("tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_version_of_the_interpreter_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training on cached bottlenecks records the version, but does not run a model."""
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.delitem(sys.modules, f"{package}.interpreter", raising=False)
    assert runtime_version() == ("ai_edge_litert", version("ai-edge-litert"))
    assert "ai_edge_litert.interpreter" not in sys.modules


def test_version_is_that_of_an_interpreter_that_could_be_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = tmp_path / "tflite_runtime-2.14.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", ModuleType("tflite_runtime.interpreter"))
    assert runtime_version() == ("tflite_runtime", "2.14.0")


def test_error_for_a_too_new_operator_version_suggests_one_remedy(tmp_path: Path) -> None:
    tree = unpack_model(Path(tflite.__file__).with_name("probe.tflite").read_bytes())
    for code in tree.operatorCodes:
        code.version = 60
    (tmp_path / "new.tflite").write_bytes(pack_model(tree))
    ran = poets_edge("inspect", tmp_path / "new.tflite").failed("is too old for it. Run: pip install --upgrade")
    assert "damaged" not in ran.stderr and "xport it again" not in ran.stderr


@pytest.mark.parametrize(
    ("machine", "python", "glibc", "runtimes"),
    [
        ("x86_64", (3, 10), (2, 27), "ai-edge-litert tflite-runtime"),
        ("x86_64", (3, 11), (2, 26), "tflite-runtime"),
        ("x86_64", (3, 12), (2, 26), ""),
        ("x86_64", (3, 10), (2, 17), "tflite-runtime"),
        ("x86_64", (3, 10), (2, 16), ""),
        ("x86_64", (3, 9), (2, 36), ""),
        ("x86_64", (3, 12), (2, 36), "ai-edge-litert"),
        ("x86_64", (3, 13), (2, 36), "ai-edge-litert"),
        ("x86_64", (3, 14), (2, 36), ""),
        ("aarch64", (3, 11), (2, 34), "ai-edge-litert tflite-runtime"),
        ("aarch64", (3, 11), (2, 33), "ai-edge-litert"),
        ("aarch64", (3, 13), (2, 27), "ai-edge-litert"),
        ("aarch64", (3, 13), (2, 26), ""),
        ("armv7l", (3, 11), (2, 34), "tflite-runtime"),
        ("armv7l", (3, 11), (2, 33), ""),
        ("armv7l", (3, 12), (2, 36), ""),
        ("armv7l", (3, 10), (3, 0), "tflite-runtime"),
    ],
)
def test_supported_runtimes_depend_on_machine_python_version_and_libc(
    machine: str, python: tuple[int, int], glibc: tuple[int, int], runtimes: str
) -> None:
    found = support(System(machine, python, libc_version=glibc))
    assert " ".join(found.runtimes) == runtimes and bool(found.problem) == bool(found.remedy) == (not runtimes)
    assert support(System(machine, python, "musl", glibc)).runtimes == ()


@pytest.mark.parametrize(
    ("version", "numpy_version", "refused"),
    [
        ("2.14.0", "2.1.0", True),
        ("2.5.0", "2.0.0", True),
        ("2.9.1", "2.0.0", True),
        ("2.15.0", "2.0.0", False),
        ("2.14.0", "1.26.4", False),
        ("unknown", "2.0.0", False),
        ("3.0.0", "2.0.0", False),
        ("2.14.0", "10.0.0", True),
    ],
)
def test_versions_of_interpreters_are_compared_as_numbers(
    version: str, numpy_version: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions 2.5 to 2.9 are older than 2.14, although they follow it in alphabetical order."""
    monkeypatch.setattr(interpreter, "RUNTIMES", ("tflite_runtime",))
    monkeypatch.setattr("poets_edge.tflite.interpreter.importlib.import_module", lambda name: ModuleType(name))
    monkeypatch.setattr(interpreter.Runtime, "version", version)
    monkeypatch.setattr(numpy, "__version__", numpy_version)
    if refused:
        with pytest.raises(RuntimeMissingError, match=f"tflite-runtime {version} needs numpy 1, and numpy "):
            find_runtime()
    else:
        assert find_runtime().name == "tflite_runtime"


class _Operators:
    """Interpreter that reports given operators, as (name, inputs, outputs)."""

    def __init__(self, *operators: tuple[str, list[int], list[int]]) -> None:
        self._operators = operators

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [{"op_name": name, "inputs": inputs, "outputs": outputs} for name, inputs, outputs in self._operators]


@pytest.mark.parametrize(
    ("operators", "accelerated"),
    [
        ([("CONV_2D", [0, 1, 2], [9]), ("DELEGATE", [0, 1, 2], [9])], True),
        ([("CONV_2D", [0, 1, 2], [9]), ("DELEGATE", [0, 2], [9])], False),
        ([("CONV_2D", [0, 1, 2], [9]), ("DEPTHWISE_CONV_2D", [9, 3, 4], [8]), ("DELEGATE", [0, 1], [9])], False),
        (
            [("CONV_2D", [0, 1], [9]), ("CONV_2D", [9, 3], [8]), ("CONV_2D", [8, 5], [7]), ("DELEGATE", [1, 5], [9])],
            True,
        ),
        ([("DEPTHWISE_CONV_2D", [0, 1], [9]), ("DELEGATE", [1], [9])], True),
        ([("SOFTMAX", [0], [9]), ("DELEGATE", [0], [9])], True),
        ([("SOFTMAX", [0], [9])], False),
        ([("DEQUANTIZE", [5], [1]), ("CONV_2D", [0, 1], [9]), ("DELEGATE", [0, 5], [9])], True),
        ([("DEQUANTIZE", [5], [1]), ("CONV_2D", [0, 1], [9]), ("DELEGATE", [0, 1], [9])], False),
        ([("CONV_2D", [0, 1], [9])], False),
    ],
)
def test_model_is_accelerated_if_the_weights_of_most_convolutions_are_delegated(
    operators: list[tuple[str, list[int], list[int]]], accelerated: bool
) -> None:
    fake = _Operators(*operators)
    assert interpreter.is_accelerated(fake) is accelerated
    assert interpreter.operator_names(fake) == [name for name, _, _ in operators if name != "DELEGATE"]


def test_silent_stderr_discards_output_and_restores_the_descriptor(capfd: pytest.CaptureFixture[str]) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with interpreter.silent_stderr():
            os.write(2, b"hidden")
        with pytest.raises(ValueError), interpreter.silent_stderr():
            os.write(2, b"hidden")
            raise ValueError
    os.write(2, b"shown")
    assert capfd.readouterr().err == "shown" and len(list(Path("/proc/self/fd").iterdir())) == before
