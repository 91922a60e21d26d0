"""Tests of the part of a trial that the helper process runs, and of the record of verified models."""

from __future__ import annotations

import platform
import re
import resource
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.core.processes import HelperEndedError
from poets_edge.tflite.verify import memory, trial
from poets_edge.tflite.verify.answers import other_answer
from poets_edge.tflite.verify.graph_rules import InferenceCost
from poets_edge.tflite.verify.tables import FlawError, OtherNetworkError
from tests.tflite.test_rules import Tensor, convolution, model

NO_LIMIT = 1 << 40


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the memory limit, so that a trial can run in the process of the tests."""
    monkeypatch.setattr(trial, "_limit", lambda memory: None)


@pytest.mark.usefixtures("unlimited")
def test_trial_finds_no_flaw_in_a_valid_model() -> None:
    assert trial._try(trial._Trial(convolution(), NO_LIMIT)) == ""


@pytest.mark.usefixtures("unlimited")
def test_trial_reports_outputs_that_are_not_finite() -> None:
    """The model divides an input of zeros by itself."""
    content = model("DIV", [Tensor(), Tensor()], Tensor(), "DivOptions")
    assert trial._try(trial._Trial(content, NO_LIMIT)) == "its output contains NaN or infinity"


@pytest.mark.usefixtures("unlimited")
def test_trial_reports_unloadable_models_without_their_path() -> None:
    found = trial._try(trial._Trial(b"\x1c\0\0\0TFL3" + bytes(40), NO_LIMIT))
    assert found.startswith("cannot be loaded")


def test_memory_of_the_trial_process_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the memory in use before, plus twice the model's memory, plus 512 MiB."""
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    trial._limit(1 << 30)
    soft, hard = limits.pop(resource.RLIMIT_AS)
    assert soft == hard and limits == {resource.RLIMIT_CORE: (0, 0)}
    assert soft - before == pytest.approx((2 << 30) + (512 << 20), abs=64 << 20)


def test_flaw_errors_from_the_trial_process_are_raised() -> None:
    content = model("DIV", [Tensor(), Tensor()], Tensor(), "DivOptions")
    with pytest.raises(FlawError, match="NaN or infinity"):
        trial.run_trial(content, InferenceCost(10_000, 0))


@pytest.mark.parametrize(
    ("shapes", "described"),
    [
        ([(1, 5)], ""),
        ([(5,), (1, 1, 1, 7)], ""),
        ([(1, 5), (1, 10, 4)], "10 x 4 values"),
        ([(1, 2, 3)], "2 x 3 values"),
        ([(1, 8, 7, 6, 5, 4)], "8 x 7 x 6 x 5 values"),
        ([], ""),
    ],
)
def test_other_answer_describes_outputs_that_are_not_one_score_per_label(
    shapes: list[tuple[int, ...]], described: str
) -> None:
    found = other_answer(shapes)
    assert described in found and bool(found) == bool(described)


def test_verified_models_are_recorded_by_content_and_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not memory.is_known(b"model")
    memory.remember(b"model")
    memory.remember(b"model")
    assert memory.is_known(b"model") and not memory.is_known(b"other")
    monkeypatch.setattr(memory, "RUNTIMES", ("missing_runtime",))
    assert not memory.is_known(b"model"), "another interpreter"


def test_verified_models_are_not_recorded_if_the_cache_folder_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "poets_edge").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    memory.remember(b"model")
    assert not memory.is_known(b"model")
    assert [path.name for path in tmp_path.iterdir()] == ["poets_edge"]


class _Fake:
    """Interpreter with two outputs, the second of which is given."""

    def __init__(self, second: float) -> None:
        self._second = second

    def get_input_details(self) -> list[dict[str, object]]:
        return []

    def get_output_details(self) -> list[dict[str, object]]:
        return [{"index": 0}, {"index": 1}]

    def invoke(self) -> None:
        pass

    def get_tensor(self, index: int) -> Any:
        return np.array([[0.5, self._second if index else 0.25]])


@pytest.mark.usefixtures("unlimited")
def test_trial_checks_every_output_with_and_without_xnnpack(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[bool] = []

    def opened(file: object, *, accelerate: bool) -> _Fake:
        modes.append(accelerate)
        return _Fake(1.0 if accelerate else np.nan)

    monkeypatch.setattr(trial, "open_model", opened)
    assert trial._try(trial._Trial(b"", NO_LIMIT)) == "its output contains NaN or infinity"
    assert modes == [True, False]


class _Helper:
    """Helper process that ends as given."""

    def __init__(self, ended: HelperEndedError | OSError | str) -> None:
        self.ended, self.seconds = ended, 0.0

    def __call__(self, function: object) -> _Helper:
        return self

    def __enter__(self) -> _Helper:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, request: object, what: str, *, seconds: float) -> str:
        self.seconds = seconds
        if isinstance(self.ended, str):
            return self.ended
        raise self.ended


def _ended(*, status: int = 0, timed_out: bool = False) -> HelperEndedError:
    error = HelperEndedError("ended")
    error.status, error.timed_out = status, timed_out
    return error


@pytest.mark.parametrize(
    ("ended", "kind", "message"),
    [
        (_ended(timed_out=True), FlawError, "an inference takes more than 100 seconds"),
        (_ended(status=-11), FlawError, "it crashes the interpreter with signal 11"),
        (_ended(status=1), FlawError, "it crashes the interpreter, or needs too much memory"),
        ("cannot be loaded (too new). Update it.", OtherNetworkError, r"cannot be loaded \(too new\)\. Update it\."),
        ("x" * 400, FlawError, "x{300}"),
    ],
)
def test_error_describes_how_the_trial_process_ended(
    ended: HelperEndedError | str, kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two billion multiplications are allowed 40 seconds in addition to 60."""
    helper = _Helper(ended)
    monkeypatch.setattr(trial, "Helper", helper)
    with pytest.raises(FlawError, match=f"^{message}$") as raised:
        trial.run_trial(b"", InferenceCost(1, 2 * 10**9))
    assert raised.type is kind and helper.seconds == 100


def test_model_is_accepted_if_no_trial_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    helper = _Helper(OSError("no memory"))
    monkeypatch.setattr(trial, "Helper", helper)
    trial.run_trial(b"", InferenceCost(1, 0))
    assert helper.seconds == 60


def test_record_of_verified_models_is_readable_only_by_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    memory.remember(b"model")
    memory.remember(b"other")
    assert memory.is_known(b"model") and memory.is_known(b"other")
    folder = tmp_path / "poets_edge/verified"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(re.fullmatch(r"[0-9a-f]{64}-[0-9a-f]{16}-[0-9]+", path.name) for path in folder.iterdir())


def test_models_are_verified_again_on_a_machine_of_another_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    memory.remember(b"model")
    assert memory._machine() == platform.machine()
    monkeypatch.setattr(memory, "_machine", lambda: "riscv64")
    assert not memory.is_known(b"model")


def test_no_model_counts_as_verified_if_there_is_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(memory, "cache_folder", homeless)
    memory.remember(b"model")
    assert memory.is_known(b"model") is False


class _Failing(_Fake):
    """Interpreter with one input, which records its values and raises an error with the given message."""

    def __init__(self, message: str) -> None:
        super().__init__(1.0)
        self.message = message
        self.inputs: list[tuple[int, Any]] = []

    def get_input_details(self) -> list[dict[str, object]]:
        return [{"index": 5, "shape": (1, 2), "dtype": np.uint8}]

    def set_tensor(self, index: int, values: Any) -> None:
        self.inputs.append((index, values))

    def invoke(self) -> None:
        raise RuntimeError(self.message)


@pytest.mark.parametrize(
    ("message", "found"), [("", "it cannot be run"), (" node 3\n  (CONV_2D) failed\n", "node 3 (CONV_2D) failed")]
)
@pytest.mark.usefixtures("unlimited")
def test_trial_describes_errors_of_the_interpreter_in_one_line(
    message: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = _Failing(message)
    monkeypatch.setattr(trial, "open_model", lambda file, *, accelerate: failing)
    assert trial._try(trial._Trial(b"", NO_LIMIT)) == found
    [(index, values)] = failing.inputs
    assert index == 5 and values.dtype == np.uint8 and values.tolist() == [[0, 0]]


def test_trial_imports_the_interpreter_before_limiting_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(trial, "find_runtime", lambda: done.append("imported"))
    monkeypatch.setattr(trial, "_limit", lambda memory: done.append(f"limited to {memory}"))
    monkeypatch.setattr(trial, "open_model", lambda file, *, accelerate: _Fake(1.0))
    assert trial._try(trial._Trial(b"", 77)) == ""
    assert done == ["imported", "limited to 77"]
