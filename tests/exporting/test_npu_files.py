"""Tests of the export for NPUs with a stand-in for Vela: its messages, its results, and the written files."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.errors import ModelError, RuntimeMissingError
from poets_edge.exporting.npu import edge_tpu
from poets_edge.exporting.npu import npu as module
from poets_edge.exporting.npu.edge_tpu import MEMORY, check_edge_tpu, compiler_command
from poets_edge.exporting.npu.npu import EDGE_TPU, NPUS, export_for_npu
from poets_edge.exporting.npu.vela import ACCELERATORS, NpuEstimate, NpuModel, compile_for_npu
from poets_edge.exporting.options import ExportOptions
from poets_edge.tflite.flatbuffer import add_tensor, new_model, new_operator, pack_model, schema

SUMMARY = (
    "system_config,memory_mode,inference_time,sram_memory_used,dram_memory_used,on_chip_flash_memory_used,"
    "off_chip_flash_memory_used\nSystem,Shared,0.5,10,1,2,4\n"
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that compiles a model with a stand-in for Vela, which prints and writes what the test specifies."""

    def compile(printed: str = "", error: str = "", status: int = 0, *, written: bool = True) -> NpuModel:
        def ended(command: list[str], **options: Any) -> Any:
            folder = Path(command[command.index("--output-dir") + 1])
            assert command[command.index("--accelerator-config") + 1] == "ethos-u65-512"
            assert Path(command[-1]).read_bytes() == b"model"
            assert options["timeout"] == 600
            (folder / "model_summary_x.csv").write_text(SUMMARY)
            if written:
                (folder / "model_vela.tflite").write_bytes(b"compiled")
            return SimpleNamespace(returncode=status, stdout=printed, stderr=error)

        monkeypatch.setattr("subprocess.run", ended)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
        return compile_for_npu(b"model", "ethos-u65-512", name="it")

    return compile


COUNTS = "CPU operators = {} (0 %)\nNPU operators = {} (100 %)\n"


def test_report_of_vela_is_converted_to_bytes_and_milliseconds(run: Any) -> None:
    found = run(COUNTS.format(0, 7))
    assert found.content == b"compiled"
    assert found.estimate == NpuEstimate(
        accelerator="ethos-u65-512", system="System, Shared", npu_operators=7, cpu_operators=0, sram=10 * 1024,
        flash=7 * 1024, milliseconds=500.0,
    )  # fmt: skip
    assert found.estimate.to_json()["share"] == 1.0 and found.estimate.to_json()["inferences_per_second"] == 2.0


def test_models_that_vela_compiles_only_in_part_are_refused_with_the_reasons(run: Any) -> None:
    reason = "Warning: unsupported operator: EXP, 'it' \n - Reason: not integer\n"
    with pytest.raises(ModelError, match=r"it: 2 of its operators would run on the CPU \(EXP: not integer\)"):
        run(reason + COUNTS.format(2, 5))
    with pytest.raises(ModelError, match="Vela gives no reason"):
        run(COUNTS.format(1, 5))


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"error": "Traceback\nValueError: bad\n", "status": 1}, r"cannot compile it \(ValueError: bad\)"),
        ({"printed": "first\nlast\n", "status": 1}, r"\(last\)"),
        ({"status": 3}, r"\(no message\)"),
        ({"printed": "done\n", "written": False}, r"\(done\)"),
    ],
)
def test_failure_of_vela_is_reported_with_the_last_line_of_its_output(
    ended: dict[str, Any], said: str, run: Any
) -> None:
    with pytest.raises(ModelError, match=said):
        run(**ended)


def test_npu_compilation_errors_report_a_timeout_or_missing_vela(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(command: list[str], **options: Any) -> Any:
        raise subprocess.TimeoutExpired(command, 600)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("subprocess.run", endless)
    with pytest.raises(ModelError, match="did not finish within 600 seconds"):
        compile_for_npu(b"model", "ethos-u55-32", name="it")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeMissingError, match=r"poets-edge\[npu\]"):
        compile_for_npu(b"model", "ethos-u55-32", name="it")


def test_supported_npus_are_the_edge_tpu_and_all_ethos_u_configurations() -> None:
    """The numbers of multiply-accumulates are those in the options of `vela --accelerator-config`."""
    macs = {"u55": (32, 64, 128, 256), "u65": (256, 512), "u85": (128, 256, 512, 1024, 2048)}
    assert tuple(f"ethos-{series}-{number}" for series, numbers in macs.items() for number in numbers) == ACCELERATORS
    assert (*ACCELERATORS, "edge-tpu") == NPUS


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that exports for an NPU, and returns the result and the files that would be written."""
    written: dict[Path, bytes] = {}

    def prepared(options: ExportOptions, reporter: Any) -> Any:
        assert options.quantizations == ("full-int8",)
        file = SimpleNamespace(path=(options.output_dir or Path()) / "g_full_int8.tflite", to_json=dict)
        return SimpleNamespace(
            result=SimpleNamespace(files=[file], labels=("b", "a")), contents=[b"with metadata"],
            models={"full-int8": b"bare"}, write=written.update,
        )  # fmt: skip

    def compiled(content: bytes, target: str, *, name: str) -> NpuModel:
        assert (content, name) == (b"bare", str(tmp_path / "g.pb"))
        return NpuModel(b"compiled for " + target.encode(), SimpleNamespace(to_json=dict))  # type: ignore[arg-type]

    monkeypatch.setattr(module, "prepare_export", prepared)
    monkeypatch.setattr(module, "compile_for_npu", compiled)
    monkeypatch.setattr(module, "check_edge_tpu", lambda content, name: written.update({Path(name): content}))

    def export(target: str, folder: Path | None = None) -> Any:
        written.clear()
        return export_for_npu(ExportOptions(graph=tmp_path / "g.pb", output_dir=folder), target), dict(written)

    return export


def test_compiled_npu_model_is_written_next_to_the_full_int8_file(exported: Any, tmp_path: Path) -> None:
    found, files = exported("ethos-u55-128")
    folder = tmp_path / "ethos_u55_128"
    assert files == {
        folder / "g_full_int8.tflite": b"with metadata", folder / "labels.txt": b"b\na\n",
        folder / "g_full_int8_vela.tflite": b"compiled for ethos-u55-128",
    }  # fmt: skip
    assert found.to_json() == {
        "target": "ethos-u55-128", "file": {}, "compiled": str(folder / "g_full_int8_vela.tflite"), "estimate": {},
    }  # fmt: skip


def test_model_for_the_edge_tpu_is_checked_and_not_compiled(exported: Any, tmp_path: Path) -> None:
    found, files = exported(EDGE_TPU, tmp_path / "out")
    assert files == {
        tmp_path / "g.pb": b"bare", tmp_path / "out/g_full_int8.tflite": b"with metadata",
        tmp_path / "out/labels.txt": b"b\na\n",
    }, "the model without metadata is checked"  # fmt: skip
    assert found.compiled is None and found.estimate is None and found.to_json()["compiled"] is None


@pytest.mark.parametrize(("target", "check"), [(EDGE_TPU, "check_edge_tpu"), ("ethos-u55-128", "compile_for_npu")])
def test_nothing_is_written_if_an_operator_would_not_run_on_the_npu(
    target: str, check: str, exported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise ModelError("an operator on the CPU")

    _, written = exported(EDGE_TPU)
    monkeypatch.setattr(module, check, refuse)
    prepare: Any = vars(module)["prepare_export"]

    def prepared(options: ExportOptions, reporter: Any) -> Any:
        found = prepare(options, reporter)
        found.write = lambda files: pytest.fail("written")
        return found

    monkeypatch.setattr(module, "prepare_export", prepared)
    with pytest.raises(ModelError, match="an operator on the CPU"):
        exported(target, tmp_path / "out")
    assert written and not (tmp_path / "out").exists()


def test_edge_tpu_compiler_command_writes_to_the_folder_of_the_model() -> None:
    assert compiler_command(Path("out/g.tflite")) == "edgetpu_compiler --out_dir out out/g.tflite"
    assert MEMORY == 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("INT8", True), ("UINT8", True), ("INT16", True), ("INT32", True), ("INT64", False), ("FLOAT32", False)],
)
def test_edge_tpu_accepts_integers_of_up_to_32_bits(kind: str, accepted: bool) -> None:
    model = new_model("one operator")
    graph = model.subgraphs[0]
    ends = [add_tensor(graph, name, (1, 4), getattr(schema().TensorType, kind), None) for name in (b"in", b"out")]
    graph.inputs, graph.outputs = ends[:1], ends[1:]
    graph.operators.append(new_operator(model, schema().BuiltinOperator.RELU, 1, ends[:1], ends[1:]))
    if accepted:
        check_edge_tpu(pack_model(model), name="it")
        assert "RELU" in edge_tpu._OPERATORS
    else:
        with pytest.raises(ModelError, match="in is not of integers"):
            check_edge_tpu(pack_model(model), name="it")


@pytest.mark.parametrize("tensor", [0, 1])
@pytest.mark.parametrize("signature", [[-1, 4], [1, -1]])
def test_edge_tpu_refuses_tensors_without_a_fixed_size(signature: list[int], tensor: int) -> None:
    model = new_model("one operator")
    graph = model.subgraphs[0]
    ends = [add_tensor(graph, name, (1, 4), schema().TensorType.INT8, None) for name in (b"in", b"out")]
    graph.inputs, graph.outputs = ends[:1], ends[1:]
    graph.operators.append(new_operator(model, schema().BuiltinOperator.RELU, 1, ends[:1], ends[1:]))
    graph.tensors[tensor].shapeSignature = [1, 4]
    check_edge_tpu(pack_model(model), name="it")
    graph.tensors[tensor].shapeSignature = signature
    with pytest.raises(ModelError, match=f"it: {['in', 'out'][tensor]} has no fixed size"):
        check_edge_tpu(pack_model(model), name="it")


def test_list_of_edge_tpu_operators_omits_unsupported_operators() -> None:
    assert not {"DEQUANTIZE", "DIV", "EXP", "CAST", "GATHER", "CUSTOM"} & edge_tpu._OPERATORS
    assert len(edge_tpu._OPERATORS) == 40
