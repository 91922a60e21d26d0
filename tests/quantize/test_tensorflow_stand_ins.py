"""Tests of foreign models with stand-ins for TensorFlow and onnx2tf, which take seconds to start."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError, RuntimeMissingError
from poets_edge.nets.graphdef import empty_graph, serialize
from poets_edge.photos.normalization import RAW, UNIT
from poets_edge.quantize import convert as convert_module
from poets_edge.quantize import tensorflow_files, tensorflow_model
from poets_edge.quantize.convert import convert
from poets_edge.quantize.onnx_model import convert_onnx
from poets_edge.quantize.tensorflow_files import load_saved
from poets_edge.quantize.tensorflow_model import TensorFlowModel, find_input_range, freeze


@pytest.mark.parametrize(
    ("status", "writes", "printed", "message"),
    [
        (0, True, "", ""),
        (1, True, "an error", r"onnx2tf cannot convert it \(an error\)"),
        (0, False, "finished", r"onnx2tf cannot convert it \(finished\)"),
    ],
)
def test_onnx_model_is_copied_before_onnx2tf_converts_it(
    status: int, writes: bool, printed: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], *, cwd: Path, **options: Any) -> Any:
        commands.append(command)
        assert Path(command[2]).read_bytes() == b"model" and cwd == tmp_path / "folder"
        assert np.load(next(cwd.glob("calibration_*.npy"))).shape == (20, 128, 128, 3)
        Path(command[2]).write_bytes(b"simplified")
        if writes:
            (cwd / "converted").mkdir()
            (cwd / "converted/saved_model.pb").touch()
        return SimpleNamespace(returncode=status, stdout=printed, stderr="")

    monkeypatch.setattr("poets_edge.quantize.onnx_model.shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("poets_edge.quantize.onnx_model.subprocess.run", run)
    (tmp_path / "m.onnx").write_bytes(b"model")
    (tmp_path / "folder").mkdir()
    if message:
        with pytest.raises(ModelError, match=message):
            convert_onnx(tmp_path / "m.onnx", tmp_path / "folder")
    else:
        assert convert_onnx(tmp_path / "m.onnx", tmp_path / "folder") == tmp_path / "folder/converted"
    folder = tmp_path / "folder"
    assert commands == [["/bin/onnx2tf", "-i", str(folder / "model.onnx"), "-o", str(folder / "converted"), "-osd"]]
    assert (tmp_path / "m.onnx").read_bytes() == b"model"


def test_missing_or_slow_onnx2tf_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> Any:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    (tmp_path / "m.onnx").write_bytes(b"model")
    monkeypatch.setattr("poets_edge.quantize.onnx_model.shutil.which", lambda name: None)
    with pytest.raises(RuntimeMissingError, match=r"pip install 'onnx2tf<2'"):
        convert_onnx(tmp_path / "m.onnx", tmp_path)
    monkeypatch.setattr("poets_edge.quantize.onnx_model.shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("poets_edge.quantize.onnx_model.subprocess.run", run)
    with pytest.raises(ModelError, match="onnx2tf did not finish within 1800 seconds"):
        convert_onnx(tmp_path / "m.onnx", tmp_path)


def _signature(inputs: dict[str, str], outputs: list[str]) -> Any:
    """Return a signature that returns a dictionary of the sums of its inputs, by output."""

    def run(**values: Any) -> dict[str, Any]:
        return {name: (name, sorted(values.items())) for name in outputs}

    specs = {
        name: SimpleNamespace(dtype=dtype, shape=SimpleNamespace(as_list=lambda: [None, 8, 8, 3]))
        for name, dtype in inputs.items()
    }
    run.structured_input_signature = ((), specs)  # type: ignore[attr-defined]
    run.structured_outputs = dict.fromkeys(outputs)  # type: ignore[attr-defined]
    return run


GOOD = _signature({"x": "float32"}, ["scores"])


@pytest.mark.parametrize(
    ("signatures", "message"),
    [
        ({"serving_default": GOOD}, ""),
        ({"only": GOOD}, ""),
        ({"other": _signature({"y": "float32"}, ["z"]), "serving_default": GOOD}, ""),
        ({}, "has no signature serving_default. Export"),
        ({"a": GOOD, "b": GOOD}, "has no signature serving_default; it has a, b. Export"),
        ({"only": _signature({"x": "float32"}, ["scores", "boxes"])}, "has 2 outputs; an image classifier has one"),
        ({"only": _signature({"x": "float32"}, [])}, "has 0 outputs; an image classifier has one"),
        ({"only": _signature({"x": "uint8"}, ["scores"])}, "its input is not float32"),
        ({"only": _signature({"x": "float32", "y": "int32"}, ["scores"])}, "its input is not float32"),
    ],
)
def test_saved_model_needs_one_signature_with_a_float32_input_and_one_output(
    signatures: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Path] = []
    monkeypatch.setattr(tensorflow_files, "check_saved_model", checked.append)
    loaded = SimpleNamespace(load=lambda path: SimpleNamespace(signatures=signatures))
    tf = SimpleNamespace(saved_model=loaded, float32="float32", convert_to_tensor=lambda values, dtype: (values, dtype))
    if message:
        with pytest.raises(ModelError, match=message):
            load_saved(tf, tmp_path)
    else:
        run, shapes = load_saved(tf, tmp_path)
        assert shapes == [[None, 8, 8, 3]] and run("pixels") == ("scores", [("x", ("pixels", "float32"))])
    assert checked == [tmp_path]


def _model(run: Any) -> TensorFlowModel:
    return TensorFlowModel(Path("m.keras"), run, None, "input", (2, 2), 2)


def test_input_range_with_significantly_higher_accuracy_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is right only if white is 255; with other ranges, all photos seem to be dark."""
    monkeypatch.setattr(tensorflow_model, "input_evidence", lambda graph, name: None)
    pixels = [np.full((2, 2, 3), value, np.uint8) for value in (250, 30) * 10]
    classes = np.array([1, 0] * 10)

    def run(values: Any) -> Any:
        return np.array([[0.9, 0.1]] if values.mean() < 128 else [[0.2, 0.8]])

    found, evidence = find_input_range(_model(run), pixels, classes)
    assert found == RAW and evidence.startswith("accuracy on 20 photos: 100.0 % with 0:255, 50.0 % with")
    with pytest.raises(ModelError, match=r"its input range is not known \(accuracy on 4 photos: 100\.0 % with 0:255"):
        find_input_range(_model(run), pixels[:4], classes[:4])
    with pytest.raises(ModelError, match=r"its input range is not known\. Specify it"):
        find_input_range(_model(run), [], classes[:0])


def test_input_range_is_not_chosen_if_two_ranges_are_equally_accurate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranges -1 to 1 and 0 to 1 are correct for every photo, and 0 to 255 for half of them."""
    monkeypatch.setattr(tensorflow_model, "input_evidence", lambda graph, name: None)
    pixels = [np.full((2, 2, 3), value, np.uint8) for value in (250, 30) * 10]

    def run(values: Any) -> Any:
        return np.array([[0.2, 0.8]] if values.mean() > 0.5 else [[0.9, 0.1]])

    with pytest.raises(ModelError, match=r"100\.0 % with -1:1, 100\.0 % with 0:1, 50\.0 % with 0:255"):
        find_input_range(_model(run), pixels, np.array([1, 0] * 10))


class _Converter:
    """Stand-in for TensorFlow's converter of frozen graphs, which keeps its arguments and its settings."""

    made: list[_Converter]
    fails = False

    def __init__(self, file: str, inputs: list[str], outputs: list[str], *, input_shapes: Any) -> None:
        self.given = Path(file).read_bytes(), inputs, outputs, input_shapes
        self.file, self.target_spec = file, SimpleNamespace()
        self.made.append(self)

    def convert(self) -> bytes:
        if self.fails:
            raise ValueError(f"no operation Foo\nin {self.file}")
        return b"TFL3"


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> type[_Converter]:
    class Made(_Converter):
        made: list[_Converter] = []  # noqa: RUF012 - of one test

    lite = SimpleNamespace(
        TFLiteConverter=SimpleNamespace(from_frozen_graph=Made),
        Optimize=SimpleNamespace(DEFAULT="default"),
        OpsSet=SimpleNamespace(TFLITE_BUILTINS_INT8="int8 operators"),
    )
    tf = SimpleNamespace(
        **{name: name for name in ("int8", "uint8", "float16")},
        lite=lite,
        compat=SimpleNamespace(v1=SimpleNamespace(lite=lite)),
    )
    monkeypatch.setattr(convert_module, "load_tensorflow", lambda job: tf)
    return Made


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
@pytest.mark.parametrize("float_io", [False, True])
@pytest.mark.parametrize("quantization", ["float32", "dynamic", "float16", "int8", "full-int8"])
def test_types_of_input_and_output_depend_on_the_quantization(
    quantization: Any, float_io: bool, input_type: Any, converter: type[_Converter]
) -> None:
    """Only full-int8 files may have int8 ends, and only int8 files may have float ends instead of uint8."""
    graph = empty_graph()
    content = convert(graph, "g.pb", "x", "y", (96, 128), quantization, float_io=float_io, input_type=input_type)
    [made] = converter.made
    assert content == b"TFL3" and made.given == (serialize(graph), ["x"], ["y"], {"x": [1, 96, 128, 3]})
    whole = {"int8": None if float_io else "uint8", "full-int8": input_type}.get(quantization)
    ends = (getattr(made, f"inference_{end}_type", None) for end in ("input", "output"))
    assert tuple(ends) == (whole, whole)


def test_error_of_the_converter_names_the_graph_in_one_line(converter: type[_Converter]) -> None:
    converter.fails = True
    with pytest.raises(ModelError, match=r"^g\.pb: cannot .* Lite as float32 \(no operation Foo in g\.pb\)\.$"):
        convert(empty_graph(), "g.pb", "x", "y")
    assert converter.made[0].given[3] is None and not Path(converter.made[0].file).exists()


def test_model_whose_scores_do_not_sum_to_1_cannot_be_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_model, "load_tensorflow", lambda job: None)
    model = _model(lambda values: np.array([[0.9, 0.8]]))
    for pixels in ([], [np.zeros((2, 2, 3), np.uint8)]):
        with pytest.raises(ModelError, match=r"^m\.keras: its scores do not sum to 1"):
            freeze(model, UNIT, ("a", "b"), pixels)
