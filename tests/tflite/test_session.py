"""Tests of sessions: quantization of tensors, and the order of several outputs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.tflite import interpreter, session
from poets_edge.tflite.interpreter import Runtime, open_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session, TensorInfo
from tests.tflite.test_rules import Tensor, integers, model


def test_dequantization_subtracts_the_zero_point_before_scaling() -> None:
    info = TensorInfo(0, "x", (1, 3), np.dtype("int8"), 0.25, -3)
    found = info.dequantize(np.array([[-128, 5, 127]], np.int8))
    assert found.dtype == np.float32 and found.tolist() == [[-31.25, 2.0, 32.5]]
    plain = TensorInfo(0, "x", (1, 3), np.dtype("int8"), 0.0, -3)
    assert plain.dequantize(np.array([-128, 5], np.int8)).tolist() == [-128.0, 5.0]


def test_session_describes_quantized_tensors() -> None:
    tensors = [Tensor((1, 3), "INT8", [0.5], -4), Tensor((1, 3), "UINT8", [0.25], 7)]
    session = Session(ModelFile(Path("m"), model("QUANTIZE", tensors[:1], tensors[1])))
    (source,), (target,) = session.inputs, session.outputs
    assert (source.scale, source.zero_point, source.dtype.name, source.shape) == (0.5, -4, "int8", (1, 3))
    assert (target.scale, target.zero_point, target.dtype.name, target.shape) == (0.25, 7, "uint8", (1, 3))
    assert session.run(np.array([[-4, -2, 1]], np.int8)).tolist() == [[7, 11, 17]]


def test_session_returns_the_requested_outputs_in_the_requested_order() -> None:
    content = model("TRANSPOSE", [Tensor((2, 3)), integers(1, 0)], Tensor((3, 2)), "TransposeOptions")
    session = Session(ModelFile(Path("m"), content))
    session.outputs = (session.inputs[0], session.outputs[0])
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert [found.shape for found in session.run_some(values, [1, 0])] == [(3, 2), (2, 3)]
    assert session.run(values, 1).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert session.run(values).tolist() == values.tolist()
    found = session.run_all(values)
    assert [one.shape for one in found] == [(2, 3), (3, 2)]
    del found


@pytest.mark.parametrize("accelerate", [True, False])
def test_results_of_a_session_are_unchanged_by_later_runs(accelerate: bool) -> None:
    session = Session(ModelFile(Path("m"), model("RELU", [Tensor((1, 3))], Tensor((1, 3)))), accelerate=accelerate)
    first = session.run(np.array([[-1, 2, 3]], np.float32))
    assert session.run(np.array([[4, 5, -6]], np.float32)).tolist() == [[4, 5, 0]]
    assert first.tolist() == [[0, 2, 3]]


class FakeInterpreter:
    """Interpreter that records its options, and fails with a given message."""

    options: ClassVar[list[dict[str, Any]]] = []
    error = ""

    def __init__(self, model_content: bytes, **options: Any) -> None:
        self.options.append(options)

    def allocate_tensors(self) -> None:
        if self.error:
            raise RuntimeError(self.error)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeInterpreter]:
    """The class of the interpreter that `open_model` loads."""
    kinds = SimpleNamespace(BUILTIN_WITHOUT_DEFAULT_DELEGATES="plain")
    module = SimpleNamespace(Interpreter=FakeInterpreter, OpResolverType=kinds)
    runtime = Runtime("ai_edge_litert", cast(ModuleType, module))
    monkeypatch.setattr(interpreter, "find_runtime", lambda: runtime)
    monkeypatch.setattr(FakeInterpreter, "options", [])
    return FakeInterpreter


def test_threads_and_acceleration_are_passed_to_the_interpreter(fake: type[FakeInterpreter]) -> None:
    open_model(ModelFile(Path("m"), b""), 3)
    open_model(ModelFile(Path("m"), b""), accelerate=False)
    assert fake.options == [{"num_threads": 3}, {"num_threads": 1, "experimental_op_resolver_type": "plain"}]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("Didn't find op for builtin opcode 'X' version '9'", "is too old for it. Run: pip install --upgrade ai-edge-"),
        ("tensor 3  is\ndamaged", r"\(tensor 3 is damaged\). Export it again, or copy it again"),
        (" ", r"\(damaged\). Export it again"),
    ],
)
def test_model_that_cannot_be_loaded_is_reported_with_a_remedy(
    error: str, remedy: str, fake: type[FakeInterpreter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "error", error)
    with pytest.raises(ModelError, match=f"^m: cannot be loaded .*{remedy}"):
        open_model(ModelFile(Path("m"), b""))


def test_session_passes_its_options_to_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, dict[str, Any]]] = []
    empty = SimpleNamespace(get_input_details=list, get_output_details=list)

    def load(file: ModelFile, threads: int, **named: Any) -> Any:
        seen.append((threads, named))
        return empty

    monkeypatch.setattr(session, "open_model", load)
    Session(ModelFile(Path("m"), b""), 2, accelerate=False, delegate="lib.so")
    Session(ModelFile(Path("m"), b""))
    assert seen == [(2, {"accelerate": False, "delegate": "lib.so"}), (1, {"accelerate": True, "delegate": None})]
