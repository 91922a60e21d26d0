"""Tests of the verification of models."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.tflite.verify import memory
from poets_edge.tflite.verify.tables import FlawError
from poets_edge.tflite.verify.verify import check
from tests.conftest import ROOT, poets_edge

SEEDS = ROOT / "tests/corpus/seeds"
SEED = (SEEDS / "seed_graph.tflite").read_bytes()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "yellow").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def changed(change: Callable[[Any], None], seed: bytes = SEED) -> bytes:
    """Return a model as a valid FlatBuffer after a change to its objects."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as generated

    tree = generated.ModelT.InitFromPackedBuf(seed, 0)
    for operator in tree.subgraphs[0].operators:
        operator.inputs, operator.outputs = list(operator.inputs), list(operator.outputs)
    change(tree)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _type(number: int) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        tree.subgraphs[0].tensors[tree.subgraphs[0].outputs[0]].type = number

    return change


def _missing_input(tree: Any) -> None:
    tree.subgraphs[0].operators[0].inputs[1] = -1


def _unknown_operator(tree: Any) -> None:
    tree.operatorCodes[0].builtinCode = tree.operatorCodes[0].deprecatedBuiltinCode = 32  # CUSTOM


def _huge(tree: Any) -> None:
    tensor = tree.subgraphs[0].tensors[tree.subgraphs[0].operators[0].outputs[0]]
    tensor.shape = np.array([1, 60_000, 60_000, 8], np.int32)


def _backwards(tree: Any) -> None:
    tree.subgraphs[0].operators.reverse()


def _not_finite(tree: Any) -> None:
    weights = tree.subgraphs[0].tensors[tree.subgraphs[0].operators[0].inputs[1]]
    data = np.frombuffer(bytes(tree.buffers[weights.buffer].data), np.float32).copy()
    data[0] = np.inf
    tree.buffers[weights.buffer].data = data.view(np.uint8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_type(5), "type 5"),
        (_type(13), "type 13"),
        (_type(14), "type 14"),
        (_missing_input, "input -1"),
        (_unknown_operator, "operator"),
        (_huge, "will be"),
        (_backwards, "not computed"),
        (_not_finite, "NaN or infinity"),
    ],
)
def test_verify_refuses_damaged_models_before_the_trial(
    tmp_path: Path, photo: Path, change: Callable[[Any], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def see(*_: Any) -> None:
        raise AssertionError("an interpreter was given it")

    monkeypatch.setattr("poets_edge.tflite.verify.verify.run_trial", see)
    (tmp_path / "bad.tflite").write_bytes(changed(change))
    for command in (("label", tmp_path / "bad.tflite", photo), ("inspect", tmp_path / "bad.tflite")):
        poets_edge(*command).failed("bad.tflite", said)


def test_model_check_refuses_invalid_quantization_scales(tmp_path: Path) -> None:
    for scale in (0.0, -1.0, float("nan"), 1e30):

        def change(tree: Any, scale: float = scale) -> None:
            tensor = tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]]
            tensor.quantization.scale = [scale]

        with pytest.raises(FlawError, match="scale"):
            check(changed(change, (SEEDS / "seed_graph_int8.tflite").read_bytes()))


def test_model_check_raises_only_flaw_errors_for_changed_bytes() -> None:
    """Each group of 4 bytes is replaced by extreme values; `check` may refuse the model, but not crash."""
    refused = accepted = 0
    for place in range(0, 1200, 4):
        for value in (0xFFFFFFFF, 0x7FFFFFFF, 0):
            data = bytearray(SEED)
            data[place : place + 4] = value.to_bytes(4, "little")
            try:
                check(bytes(data))
            except FlawError:
                refused += 1
            else:
                accepted += 1
    assert refused > accepted > 0


def test_read_model_verifies_a_model_only_once(tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (
        "seed_graph.tflite",
        "seed_graph_int8.tflite",
        "seed_graph_float16.tflite",
        "seed_graph_dynamic.tflite",
    ):
        assert check((SEEDS / name).read_bytes()).multiplications > 1000
    poets_edge("label", SEEDS / "seed_graph.tflite", photo).ok()
    assert len(list((tmp_path / "cache/poets_edge/verified").iterdir())) == 1

    def again(*_: Any) -> None:
        raise AssertionError("verified again")

    monkeypatch.setattr("poets_edge.tflite.verify.verify.verify", again)
    poets_edge("label", SEEDS / "seed_graph.tflite", photo).ok()


def test_trial_survives_a_crash_of_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial is called directly, because the rules would already refuse the model."""
    from poets_edge.tflite.verify.graph_rules import InferenceCost
    from poets_edge.tflite.verify.trial import run_trial

    run_trial(SEED, InferenceCost(10_000, 10_000))
    with pytest.raises(FlawError, match=r"loaded|interpreter"):
        run_trial(changed(_missing_input), InferenceCost(10_000, 10_000))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_read_model_refuses_archives_that_expand_too_much(tmp_path: Path, photo: Path, method: int) -> None:
    file = io.BytesIO(SEED[: SEED.find(b"PK\x03\x04")])
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", method) as archive:
        archive.writestr("labels.txt", bytes(300 << 20))
    (tmp_path / "bomb.tflite").write_bytes(file.getvalue())
    poets_edge("label", tmp_path / "bomb.tflite", photo).failed("bomb.tflite", "damaged")


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        ("edgetpu-custom-op", "compiled for a Coral Edge TPU"),
        ("TFLite_Detection_PostProcess", "an object detector"),
        ("SomethingElse", "not supported here: the operator SomethingElse"),
    ],
)
def test_error_names_the_kind_of_an_unsupported_network_according_to_its_operator(
    operator: str, said: str, tmp_path: Path, photo: Path
) -> None:
    def foreign(tree: Any) -> None:
        code = tree.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, operator  # BuiltinOperator.CUSTOM

    (tmp_path / "model.tflite").write_bytes(changed(foreign))
    ran = poets_edge("label", tmp_path / "model.tflite", photo).failed("model.tflite", said)
    assert "Export it again" not in ran.stderr, "it is not damaged"


@pytest.mark.parametrize(
    "shape", [(1, 257, 257, 21), (1, 1, 17, 3), (1, 25200, 85)], ids=["segments", "poses", "boxes"]
)
def test_error_names_the_kind_of_an_unsupported_network_according_to_its_output_shape(
    shape: tuple[int, ...], tmp_path: Path, photo: Path
) -> None:
    def maps(tree: Any) -> None:
        tree.subgraphs[0].tensors[tree.subgraphs[0].outputs[0]].shape = list(shape)
        code = tree.operatorCodes[-1]
        code.builtinCode, code.deprecatedBuiltinCode = 23, 23  # BuiltinOperator.RESIZE_BILINEAR

    (tmp_path / "model.tflite").write_bytes(changed(maps))
    ran = poets_edge("label", tmp_path / "model.tflite", photo).failed("model.tflite", "segmentation, poses")
    assert "Export it again" not in ran.stderr and "labels inside" not in ran.stderr


def test_label_command_refuses_a_segmentation_network(photo: Path) -> None:
    poets_edge("label", ROOT / "poets_edge/tflite/probe.tflite", photo).failed("8 x 8 x 4 values", "segmentation")


def test_read_model_verifies_again_with_a_different_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ai_edge_litert/interpreter.py"
    file.parent.mkdir()
    (file.parent / "__init__.py").touch()
    file.write_text("# 2.3.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    memory.remember(b"a model")
    assert memory.is_known(b"a model") and not memory.is_known(b"another")
    file.write_text("# 2.4.0, of another size")
    assert not memory.is_known(b"a model")
