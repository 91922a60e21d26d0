"""Tests of `export --target` for NPUs: Vela's compilation and estimates, and the requirements of the Edge TPU."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.exporting.microcontroller.tflm import micro_operators
from poets_edge.exporting.npu.edge_tpu import check_edge_tpu
from poets_edge.exporting.npu.vela import ACCELERATORS, compile_for_npu
from poets_edge.nets.detector import _WEIGHTS, Detector
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Parameters, checked
from poets_edge.quantize.unknown_label import with_unknown_label
from poets_edge.quantize.write_full_int8 import write_full_int8_model
from poets_edge.quantize.write_int8 import write_int8_model
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.flatbuffer import pack_model, unpack_model
from tests.conftest import Trained, poets_edge
from tests.needs import need_module

LAYERS = (
    Layer("first", "convolution", (INPUT,), 8, (3, 3), 2, activation="relu6"),
    Layer("bottleneck", "mean", ("first",)),
    Layer("logits", "dense", ("bottleneck",), 4),
    Layer("scores", "softmax", ("logits",)),
)
RANGES = {"first": (0.0, 6.0), "bottleneck": (0.0, 6.0), "logits": (-5.0, 5.0)}


def network() -> Any:
    rng = np.random.default_rng(0)
    parameters = {
        "first": Parameters(rng.normal(size=(3, 3, 3, 8)).astype(np.float32), np.zeros(8, np.float32)),
        "logits": Parameters(rng.normal(size=(8, 4)).astype(np.float32), np.zeros(4, np.float32)),
    }
    return checked((32, 32), LAYERS, parameters)


@pytest.fixture(scope="module")
def full_int8() -> bytes:
    """A full-int8 model that detects unknown photos."""
    rng = np.random.default_rng(1)
    arrays: Any = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in zip(_WEIGHTS, ((8, 5), (5,), (5,), (5, 4), (4,), (5,), (1,)), strict=True)
    }
    bottlenecks = rng.uniform(0, 6, (20, 8)).astype(np.float32)
    return write_full_int8_model(replace(network(), detector=Detector(**arrays)), RANGES, bottlenecks=bottlenecks)


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-256", "ethos-u85-256"])
def test_compiled_model_consists_of_one_operator_for_the_npu(accelerator: str, full_int8: bytes) -> None:
    need_module("ethosu")
    found = compile_for_npu(full_int8, accelerator, name="it")
    assert (
        micro_operators(found.content) == ("Custom",) and len(unpack_model(found.content).subgraphs[0].operators) == 1
    )
    estimate = found.estimate
    assert estimate.accelerator == accelerator and estimate.cpu_operators == 0 and estimate.share == 1
    assert estimate.npu_operators >= len(unpack_model(full_int8).subgraphs[0].operators) - 2 > len(LAYERS)
    assert estimate.sram >= 32 * 32 * 3 and estimate.flash > 3 * 3 * 3 * 8
    assert estimate.inferences_per_second == pytest.approx(1000 / estimate.milliseconds) and estimate.milliseconds > 0
    assert json.dumps(estimate.to_json())


def test_larger_npu_is_estimated_to_be_faster(full_int8: bytes) -> None:
    need_module("ethosu")
    small, large = (
        compile_for_npu(full_int8, f"ethos-u55-{macs}", name="it").estimate.milliseconds for macs in (32, 256)
    )
    assert large < small


def test_error_about_a_model_with_float_operators_names_them() -> None:
    need_module("ethosu")
    with pytest.raises(ModelError, match=r"of its operators would run on the CPU \(.*Float32.*takes a full-int8 file"):
        compile_for_npu(write_int8_model(network(), RANGES), "ethos-u55-128", name="it")


def test_damaged_model_is_refused() -> None:
    need_module("ethosu")
    with pytest.raises(ModelError, match="it: Vela cannot compile it"):
        compile_for_npu(b"TFL3 but not really", "ethos-u55-128", name="it")


@pytest.mark.parametrize("content", [write_float_model(network()), write_int8_model(network(), RANGES)])
def test_edge_tpu_accepts_full_int8_models_only(full_int8: bytes, content: bytes) -> None:
    check_edge_tpu(full_int8, name="it")
    check_edge_tpu(with_unknown_label(full_int8), name="it")
    with pytest.raises(ModelError, match="full-int8"):
        check_edge_tpu(content, name="it")


def test_edge_tpu_refuses_inputs_without_a_fixed_size(full_int8: bytes) -> None:
    model = unpack_model(full_int8)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shapeSignature = np.array([1, -1, -1, 3], np.int32)
    with pytest.raises(ModelError, match="input has no fixed size"):
        check_edge_tpu(pack_model(model), name="it")


def test_export_target_compiles_for_ethos_u_and_prints_the_command_for_the_edge_tpu(
    trained: Trained, tmp_path: Path
) -> None:
    need_module("ethosu")
    common = ("export", trained.folder / "tf_files/retrained_graph.pb", "-q", "--output-dir", tmp_path / "out")
    shown = poets_edge(*common, "--target", "ethos-u55-128", cwd=tmp_path).ok().stdout
    assert "100.0 % on the NPU" in shown and "estimated by Vela" in shown
    names = ["labels.txt", "retrained_graph_full_int8.tflite", "retrained_graph_full_int8_vela.tflite"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    shown = poets_edge(*common, "--target", "edge-tpu", cwd=tmp_path).ok().stdout
    assert f"edgetpu_compiler --out_dir {tmp_path / 'out'} {tmp_path / 'out' / names[1]}" in shown
    found = json.loads(poets_edge(*common, "--target", "edge-tpu", "--json", cwd=tmp_path).ok().stdout)
    assert found["target"] == "edge-tpu" and found["compiled"] is None
    poets_edge(*common, "--target", "ethos-u55-128", "--quantize", "int8", cwd=tmp_path).failed("leave out --quantize")


def test_vela_supports_all_offered_accelerators() -> None:
    """The output of `vela --help` lists all accelerators for which poets_edge can compile."""
    need_module("ethosu")
    shown = subprocess.run([sys.executable, "-m", "ethosu.vela", "--help"], capture_output=True, text=True, check=True)
    assert all(accelerator in shown.stdout for accelerator in ACCELERATORS)
