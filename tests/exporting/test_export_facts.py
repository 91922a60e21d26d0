"""Tests of what `export` stores in a file, how it names files, and which losses of accuracy it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.device.metrics import Evaluation
from poets_edge.device.paired import compare_paired
from poets_edge.errors import UsageError
from poets_edge.exporting.drop import drop_is_significant, verdict
from poets_edge.exporting.export import PreparedExport, _check_drop, _facts, _output_path, _Source
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import AccuracyDropError, ExportedFile, ExportResult
from poets_edge.photos.known_photos import KnownPhotos
from poets_edge.photos.split import SplitConfig
from poets_edge.quantize.convert import Quantization
from tests.recorder import Recorder

LABELS = ("b", "a")


def file_of(quantization: Quantization, worse: int = 0, better: int = 0, photos: int = 100) -> ExportedFile:
    """Return an exported file. Only it misclassifies `worse` photos; only the float32 file misclassifies `better`."""
    mine = np.array([0] * worse + [1] * (photos - worse))
    reference = np.array([1] * (photos - better) + [0] * better)
    paired = None if quantization == "float32" else compare_paired(mine, reference)
    return ExportedFile(
        path=Path(f"{quantization}.tflite"), quantization=quantization, size=1_234_567, evaluation=None,
        agreement=0.25, compared_with_float32=paired,
    )  # fmt: skip


def check(files: Sequence[ExportedFile], allowed: float) -> list[str]:
    reporter = Recorder()
    _check_drop(ExportResult(tuple(files), LABELS, ()), allowed, reporter)
    return reporter.warnings


def test_accuracy_drop_error_names_only_the_files_that_lose_too_much() -> None:
    files = [file_of("float32"), file_of("float16", 1), file_of("dynamic", 12), file_of("int8", 30, 2)]
    with pytest.raises(AccuracyDropError) as raised:
        check(files, 2)
    text = str(raised.value)
    assert text.startswith("dynamic loses 12.0 points (12 photos worse and 0 better of 100 test photos); int8 loses 28")
    assert "float16" not in text and text.endswith("more than the 2 allowed. Nothing was written.")
    assert raised.value.result.files == tuple(files)


def test_insignificant_accuracy_drop_of_a_quantized_file_causes_a_warning() -> None:
    [warning] = check([file_of("float32"), file_of("dynamic", 4)], 2)
    assert warning.startswith("dynamic loses 4.0 points") and "could be chance" in warning
    assert check([file_of("float32"), file_of("int8", 2)], 2) == []
    assert check([file_of("float32")], 0) == []


def test_significance_test_of_an_accuracy_drop_subtracts_the_allowed_loss() -> None:
    paired = file_of("int8", 12, 3, 200).compared_with_float32
    assert paired is not None and paired.p_value < 0.05, "12 to 3"
    assert drop_is_significant(paired, 0) and not drop_is_significant(paired, 2), "8 to 3 has p = 0.23"
    assert "(12 photos worse and 3 better of 200 test photos)" in verdict({"int8": paired}, 2)


@pytest.mark.parametrize(("allowed", "photos", "count"), [(0.29, 10_000, 29), (0.57, 10_000, 57), (1.1, 1000, 11)])
def test_accuracy_drop_limit_tolerates_floating_point_rounding(allowed: float, photos: int, count: int) -> None:
    """0.29 * 10,000 / 100 is slightly below 29 in binary floating-point numbers."""
    paired = file_of("int8", count, 0, photos).compared_with_float32
    assert paired is not None and not drop_is_significant(paired, allowed)
    assert check([file_of("int8", count, 0, photos)], allowed) == [], "exactly the allowed loss is not even a warning"


def source(record: dict[str, Any] | None, **frozen: Any) -> _Source:
    return _Source(SimpleNamespace(photo_sets={}, **frozen), None, LABELS, record, None)  # type: ignore[arg-type]


def facts(record: dict[str, Any] | None, quantization: Quantization = "int8", **options: Any) -> dict[str, Any]:
    chosen = ExportOptions(graph=Path("g.pb"), **options)
    return _facts(chosen, source(record), file_of(quantization))


@pytest.mark.parametrize(
    ("quantization", "float_io", "stored", "photos"),
    [
        ("float32", False, True, None), ("dynamic", False, True, None), ("float16", True, True, None),
        ("int8", False, False, 30), ("int8", True, True, 30), ("full-int8", True, False, 30),
    ],
)  # fmt: skip
def test_stored_facts_state_the_input_type_and_the_number_of_calibration_photos(
    quantization: Quantization, float_io: bool, stored: bool, photos: int | None
) -> None:
    found = facts(None, quantization, float_io=float_io, calibration_count=30)
    assert (found["float_io"], found["calibration_photos"], found["quantization"]) == (stored, photos, quantization)
    assert found["training"] is None and found["agreement_with_float"] == 0.25 and found["format"] == 1


def test_facts_state_the_split_percentages_of_the_training_run() -> None:
    recorded = {"testing": 20, "validation": 5}
    own = SplitConfig(testing=7, validation=3)
    assert facts({"percentages": recorded}, percentages=own)["percentages"] == recorded
    assert facts(None, percentages=own)["percentages"] == {"testing": 7, "validation": 3}


def test_facts_omit_the_cross_validation_if_the_user_has_a_test_set() -> None:
    found = {"photos": 90, "accuracy": 0.8, "interval95": [0.7, 0.9], "confusion": [[1]]}
    training = facts({"cross_validation": found})["training"]
    assert training == {"cross_validation": {"photos": 90, "accuracy": 0.8, "interval95": [0.7, 0.9]}}
    assert facts({"cross_validation": found, "own_test_set": True})["training"] is None


def test_facts_contain_hashes_instead_of_names_of_excluded_photos() -> None:
    training = facts({"exclude": {"leave_out": ["a/secret.jpg"], "belongs_to": {}}, "architecture": "net"})["training"]
    assert "secret" not in str(training) and len(training["exclude_hashes"]["leave_out"]) == 1
    assert training["architecture"] == "net"


def test_facts_omit_the_learning_curve_of_fine_tuning() -> None:
    tuned = {"blocks": 2, "epochs_run": [1, 2, 3], "views": ["x"], "written": "frozen"}
    assert facts({"fine_tuning": tuned})["training"]["fine_tuning"] == {"blocks": 2, "written": "frozen"}


def test_known_photos_are_read_from_the_graph_if_there_is_no_record() -> None:
    digests = np.arange(64, dtype=np.uint8).reshape(2, 32)
    recorded = KnownPhotos.of(digests, np.array([0, 2], np.int8))
    of_graph = KnownPhotos.of(digests[:1], np.array([2], np.int8))
    frozen: Any = SimpleNamespace(photo_sets=of_graph.to_json())
    one = replace(source({"photo_sets": recorded.to_json()}), frozen=frozen)
    assert one.known is not None and one.known.splits(digests).tolist() == [0, 2]
    other = replace(one, record=None)
    assert other.known is not None and other.known.splits(digests).tolist() == [2, -1]


@pytest.mark.parametrize(
    ("quantization", "folder", "expected"),
    [
        ("float32", None, "in/g.tflite"), ("full-int8", None, "in/g_full_int8.tflite"),
        ("dynamic", Path("out"), "out/g_dynamic.tflite"),
    ],
)  # fmt: skip
def test_files_are_named_after_graph_and_quantization(
    quantization: Quantization, folder: Path | None, expected: str
) -> None:
    options = ExportOptions(graph=Path("in/g.pb"), output_dir=folder)
    assert _output_path(options, quantization) == Path(expected)


def test_only_evaluated_models_are_recorded_as_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has not run on a photo is verified again when it is loaded."""
    remembered: list[bytes] = []
    monkeypatch.setattr("poets_edge.exporting.export.remember", remembered.append)
    for scored, expected in ((None, []), (SimpleNamespace(), [b"model"])):
        file = replace(file_of("int8"), scored=scored)  # type: ignore[arg-type]
        PreparedExport(ExportResult((file,), LABELS, ()), (b"model",), {}, (1, 2)).remember()
        assert remembered == expected


def test_export_result_contains_and_describes_each_file() -> None:
    files = file_of("float32"), file_of("int8", 3, 1)
    result = ExportResult(files, LABELS, ())
    assert list(result) == ["float32", "int8"] and result["int8"] is files[1] and len(result) == 2
    with pytest.raises(KeyError, match="dynamic"):
        result["dynamic"]
    plain, int8 = result.to_json()["files"]
    assert plain["beside_float"] is None and (int8["beside_float"]["worse"], int8["beside_float"]["better"]) == (3, 1)
    assert int8["agreement_with_float"] == 0.25 and int8["size"] == 1_234_567 and int8["test"] is None
    assert result.rows()[1]["agreement_with_float"] == 0.25 and result.rows()[1]["accuracy"] is None
    assert repr(files[1]).startswith("<ExportedFile int8.tflite: 1.23 MB, test accuracy")


@pytest.mark.parametrize(
    ("options", "valid"),
    [
        ({"calibration_count": 1}, True), ({"calibration_count": 0}, False),
        ({"max_accuracy_drop": 0.0}, True), ({"max_accuracy_drop": 100.0}, True), ({"max_accuracy_drop": -0.1}, False),
        ({"max_accuracy_drop": 100.1}, False), ({"input_size": 8}, True), ({"input_size": 7}, False),
        ({"input_size": 2048}, True), ({"input_size": 2049}, False), ({"unknown_label": "nothing here"}, True),
        ({"unknown_label": " none"}, False), ({"unknown_label": "none "}, False), ({"unknown_label": "a\nb"}, False),
        ({"gray": True, "quantizations": ("full-int8",)}, True),
        ({"gray": True, "quantizations": ("full-int8", "int8")}, False), ({"gray": True}, False),
    ],
)  # fmt: skip
def test_export_options_accept_values_up_to_their_limits(options: dict[str, Any], valid: bool) -> None:
    if valid:
        assert ExportOptions(**options).graph == ExportOptions().graph
    else:
        with pytest.raises(UsageError):
            ExportOptions(**options)


def test_export_options_have_the_documented_defaults() -> None:
    options = ExportOptions()
    assert (options.calibration_count, options.float_io, options.input_type, options.max_accuracy_drop) == (
        100, False, "uint8", None,
    )  # fmt: skip


def test_accuracy_of_a_file_without_test_photos_is_unknown() -> None:
    empty = Evaluation(("a", "b"), np.zeros((2, 2), np.int64), 0.0)
    some = Evaluation(("a", "b"), np.array([[1, 1], [0, 2]]), 0.5)
    for evaluation, accuracy in ((None, None), (empty, None), (some, 0.75)):
        file = ExportedFile(path=Path("m"), quantization="int8", size=7, evaluation=evaluation, agreement=None)
        assert file.accuracy == accuracy
