"""Tests of the text that commands print for given results, with values of which each has a different text."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.bench.accuracy import EvaluatedPhotos
from poets_edge.bench.compare import Cell, Comparison, Row
from poets_edge.bench.machine import MachineState
from poets_edge.bench.measurement import Measurement, ModelFacts
from poets_edge.bench.ratios import TimeRatio
from poets_edge.bench.rounds import Variant
from poets_edge.bench.timing import Timing
from poets_edge.cli import (
    audit,
    benchmark_results,
    compare,
    evaluate,
    export_results,
    export_targets,
    runs,
    watch_output,
)
from poets_edge.cli.terminal import table
from poets_edge.device.metrics import Evaluation
from poets_edge.device.unknown import Refused, UnknownEvaluation
from poets_edge.device.watch.prediction import Prediction, WatchSummary

TWO = Evaluation(("cat", "dog"), np.array([[3, 1], [2, 10]]), 0.25)
"""Evaluation of 16 photos, 13 of which are classified correctly."""


def test_table_aligns_the_first_columns_left_and_the_others_right() -> None:
    rows = [["a", "name", "n"], ["long", "b", "123"]]
    assert table(rows) == "a     name    n\nlong     b  123"
    assert table(rows, left=2) == "a     name    n\nlong  b     123"
    assert table([["a", ""], ["b", "x"]], left=2) == "a\nb  x", "without spaces at the end of a line"


PREDICTION = Prediction(
    frame=7, name="f.jpg", label="daisy", score=0.1234567, problem="", changed=True, latency=0.0123456, rate=12.345,
    unknown=False, distance=0.54321,
)  # fmt: skip


def test_watch_prints_a_prediction_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: form)
    line = watch_output._text_line(PREDICTION)
    assert line == "%H:%M:%S  f.jpg  daisy (score = 0.12346)  12.3 photos/s, 12.3 ms"
    first = replace(PREDICTION, name="", rate=0.0)
    assert watch_output._text_line(first) == "%H:%M:%S  daisy (score = 0.12346)  12.3 ms"
    assert watch_output._text_line(replace(PREDICTION, label="", problem="black")) == ""


def test_watch_prints_a_prediction_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1234.56789)
    assert json.loads(watch_output._json_line(PREDICTION)) == {
        "time": 1234.568, "frame": 7, "name": "f.jpg", "label": "daisy", "score": 0.123457, "unknown": False,
        "distance": 0.5432, "problem": None, "latency_ms": 12.346, "photos_per_second": 12.35,
    }  # fmt: skip
    bad = replace(PREDICTION, name="", label="", score=0.0, problem="black", rate=0.0, distance=None, unknown=True)
    found = json.loads(watch_output._json_line(bad))
    assert [found[name] for name in ("name", "label", "score", "distance", "photos_per_second")] == [None] * 5
    assert (found["problem"], found["unknown"]) == ("black", True)


@pytest.mark.parametrize(
    ("changed", "every", "printed"), [(True, False, 1), (False, False, 0), (False, True, 1), (True, True, 1)]
)
def test_watch_prints_a_line_for_each_change(changed: bool, every: bool, printed: int) -> None:
    lines: list[str] = []
    output: Any = SimpleNamespace(put=lines.append, flush=lambda: None)
    printer = watch_output.Printer(output, every_frame=every, as_json=False)
    printer.show(replace(PREDICTION, changed=changed))
    assert len(lines) == printed
    printer.show(replace(PREDICTION, problem="black"))
    assert len(lines) == printed, "problems are reported on stderr"


def test_watch_summary_states_counts_rate_and_latencies() -> None:
    latencies = tuple(number / 1000 for number in range(101))
    summary = WatchSummary(labeled=101, bad=0, dropped=0, seconds=4.0, latencies=latencies)
    text = "101 frames labeled; 25.2 photos/s; latency 50.0 ms (median), 95.0 ms (95 %)"
    assert watch_output.summary_text(summary) == text
    summary = WatchSummary(labeled=200, bad=2, dropped=3, seconds=4.0, latencies=latencies)
    assert watch_output.summary_text(summary) == (
        "200 frames labeled, 3 dropped, 2 bad; 50.0 photos/s; latency of the last 101 50.0 ms (median), 95.0 ms (95 %)"
    )
    assert watch_output.summary_text(replace(summary, labeled=0, latencies=())) == "0 frames labeled, 3 dropped, 2 bad"


def timing(*samples: float, load: float, first: float, memory: float, **changes: Any) -> Timing:
    return Timing(
        load_ms=load, first_ms=first, warm_up_runs=20, steady=True, samples_ms=samples, decode_ms=(1.0, 2.0, 6.0),
        resize_ms=(0.5, 0.25, 0.75), inference_ms=(3.0, 5.0, 4.0), peak_memory_mb=memory, accelerated=True,
        state=MachineState(), **changes,
    )  # fmt: skip


def measurement(threads: int = 2, name: str = "a.tflite") -> Measurement:
    timings = (
        timing(1.0, 2.0, 3.0, load=7.0, first=4.0, memory=30.0),
        timing(4.0, 5.0, load=9.5, first=6.0, memory=31.6),
    )
    return Measurement(Variant(Path(name), threads, "s"), ModelFacts(name, 1_234_567, "s", "", ""), timings)


def test_benchmark_prints_the_latency_of_a_model() -> None:
    assert benchmark_results._row(measurement()) == [
        "2", "1.23", "8.2 ms", "5.0 ms", "3.000 ms", "4.600", "4.960", "66.7 %", "yes", "32",
    ]  # fmt: skip
    slow = replace(measurement(), timings=(replace(measurement().timings[0], accelerated=False, peak_memory_mb=None),))
    assert benchmark_results._row(slow)[-2:] == ["no", "-"]


def test_benchmark_prints_the_time_of_each_stage_of_labeling_a_photo() -> None:
    assert benchmark_results._end_to_end(measurement()) == ["2", "2.00", "0.50", "4.00", "138"]
    bare = replace(measurement().timings[0], decode_ms=None, resize_ms=None, inference_ms=(4.0,))
    unstaged = replace(measurement(), timings=(bare,))
    assert benchmark_results._end_to_end(unstaged) == ["2", "-", "-", "4.00", "-"]


def test_benchmark_prints_results_from_several_devices_sorted_by_variant() -> None:
    results: Any = [
        SimpleNamespace(host="pi", measurements=(measurement(1), measurement(4), measurement(1, "b.tflite"))),
        SimpleNamespace(host="nano", measurements=(measurement(1), measurement(2), measurement(1, "b.tflite"))),
    ]
    shown = benchmark_results._table("model", ["threads"], results, lambda one: [str(one.variant.threads)])
    assert [line.split() for line in shown.splitlines()] == [
        ["model", "device", "threads"], ["a.tflite", "pi", "1"], ["a.tflite", "nano", "1"], ["a.tflite", "pi", "4"],
        ["a.tflite", "nano", "2"], ["b.tflite", "pi", "1"], ["b.tflite", "nano", "1"],
    ]  # fmt: skip


def test_benchmark_prints_the_rejection_rate_and_the_accuracy_on_accepted_photos() -> None:
    assert benchmark_results._unknown(None) == ["-", "-"]
    assert benchmark_results._unknown(UnknownEvaluation(Refused(4, 20), TWO)) == ["20.0 %", "81.2 %"]
    nothing = Evaluation(("cat", "dog"), np.zeros((2, 2), np.int64), float("nan"))
    assert benchmark_results._unknown(UnknownEvaluation(Refused(20, 20), nothing)) == ["100.0 %", "-"]


def test_benchmark_prints_the_results_of_sustained_load() -> None:
    window = SimpleNamespace(runs=100)
    model: Any = SimpleNamespace(
        name="a", windows=(window, window), medians=[1.0, 2.5], hottest=71.6, limits=("throttled", "under-voltage"),
        slowdown=SimpleNamespace(ratio=1.256, after=125.0), late=3,
    )  # fmt: skip
    options: Any = SimpleNamespace(rate=15)
    assert benchmark_results._sustained_row(model, options) == [
        "a", "200", "1.000", "2.500", "by 26 % after 2:05", "72 °C", "throttled, under-voltage", "3",
    ]  # fmt: skip
    model.slowdown, model.hottest, model.limits, options.rate = None, None, (), None
    assert benchmark_results._sustained_row(model, options)[4:] == ["no", "-", "-", "-"]


TEST = EvaluatedPhotos(image_dir=Path("photos"), split="test", names=("a/1.jpg", "b/2.jpg"))
ALL = EvaluatedPhotos(image_dir=Path("photos"), split="all", names=("a/1.jpg", "b/2.jpg", "b/3.jpg"))


def cell(
    median: float,
    kernel: float | None,
    ratio: TimeRatio | None = None,
    accuracy: float | None = None,
    learned: int | None = None,
) -> Cell:
    return Cell(median, ratio, kernel, 1000, accuracy, learned)


def test_compare_prints_ratios_verdicts_and_the_speed_of_the_reference_kernel(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = (
        Row(
            "a",
            1,
            (cell(2.0, None, accuracy=0.875), cell(3.0, 1.5, TimeRatio(1.25, 1.2, 1.3), accuracy=0.5, learned=3)),
        ),
        Row("b", 4, (cell(4.0, None), cell(5.0, 0.5, TimeRatio(0.99, 0.98, 1.01)))),
        Row("c", 2, (cell(6.0, None), cell(7.0, 0.6, TimeRatio(0.9, 0.0, float("inf"))))),
        Row("d", 2, (cell(8.0, None), None)),
        Row("e", 2, (None, cell(9.0, None))),
    )
    compare._print(Comparison(("one", "two"), ("PC", "Pi"), ((), ("noisy", "hot")), rows, (TEST, ALL)))
    shown = capsys.readouterr().out.splitlines()
    assert shown[:5] == [
        "one: PC", "two: Pi", "  warning when it was measured: noisy", "  warning when it was measured: hot", "",
    ]  # fmt: skip
    assert [" ".join(line.split()) for line in shown[5:11]] == [
        "median ms threads one two ratio 98 % interval",
        "a 1 2.000 3.000 1.25x 1.20 to 1.30 slower",
        "b 4 4.000 5.000 0.99x 0.98 to 1.01 no difference",
        "c 2 6.000 7.000 0.90x not known cannot tell",
        "d 2 8.000 - - -",
        "e 2 - 9.000 - -",
    ]
    assert "ratios are relative to a reference kernel, which took 0.600x the time in two" in shown, "the median"
    accuracies = [" ".join(line.split()) for line in shown[shown.index("accuracy  threads     one     two") :]]
    assert accuracies[1:3] == ["a 1 87.5 % 50.0 %", "b 4 - -"]
    assert shown[shown.index("one: accuracy on the test set of photos, N = 2") :][:5] == [
        "one: accuracy on the test set of photos, N = 2",
        "two: accuracy on all photos of photos, N = 3",
        "The accuracies are of different photos.",
        "one: which of these photos a has learned from is not known",
        "two: a has learned from 3 of these photos",
    ]
    compare._print(Comparison(("one", "two"), ("PC", "Pi"), ((), ()), rows, (TEST, replace(TEST))))
    assert "different photos" not in capsys.readouterr().out
    text = "\n".join(shown)
    assert "no difference: 5 % at most" in text and "cannot tell: the times" in text


def test_compare_prints_no_verdict_for_the_baseline_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = (Row("a", 1, (cell(2.0, None, TimeRatio(1.0, 1.0, 1.0)), cell(3.0, None, TimeRatio(1.5, 1.4, 1.6)))),)
    compare._print(Comparison(("one", "two"), ("PC", "Pi"), ((), ()), rows, (None, None)))
    shown = capsys.readouterr().out
    assert "slower" in shown and "no difference" not in shown


def test_evaluate_prints_the_confusion_matrix() -> None:
    assert [line.split() for line in evaluate._matrix(TWO).splitlines()] == [
        ["class", "\\", "answer", "cat", "dog", "photos", "recall"],
        ["cat", "3", "1", "4", "75.0", "%"],
        ["dog", "2", "10", "12", "83.3", "%"],
    ]


@pytest.mark.parametrize(
    ("split", "excluded", "heading"),
    [
        ("all", 3, "accuracy on all photos"),
        ("unseen", 0, "accuracy on photos that the model has not learned from"),
        ("test", 5, "accuracy on the test set (5 photos of other splits skipped; --split all includes them)"),
    ],
)
def test_evaluate_prints_which_photos_were_scored(split: str, excluded: int, heading: str) -> None:
    result: Any = SimpleNamespace(split=split, excluded=excluded)
    assert evaluate._heading(result) == heading


def test_evaluate_prints_the_accuracies_of_several_models_and_their_comparison(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"split": "test", "excluded": 0, "evaluation": TWO, "overlap": None, "learned": None, "unseen": None}
    results: Any = [SimpleNamespace(**fields, unknown=None) for _ in range(2)]
    paired: Any = [type("Paired", (), {"photos": 16, "__str__": lambda self: "no change"})()]
    monkeypatch.setattr(evaluate, "overlap_lines", lambda *_: ("a line",))
    evaluate._print_several(["a", "b"], results, paired)
    shown = capsys.readouterr().out.splitlines()
    low, high = TWO.interval
    assert shown[0] == "accuracy on the test set:"
    assert " ".join(shown[3].split()) == f"a 81.2 % {100 * low:.1f} to {100 * high:.1f} 16 0.2500"
    assert shown[-3:] == ["a: a line", "b: a line", "b compared with a, on 16 photos: no change."]


def exported(**changes: Any) -> Any:
    fields = {"size": 1_234_567, "evaluation": TWO, "agreement": 0.9375, "path": Path("m.tflite"), "accuracy": 0.8125}
    return SimpleNamespace(**{**fields, **changes})


def test_export_prints_the_evaluation_of_a_file() -> None:
    low, high = TWO.interval
    assert export_results.result_cells(exported()) == [
        "1.23",
        "81.2 %",
        f"{100 * low:.1f} to {100 * high:.1f}",
        "93.8 %",
    ]
    for changes in ({"evaluation": None}, {"agreement": None}):
        assert export_results.result_cells(exported(**changes)) == ["1.23", "-", "-", "-"]


def test_export_prints_the_files_for_frigate(capsys: pytest.CaptureFixture[str]) -> None:
    result: Any = SimpleNamespace(
        model=exported(),
        labelmap=Path("labelmap.txt"),
        labels=("cat", "dog"),
        assigned=0.5,
        assigned_correct=0.75,
        to_json=dict,
    )
    export_results.print_frigate(result, as_json=False, output=None)
    shown = capsys.readouterr().out
    assert "labelmap.txt: cat, dog\n" in shown
    assert "At Frigate's threshold of 0.8: 50.0 % of the test photos get a label, 75.0 % of these the correct" in shown


@pytest.mark.parametrize(
    ("compared", "line"),
    [(7, "on 7 pictures: scores differ by at most 0.0001."), (0, "Not run: Core ML models run on")],
)
def test_export_prints_a_summary_of_a_converted_file(
    capsys: pytest.CaptureFixture[str], compared: int, line: str
) -> None:
    result: Any = SimpleNamespace(
        path=Path("m.onnx"),
        size=2_500_000,
        labels=("a", "b", "c"),
        compared=compared,
        largest_difference=1.2e-4,
        to_json=dict,
    )
    export_results.print_converted(result, as_json=False, output=None)
    shown = capsys.readouterr().out
    assert shown.startswith("m.onnx  2.50 MB, 3 labels\n") and line in shown


def test_export_prints_a_summary_of_firmware_and_npu_files() -> None:
    result: Any = SimpleNamespace(
        board=SimpleNamespace(title="A board", flash=4_000_000), arena=123_456, memory=320_000, model_size=234_567,
        operators=("ADD", "CONV_2D"), file=exported(), compared=9, folder=Path("fw"), largest_difference=0.01234,
    )  # fmt: skip
    rows, step = export_targets._firmware_rows(result)
    assert dict(rows) == {
        "board": "A board", "memory": "123,456 bytes for the model's tensors, of 320,000",
        "flash": "234,567 bytes for the model, of 4,000,000", "operators": "ADD, CONV_2D",
        "accuracy": "81.2 % of 16 test photos",
        "verified": "TensorFlow Lite Micro, scores within 0.0123 on 9 photos", "firmware": "fw",
    }  # fmt: skip
    assert step.startswith("fw/README.md ")
    result.largest_difference, result.file = 0.0, exported(evaluation=None)
    rows, _ = export_targets._firmware_rows(result)
    assert dict(rows)["verified"].endswith("equal scores on 9 photos") and dict(rows)["accuracy"] == "not evaluated"
    estimate = SimpleNamespace(
        npu_operators=12,
        share=0.975,
        sram=1_000,
        flash=2_000,
        milliseconds=1.234,
        inferences_per_second=810.4,
        system="S",
    )
    npu: Any = SimpleNamespace(target="ethos", file=exported(), estimate=estimate, compiled=Path("v.tflite"))
    rows, step = export_targets._npu_rows(npu)
    assert dict(rows) == {
        "target": "ethos", "accuracy": "81.2 % of 16 test photos", "file": "m.tflite", "compiled": "v.tflite",
        "operators": "12, 97.5 % on the NPU", "memory": "1,000 bytes of SRAM (estimated by Vela)",
        "weights": "2,000 bytes of flash memory or DRAM",
        "speed": "1.23 ms, 810 inferences a second (estimated by Vela for S)",
    }  # fmt: skip
    assert step.startswith("load v.tflite in")


def run(number: int, **options: Any) -> Any:
    """Return a training run with two classes of 3 and 4 photos."""
    return SimpleNamespace(
        date=f"2026-11-0{number}T12:34:56+00:00", options={"architecture": "net", "seed": 0, **options},
        photos={"a": 3, "b": 4}, recall={"a": 0.5 + number / 10, f"b{number}": 1.0},
        accuracies={"validation": {"accuracy": 0.125 * number, "photos": 8}, "test": {"accuracy": None, "photos": 0}},
    )  # fmt: skip


def test_each_run_is_listed_with_its_differences_from_the_previous_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def differences(two: list[Any]) -> dict[str, Any]:
        names = [name for name in two[1].options if two[0].options.get(name) != two[1].options[name]]
        return {name: [one.options.get(name) for one in two] for name in names}

    monkeypatch.setattr(runs, "differences", differences)
    shown = runs._listed([run(1, seed=1), run(2, seed=2), run(3, seed=2, a=1, b=2, c=3, d=None, e=5)])
    lines = [" ".join(line.split()) for line in shown.splitlines()[1:]]
    assert lines == [
        "1 2026-11-01 12:34 net 7 12.5% of 8 - -",
        "2 2026-11-02 12:34 net seed 2 7 25.0% of 8 - -",
        "3 2026-11-03 12:34 net a 1, b 2, c 3, 1 more 7 37.5% of 8 - -",
    ]
    side = [
        " ".join(line.split()) for line in runs._side_by_side([run(1, seed=1), run(2, seed=2)], (4, 7)).splitlines()
    ]
    assert side == [
        "run 4 run 7", "date 2026-11-01 12:34 2026-11-02 12:34", "seed 1 2",
        "validation accuracy 12.5% of 8 25.0% of 8",
        "test accuracy - -", "cross-validation accuracy - -", "test recall, a 60.0% 70.0%", "test recall, b1 100.0% -",
        "test recall, b2 - 100.0%",
    ]  # fmt: skip


def test_audit_prints_the_suggested_threshold() -> None:
    suggested = SimpleNamespace(threshold=0.625, accuracy=0.955, correct_kept=0.805)
    needed: Any = SimpleNamespace(suggested=suggested, is_needed=True)
    expected = "threshold 0.62: 95.5 % of the answers given are right, 80.5 % of the right ones are kept"
    assert audit._threshold(needed) == expected
    needed.is_needed = False
    assert audit._threshold(needed) == "threshold: none needed, 95.5 % of all answers are right"


@pytest.mark.parametrize(
    ("count", "start"), [(0, "no label is probably wrong;"), (1, "1 label is"), (2, "2 labels are")]
)
def test_audit_prints_at_most_ten_suspects(count: int, start: str) -> None:
    suspects = [SimpleNamespace(photo=f"p{n}.jpg", label="cat", likely="dog", score=n / 16) for n in range(12, 0, -1)]
    result: Any = SimpleNamespace(suspects=suspects)
    evaluation: Any = SimpleNamespace(mislabeled_count=count)
    heading, rows = audit._suspects(result, evaluation)
    assert heading.startswith(start)
    lines = [line.split() for line in rows.splitlines()]
    assert lines[:2] == [["suspect", "label", "looks", "like", "by"], ["p12.jpg", "cat", "dog", "75.0", "%"]]
    assert len(lines) == 11 and lines[-1][0] == "p3.jpg"
