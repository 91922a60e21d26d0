"""Tests of delegates with a fake libedgetpu, a shared library with the same entry points.

The fake delegate supports no operator, so the CPU runs the model. The delegate logs each model that it is offered.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from poets_edge.api.models import open_scorer
from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError, RuntimeMissingError, UsageError
from poets_edge.tflite.flatbuffer import pack_model, schema, unpack_model
from tests.conftest import DAISY, Trained, poets_edge
from tests.needs import missing


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or missing("gcc is not installed")
    path = tmp_path_factory.mktemp("delegate") / "libstandin.so"
    source = Path(__file__).with_name("delegate.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", source, "-o", path], check=True)
    return path


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file to which the fake delegate appends a line for each model that an interpreter offers it."""
    monkeypatch.setenv("STAND_IN_DELEGATE_LOG", str(tmp_path / "log"))
    (tmp_path / "log").touch()
    return tmp_path / "log"


def offered(log: Path) -> int:
    return len(log.read_text().splitlines())


def test_classifier_passes_the_model_to_the_delegate(library: Path, log: Path, trained: Trained) -> None:
    """A clone and an unpickled classifier also pass it. The CPU runs all operators, so the scores do not change."""
    plain = Classifier(trained.model("int8"))
    assert offered(log) == 0
    delegated = Classifier(trained.model("int8"), delegate=str(library))
    assert offered(log) == 1
    pixels = np.random.default_rng(0).integers(0, 256, (*plain.size, 3), np.uint8)
    np.testing.assert_array_equal(delegated.score_pixels(pixels), plain.score_pixels(pixels))
    delegated.clone()
    pickle.loads(pickle.dumps(delegated))
    assert offered(log) == 3


def test_label_and_benchmark_accept_a_delegate(library: Path, log: Path, trained: Trained, flowers: Path) -> None:
    model = trained.model("int8")
    common = ("--delegate", library, "--json")
    [found] = json.loads(poets_edge("label", model, flowers / DAISY, *common, cwd=log.parent).ok().stdout)
    assert found["labels"] and offered(log) == 1
    timing = ("--threads", "1", "--rounds", "1", "--min-seconds", "0.05", "-q")
    poets_edge("benchmark", model, *timing, *common, cwd=log.parent).ok()
    assert offered(log) >= 3, "to check the model, and in the process that is timed"
    refused = poets_edge("benchmark", model, "--on", "pi@nowhere", *common, cwd=log.parent)
    refused.failed("--delegate measures on this device: leave out --on and --sustained")


@pytest.mark.parametrize("name", ["libedgetpu.so.none", "/etc/passwd", "libc.so.6"])
def test_library_that_is_not_a_delegate_is_refused(name: str, trained: Trained, tmp_path: Path) -> None:
    ran = poets_edge("label", trained.model("int8"), "photo.jpg", "--delegate", name, cwd=tmp_path)
    ran.failed(f"{name}: cannot be loaded as a delegate")
    assert "Traceback" not in ran.stderr


def test_error_contains_the_reason_why_a_delegate_refuses_a_model(
    library: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_DELEGATE_FAILS", "1")
    with pytest.raises(RuntimeMissingError, match="no device is plugged in"):
        Classifier(trained.model("int8"), delegate=str(library))


def test_model_compiled_for_an_edge_tpu_requires_a_delegate(library: Path, trained: Trained, tmp_path: Path) -> None:
    """The fake delegate does not support the operator, so the interpreter refuses the model with a one-line error."""
    model = unpack_model(trained.model("int8").read_bytes())
    graph, parts = model.subgraphs[0], schema()
    code = parts.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = (
        parts.BuiltinOperator.CUSTOM,
        32,
        b"edgetpu-custom-op",
    )
    model.operatorCodes, operator = [code], parts.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, graph.inputs, graph.outputs
    graph.operators = [operator]
    path = tmp_path / "compiled.tflite"
    path.write_bytes(pack_model(model))
    with pytest.raises(ModelError, match="compiled for a Coral Edge TPU"):
        Classifier(path, labels=["a", "b"])
    with pytest.raises(ModelError, match="edgetpu-custom-op"):
        Classifier(path, labels=["a", "b"], delegate=str(library))


def test_frozen_graph_with_a_delegate_is_refused(trained: Trained) -> None:
    with pytest.raises(UsageError, match=r"`delegate` runs `\.tflite` files"):
        open_scorer(trained.folder / "tf_files/retrained_graph.pb", delegate="libedgetpu.so.1")
