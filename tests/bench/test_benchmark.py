"""Tests of the commands `benchmark` and `compare`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.bench.worker import Request, measure
from poets_edge.core.parallel import cores
from poets_edge.core.processes import Helper
from poets_edge.errors import ModelError
from poets_edge.photos.folder import scan
from poets_edge.tflite.interpreter import find_runtime
from tests import yardstick
from tests.conftest import ROOT, Trained, poets_edge

SHORT = ("--min-seconds", "0.2", "--min-runs", "20", "--rounds", "2")


@pytest.fixture(scope="module")
def measured(trained: Trained, flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a result file with measurements of the float32 model and the int8 model."""
    file = tmp_path_factory.mktemp("benchmark") / "here.json"
    models = (trained.model("float32"), trained.model("int8"))
    ran = poets_edge("benchmark", *models, "--threads", "1", *SHORT, "--image_dir", flowers, "--json", file).ok()
    assert "retrained_graph_int8.tflite" in ran.stdout
    return file


@pytest.fixture(scope="module")
def results(measured: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(measured.read_text())["results"]
    return found


def test_benchmark_writes_raw_samples_and_their_percentiles(results: list[dict[str, Any]]) -> None:
    assert len(results) == 2
    for result in results:
        samples = [sample for entry in result["rounds"] for sample in entry["samples_ms"]]
        assert len(result["rounds"]) == 2
        assert len(samples) >= 20
        assert sum(samples) >= 200 * 0.9
        latency = result["latency_ms"]
        expected = np.percentile(samples, [50, 90, 99])
        assert (latency["median"], latency["p90"], latency["p99"]) == pytest.approx(tuple(expected))
        assert latency["maximum"] == max(samples)


def test_benchmark_writes_a_description_of_the_machine_and_the_peak_memory(
    measured: Path, results: list[dict[str, Any]], trained: Trained
) -> None:
    machine = json.loads(measured.read_text())["machine"]
    assert machine["cores"] >= 1
    assert machine["interpreter"] == find_runtime().name
    for result, quantization in zip(results, ("float32", "int8"), strict=True):
        assert result["size"] == trained.model(quantization).stat().st_size
        assert result["load_ms"] > 0
        assert result["first_ms"] > 0
        assert 20 < result["peak_memory_mb"] < 400
        assert set(result["stages_ms"]) == {"decode", "resize", "inference"}
        assert result["photos_per_second"] <= 1050 / sum(result["stages_ms"].values()) * 1.5
    assert results[0]["accelerated"]


def test_benchmark_reports_the_same_accuracy_as_evaluate(
    results: list[dict[str, Any]], trained: Trained, flowers: Path
) -> None:
    ran = poets_edge("evaluate", "--graph", trained.model("int8"), "--image_dir", flowers, "--json").ok()
    expected = json.loads(ran.stdout)
    accuracy = results[1]["accuracy"]
    for field in ("photos", "correct", "interval95", "cross_entropy"):
        assert accuracy[field] == expected[field]
    assert 0.9 <= accuracy["agreement_with_float"] <= 1.0
    assert accuracy["learned_from"] == expected["learned_from"] and accuracy["learned_from"]["training"] > 100
    assert results[0]["accuracy"]["agreement_with_float"] == 1.0
    assert accuracy["unknown"] == expected["unknown"] and accuracy["unknown"]["photos"] == accuracy["photos"]


def test_benchmark_states_which_photos_were_evaluated(measured: Path, trained: Trained, flowers: Path) -> None:
    evaluated = json.loads(measured.read_text())["evaluated"]
    record = json.loads(trained.graph.with_suffix(".json").read_text())
    sets, digests = record["sets"], record["photos"]
    learned = {digests[name] for name in sets["training"] + sets["validation"]}
    expected = [name for name in sets["test"] if digests[name] not in learned]  # there is a duplicate
    assert evaluated == {"image_dir": str(flowers), "set": "test", "photos": expected}
    shown = poets_edge("benchmark", trained.model("int8"), "--threads", "1", *SHORT, "--image_dir", flowers, "-q").ok()
    assert f"accuracy on the test set of {flowers}, N = {len(expected)}:" in shown.stdout
    assert "agrees with float32  unknown  accuracy of others" in shown.stdout
    assert f"{trained.model('int8').name}: the model was trained on" in shown.stdout


def test_benchmark_warns_about_other_running_programs(trained: Trained) -> None:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores())]
    try:
        ran = poets_edge("benchmark", trained.model("int8"), *SHORT, "--threads", "1", "-q").ok()
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert "other programs used" in ran.stderr


def test_benchmark_accepts_a_model_without_labels(tmp_path: Path, trained: Trained) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(next((trained.folder / "tf_files/bottlenecks").glob("*.tflite")).read_bytes())
    ran = poets_edge("benchmark", bare, *SHORT, "--threads", "1", "--json", "-", "-q").ok()
    assert json.loads(ran.stdout)["results"][0]["architecture"] == ""


def test_benchmark_warns_about_more_threads_than_cores(trained: Trained) -> None:
    ran = poets_edge("benchmark", trained.model("int8"), *SHORT, "--threads", "64", "--json", "-", "-q").ok()
    assert "64 threads on" in ran.stderr


def test_benchmark_rejects_invalid_arguments(
    trained: Trained, tmp_path: Path, few_flowers: Callable[[int], Path]
) -> None:
    model = trained.model("int8")
    (tmp_path / "text.tflite").write_text("no model at all")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    poets_edge("benchmark", tmp_path / "text.tflite").failed("text.tflite", "not a TensorFlow Lite model")
    poets_edge("benchmark", tmp_path / "none.tflite").failed("none.tflite")
    poets_edge("benchmark", model, "--operators").failed("--operators was removed", "benchmark_model")
    poets_edge("benchmark", model, "--threads", "0").failed("--threads", "1 or more")
    poets_edge("benchmark", model, "--threads", "1,two").failed("--threads 1,two")
    poets_edge("benchmark", model, "--rounds", "0").failed("--rounds")
    poets_edge("benchmark", model, "--min-seconds", "0").failed("--min-seconds")
    poets_edge("benchmark", model, "--labels", tmp_path / "labels.txt").failed("labels.txt", "other labels")
    strangers = few_flowers(2)
    (strangers / "daisy").rename(strangers / "orchids")
    poets_edge("benchmark", model, "--image_dir", strangers, "--set", "all").failed("orchids")
    for photo in scan(strangers).photos:
        photo.file.unlink()
        photo.file.write_bytes(b"no picture")
    poets_edge("benchmark", model, "--image_dir", strangers, "--set", "all").failed("photo", "can be read")


def test_benchmark_rejects_a_model_with_two_inputs(tmp_path: Path) -> None:
    tf = yardstick.tensorflow()
    picture = tf.TensorSpec([1, 32, 32, 3], tf.float32)
    module = tf.Module()
    module.f = tf.function(lambda one, other: tf.reduce_mean(one + other, axis=[1, 2]), input_signature=[picture] * 2)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
    model = tmp_path / "two.tflite"
    model.write_bytes(converter.convert())
    poets_edge("benchmark", model).failed("two.tflite", "2 inputs")


def test_invalid_models_and_killed_measuring_processes_are_reported(tmp_path: Path) -> None:
    request = Request(tmp_path / "none.tflite", threads=1, seconds=0.1, runs=1)
    with Helper(measure) as helper:
        with pytest.raises(ModelError, match=r"none\.tflite"):
            helper.ask(request, "x.tflite")
        os.kill(helper.process_id, signal.SIGKILL)
        with pytest.raises(ModelError, match=r"x\.tflite: the process that works on it ended early .*signal 9"):
            helper.ask(request, "x.tflite")


def test_compare_shows_latency_ratios_of_devices(measured: Path, tmp_path: Path) -> None:
    slower = json.loads(measured.read_text())
    slower["machine"]["board"] = "Raspberry Pi 9"
    for result in slower["results"]:
        result["latency_ms"]["median"] *= 3
        for process in result["rounds"]:
            process["samples_ms"] = [3 * sample for sample in process["samples_ms"]]
    (tmp_path / "pi9.json").write_text(json.dumps(slower))
    printed = poets_edge("compare", measured, tmp_path / "pi9.json").ok().stdout
    assert "Raspberry Pi 9" in printed
    assert "3.00x" in printed
    assert "mobilenet_0.50_224 int8" in printed
    rows = json.loads(poets_edge("compare", measured, tmp_path / "pi9.json", "--json").ok().stdout)["rows"]
    assert [row["cells"][1]["ratio"]["ratio"] for row in rows] == pytest.approx([3.0, 3.0])
    same = json.loads(poets_edge("compare", measured, measured, "--json").ok().stdout)["rows"]
    assert {row["cells"][1]["ratio"]["verdict"] for row in same} <= {"no difference", "cannot tell"}


def test_compare_normalizes_times_by_the_reference_kernel_on_the_same_machine(measured: Path, tmp_path: Path) -> None:
    """The ratio is 1 if models and kernel are 4 % slower, and 1.04 if only the models are or the machines differ."""

    def times_4_percent_longer(name: str, *keys: str, board: str | None = None) -> list[dict[str, Any]]:
        run = json.loads(measured.read_text())
        run["machine"]["board"] = board
        for process in (process for result in run["results"] for process in result["rounds"]):
            for key in keys:
                process[key] = [1.04 * sample for sample in process[key]]
        (tmp_path / name).write_text(json.dumps(run))
        rows = json.loads(poets_edge("compare", measured, tmp_path / name, "--json").ok().stdout)["rows"]
        return [row["cells"][1] for row in rows]

    slow_machine = times_4_percent_longer("machine.json", "samples_ms", "kernel_ms")
    assert [cell["ratio"]["ratio"] for cell in slow_machine] == pytest.approx([1.0, 1.0])
    assert [cell["kernel"] for cell in slow_machine] == pytest.approx([1.04, 1.04])
    slow_model = times_4_percent_longer("model.json", "samples_ms")
    assert [cell["ratio"]["ratio"] for cell in slow_model] == pytest.approx([1.04, 1.04])
    elsewhere = times_4_percent_longer("elsewhere.json", "samples_ms", "kernel_ms", board="Raspberry Pi 9")
    assert [(cell["ratio"]["ratio"], cell["kernel"]) for cell in elsewhere] == [(pytest.approx(1.04), None)] * 2
    printed = poets_edge("compare", measured, tmp_path / "machine.json", tmp_path / "elsewhere.json").ok().stdout
    assert "ratios are relative to a reference kernel, which took 1.040x the time in machine\n" in printed


def test_compare_shows_no_verdict_for_times_from_a_single_process(measured: Path, tmp_path: Path) -> None:
    single = json.loads(measured.read_text())
    for result in single["results"]:
        result["rounds"] = result["rounds"][:1]
    (tmp_path / "single.json").write_text(json.dumps(single))
    printed = poets_edge("compare", measured, tmp_path / "single.json").ok().stdout
    assert printed.count("not known") == len(single["results"])
    assert "cannot tell: the times of single processes differ too much. More --rounds" in printed


def test_compare_rejects_files_that_are_not_benchmark_results(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    poets_edge("compare", measured).failed("two files")
    poets_edge("compare", measured, tmp_path / "other.json").failed("other.json")
    poets_edge("compare", measured, tmp_path / "missing.json").failed("missing.json")
    for part in ("results", "machine", "warnings"):
        half = json.loads(measured.read_text())
        del half[part]
        (tmp_path / "half.json").write_text(json.dumps(half))
        poets_edge("compare", measured, tmp_path / "half.json").failed("half.json")


def test_benchmark_distinguishes_models_with_equal_names(trained: Trained, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"v{number}").mkdir()
        shutil.copy(trained.model("int8"), tmp_path / f"v{number}/model.tflite")
    models = sorted(tmp_path.glob("*/model.tflite"))
    quick = ("--threads", "1", "--min-seconds", "0.05", "--min-runs", "2", "--rounds", "1")
    printed = poets_edge("benchmark", *models, *quick, "--json", tmp_path / "all.json").ok().stdout
    assert all(f"v{number}/model.tflite" in printed for number in range(3))
    rows = json.loads(poets_edge("compare", tmp_path / "all.json", tmp_path / "all.json", "--json").ok().stdout)["rows"]
    medians = [result["latency_ms"]["median"] for result in json.loads((tmp_path / "all.json").read_text())["results"]]
    assert [row["cells"][0]["median"] for row in rows] == medians, "none is lost"


def test_benchmark_checks_the_output_file_before_measuring(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    began = time.monotonic()
    refused = poets_edge(
        "benchmark", trained.model("int8"), "--json", tmp_path / "file/out.json", "--min-seconds", "60"
    )
    refused.failed("cannot write", "out.json")
    assert time.monotonic() - began < 20
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_benchmark_modules_load_without_tensorflow() -> None:
    code = (
        "import sys, poets_edge.cli.benchmark, poets_edge.cli.compare, poets_edge.bench.worker\n"
        "heavy = {'tensorflow', 'matplotlib', 'tensorboard', 'google.protobuf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
