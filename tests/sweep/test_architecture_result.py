"""Tests of saved architecture results: round trip, changed models and damaged files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.device.predictions import Mistake
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo
from poets_edge.sweep.architecture_result import (
    FILE,
    INT8_BACKBONE,
    ArchitectureResult,
    EvaluationResult,
    Evaluations,
    GridModel,
    MistakeRecord,
    read_result,
    record_mistakes,
)
from tests.recorder import Recorder

ARCHITECTURE = architecture("mobilenet_0.25_128")
EVALUATION = EvaluationResult(
    correct=(4, 0, 2),
    repeats=4,
    confusion=((1.0, 0.5), (0.25, 1.25)),
    mistakes=(MistakeRecord("roses/\udce9.jpg", "daisy", 0.6),),
    agreement=0.75,
    unknown=1,
)
EVALUATIONS = Evaluations(
    photos=("daisy/1.jpg", "daisy/2.jpg", "roses/\udce9.jpg"),
    groups=(0, 0, 2),
    folds=2,
    requested_folds=5,
    warnings=("2 folds instead of 5",),
    models={"float32": EVALUATION, "int8": replace(EVALUATION, agreement=None)},
)


@pytest.fixture
def saved(tmp_path: Path) -> ArchitectureResult:
    """Result that is saved in `tmp_path` together with its models."""
    files = {name: tmp_path / name for name in ("float32.tflite", "int8.tflite", INT8_BACKBONE)}
    for name, path in files.items():
        path.write_text(name)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in files}
    result = ArchitectureResult(
        key="k",
        labels=("daisy", "roses"),
        models=tuple(
            GridModel(
                architecture=ARCHITECTURE,
                quantization=quantization,
                path=files[f"{quantization}.tflite"],
                size=12,
                sha256=digests[f"{quantization}.tflite"],
            )
            for quantization in ("float32", "int8")
        ),
        int8_backbone_sha256=digests[INT8_BACKBONE],
        warnings=("a warning",),
        test=None,
        assumption="no two photos",
        cross_validation=EVALUATIONS,
    )
    result.write(tmp_path)
    return result


def test_read_result_returns_the_written_result_for_a_matching_key(saved: ArchitectureResult, tmp_path: Path) -> None:
    warnings = Recorder()
    assert read_result(tmp_path, ARCHITECTURE, "k", warnings) == saved
    assert read_result(tmp_path, ARCHITECTURE, "other inputs", warnings) is None
    assert read_result(tmp_path / "empty", ARCHITECTURE, "k", warnings) is None
    assert not warnings.warnings


@pytest.mark.parametrize("name", ["int8.tflite", INT8_BACKBONE])
@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("replaced")])
def test_read_result_returns_none_if_the_model_was_changed_or_removed(
    saved: ArchitectureResult, tmp_path: Path, name: str, change: Callable[[Path], object]
) -> None:
    change(tmp_path / name)
    assert read_result(tmp_path, ARCHITECTURE, saved.key) is None


@pytest.mark.parametrize(
    ("path", "wrong", "place"),
    [
        ("models.0.file", "../../etc/passwd", "models[0].file"),
        ("models.0.file", "..\\passwd", "models[0].file"),
        ("models.1.file", "..", "models[1].file"),
        ("models.1.file", "", "models[1].file"),
        ("models.1.file", "a\0", "models[1].file"),
        ("models.0.quantization", "int4", "models[0].quantization"),
        ("cross_validation.models.int8.correct", 5, "cross_validation.models.int8.correct"),
        ("cross_validation.models.int8.mistakes.0.score", "x", "cross_validation.models.int8.mistakes[0].score"),
        ("labels", "daisy", "labels"),
        ("cross_validation.models.int8.repeats", 0, "cross_validation.models.int8.repeats"),
        ("int8_backbone_sha256", None, "int8_backbone_sha256"),
    ],
)
def test_read_result_warning_names_the_damaged_field(
    saved: ArchitectureResult, tmp_path: Path, path: str, wrong: Any, place: str
) -> None:
    file, warnings = tmp_path / FILE, Recorder()
    value = json.loads(file.read_text())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    parent = value
    for part in parents:
        parent = parent[part]
    parent[last] = wrong
    file.write_text(json.dumps(value))
    assert read_result(tmp_path, ARCHITECTURE, saved.key, warnings) is None
    [warning] = warnings.warnings
    assert str(file) in warning and f": {place} is" in warning


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"key": NaN}', "null"])
def test_read_result_warns_about_a_damaged_file(tmp_path: Path, text: str) -> None:
    warnings = Recorder()
    (tmp_path / FILE).write_text(text)
    assert read_result(tmp_path, ARCHITECTURE, "k", warnings) is None
    assert len(warnings.warnings) == 1


def test_evaluations_of_independent_photos_have_no_groups(saved: ArchitectureResult, tmp_path: Path) -> None:
    changed = replace(saved, test=replace(EVALUATIONS, groups=None, folds=0, requested_folds=0), cross_validation=None)
    changed.write(tmp_path)
    assert read_result(tmp_path, ARCHITECTURE, "k") == changed


def test_read_result_returns_none_if_the_file_cannot_be_read(tmp_path: Path) -> None:
    warnings = Recorder()
    (tmp_path / FILE).mkdir()
    assert read_result(tmp_path, ARCHITECTURE, "k", warnings) is None and warnings.warnings == []


def test_mistakes_are_recorded_with_the_predicted_label() -> None:
    mistakes = [Mistake(Photo(Path("/photos/a/1.jpg"), "a/1.jpg", "a"), "b", 0.75)]
    assert record_mistakes(mistakes) == (MistakeRecord("a/1.jpg", "b", 0.75),)


def test_result_that_contains_nan_is_not_saved(saved: ArchitectureResult, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    models = {**EVALUATIONS.models, "int8": replace(EVALUATION, agreement=float("nan"))}
    with pytest.raises(ValueError, match="JSON"):
        replace(saved, test=replace(EVALUATIONS, models=models)).write(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
