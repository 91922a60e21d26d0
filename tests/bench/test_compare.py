"""Tests of the comparison of benchmark results of several devices, with simulated result files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench import compare as compare_module
from poets_edge.bench.benchmark import FORMAT
from poets_edge.bench.compare import compare
from poets_edge.bench.result_files import DeviceResults, VariantResult
from poets_edge.bench.run_variation import RELATIVE_VARIATION
from poets_edge.errors import UsageError

MACHINE = {
    "board": None, "cpu": "x", "architecture": "aarch64", "cores": 4, "governor": None, "max_frequency_mhz": 1000.0,
    "memory_mb": 1000, "system": "s", "python": "3", "interpreter": "litert", "interpreter_version": "2",
    "emulated": False,
}  # fmt: skip
RESULT = VariantResult(
    name="m", threads=1, size=7, sha256="", architecture="", quantization="", median=2.0, fastest=(1.0, 1.5),
    medians=(2.0, 3.0), kernel=(0.5, 0.5), accuracy=0.5, timings=(),
)  # fmt: skip


def device(*results: VariantResult, host: str = "", **machine: Any) -> DeviceResults:
    return DeviceResults(machine={**MACHINE, **machine}, host=host, warnings=(f"warning {host}",), results=results)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[Path, tuple[DeviceResults, ...]]:
    """Result files; ratios are represented by the arguments from which they would be computed."""
    found: dict[Path, tuple[DeviceResults, ...]] = {}
    monkeypatch.setattr(compare_module, "read_benchmark", found.__getitem__)
    monkeypatch.setattr(compare_module, "machine_name", lambda machine: machine["cpu"])
    monkeypatch.setattr(compare_module, "compare_runs", lambda *given: given)
    monkeypatch.setattr(
        compare_module, "kernel_ratio", lambda kernel, first: kernel[0] / first[0] if kernel and first else None
    )
    monkeypatch.setattr(compare_module, "relative_times", lambda medians, kernel: (medians, kernel))
    return found


def test_devices_are_named_after_their_file_or_their_host(files: dict[Path, tuple[DeviceResults, ...]]) -> None:
    one, several = Path("one.json"), Path("several.json")
    files[one] = (device(RESULT, host="p"),)
    files[several] = (device(RESULT, host="q", cpu="y"), device(RESULT, host="r", cpu="z"))
    found = compare([one, several])
    assert found.names == ("one", "q", "r")
    assert found.machines == ("x, litert 2", "y, litert 2", "z, litert 2")
    assert found.warnings == (("warning p",), ("warning q",), ("warning r",))
    assert compare([several]).names == ("q", "r")
    for paths in ([one], []):
        with pytest.raises(UsageError, match="compare needs two files or more"):
            compare(paths)


def test_times_are_compared_with_those_of_the_first_device(files: dict[Path, tuple[DeviceResults, ...]]) -> None:
    slow = replace(RESULT, median=4.0, fastest=(3.0,), medians=(4.0, 5.0), kernel=(1.0,), size=8, accuracy=None)
    other = replace(RESULT, name="n", threads=2)
    a, b, c = Path("a.json"), Path("b.json"), Path("c.json")
    files[a], files[b], files[c] = (device(RESULT),), (device(other, slow),), (device(slow, cpu="y"),)
    found = compare([a, b, c])
    assert [(row.model, row.threads) for row in found.rows] == [("m", 1), ("n", 2)]
    first, second, third = found.rows[0].cells
    assert first is not None and second is not None and third is not None
    relative, own = ((4.0, 5.0), (1.0,)), ((2.0, 3.0), (0.5, 0.5))
    shown: Any = [(cell.median, cell.ratio, cell.kernel, cell.size, cell.accuracy) for cell in (first, second, third)]
    assert shown == [
        (2.0, (own, own, RELATIVE_VARIATION), 1.0, 7, 0.5),
        (4.0, (relative, own, RELATIVE_VARIATION), 2.0, 8, None),
        (4.0, ((3.0,), (1.0, 1.5)), None, 8, None),
    ]
    absent, alone, none = found.rows[1].cells
    assert absent is None and none is None and alone is not None
    assert (alone.ratio, alone.kernel, alone.median) == (None, None, 2.0), "the first device has no result"


@pytest.mark.parametrize("name", compare_module._HARDWARE)
def test_compare_uses_the_reference_kernel_only_for_identical_hardware(
    files: dict[Path, tuple[DeviceResults, ...]], name: str
) -> None:
    a, b = Path("a.json"), Path("b.json")
    files[a] = (device(RESULT),)
    for other, equal in (
        (device(RESULT, **{name: "other"}), False),
        (device(RESULT, host="p"), False),
        (device(RESULT), True),
    ):
        files[b] = (other,)
        cell = compare([a, b]).rows[0].cells[1]
        assert cell is not None and (cell.kernel is not None) == equal


def test_comparison_counts_the_evaluated_photos_that_a_model_has_learned_from(tmp_path: Path) -> None:
    result = {
        "name": "m", "threads": 1, "latency_ms": {"median": 2.0}, "rounds_differ": 1.0, "size": 7,
        "accuracy": {"accuracy": 0.9, "learned": 5},
    }  # fmt: skip
    evaluated = {"image_dir": "photos", "set": "all", "photos": ["a/1.jpg", "a/2.jpg"]}
    value = {"format": FORMAT, "warnings": [], "machine": MACHINE, "results": [result], "evaluated": evaluated}
    (tmp_path / "a.json").write_text(json.dumps(value))
    older = {key: entry for key, entry in value.items() if key != "evaluated"}
    (tmp_path / "b.json").write_text(json.dumps({**older, "results": [{**result, "accuracy": {"accuracy": 0.8}}]}))
    found = compare([tmp_path / "a.json", tmp_path / "b.json"])
    assert [str(photos) for photos in found.photos] == ["all photos of photos, N = 2", "None"]
    assert [cell and cell.learned for cell in found.rows[0].cells] == [5, None]
    json_value = found.to_json()
    assert json_value["files"][0]["photos"] == "all photos of photos, N = 2"
    assert json_value["files"][1]["photos"] is None and json_value["rows"][0]["cells"][0]["learned"] == 5


def test_models_are_named_by_architecture_and_quantization(files: dict[Path, tuple[DeviceResults, ...]]) -> None:
    known = replace(RESULT, architecture="net", quantization="int8")
    results = (
        known, replace(known, name="n"), replace(known, name="n"), replace(known, threads=2),
        replace(RESULT, architecture="net"), RESULT,
    )  # fmt: skip
    files[Path("a.json")] = files[Path("b.json")] = (device(*results),)
    assert [(row.model, row.threads) for row in compare([Path("a.json"), Path("b.json")]).rows] == [
        ("net int8", 1), ("net int8 (n)", 1), ("net int8 (n) #2", 1), ("net int8", 2), ("m", 1), ("m (m)", 1),
    ]  # fmt: skip
