"""Tests of the results of `train`: which photos each result counts, and when a checkpoint is removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.device.metrics import Evaluation
from poets_edge.errors import OutputError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.network import Parameters
from poets_edge.nets.write_graph import graph_of
from poets_edge.photos.folder import Photo
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training import train as module
from poets_edge.training.distort import Distortions
from poets_edge.training.fine_tuning.fine_tune import FineTuned
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.tail import backbone_network
from poets_edge.training.head import Head, HeadOptions
from poets_edge.training.options import TrainOptions
from poets_edge.training.record import class_table, find_duplicates, photo_fields
from poets_edge.training.results import TrainResult
from tests.recorder import Recorder

Run = Callable[..., TrainResult]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    draw_photos(folder, per_class=12)
    return folder


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Function that calls `train` with some options changed; all calls use the same folder."""
    work = tmp_path_factory.mktemp("work")
    options = TrainOptions(
        image_dir=photos, architecture=architecture("mobilenet_0.25_128"), weights="embedded",
        output_graph=work / "graph.pb", output_labels=work / "labels.txt", bottleneck_dir=work / "bottlenecks",
        model_dir=work, summaries_dir=work / "summaries", runs_dir=work / "runs", head=HeadOptions(steps=100), folds=0,
        with_report=False,
    )  # fmt: skip
    return lambda reporter=None, **changes: module.train(replace(options, **changes), reporter)


def test_train_evaluates_test_and_validation_photos_separately(run: Run) -> None:
    result = run()
    counts = {name: sum(row[name] for row in result.table.values()) for name in SPLIT_NAMES}
    assert sum(counts.values()) == 60 and counts["test"] != counts["validation"]
    assert result.test.count == counts["test"] and result.validation.count == counts["validation"]
    evaluations: dict[SplitName, Evaluation] = {"test": result.test, "validation": result.validation}
    for name, evaluation in evaluations.items():
        of_class = {label: row[name] for label, row in result.table.items()}
        assert dict(zip(result.labels, evaluation.confusion.sum(axis=1).tolist(), strict=True)) == of_class
    record = json.loads(result.record.read_text())
    sets = {name: set(record["sets"][name]) for name in SPLIT_NAMES}
    assert {name: len(names) for name, names in sets.items()} == counts
    assert len(set.union(*sets.values())) == 60 and set.union(*sets.values()) == set(record["photos"])
    assert {mistake.photo.name for mistake in result.misclassified} <= sets["test"]
    assert len(result.misclassified) == result.test.count - result.test.correct


def test_train_notes_that_the_accuracy_assumes_independent_photos(run: Run) -> None:
    reporter = Recorder()
    result = run(reporter)
    assert result.assumption is not None and reporter.notes.count(result.assumption) == 1
    assert result.to_json()["assumption"] == result.assumption
    stated = run(reporter, group_by=r"(\d)\.jpg$")
    assert stated.assumption is None and stated.to_json()["assumption"] is None and len(reporter.notes) > 1


def test_train_evaluates_a_sample_of_the_test_set_if_requested(run: Run) -> None:
    whole = run()
    few = run(test_batch_size=2)
    assert few.test.count == 2 and few.validation.count == whole.validation.count
    assert run(test_batch_size=1000).test.to_json() == whole.test.to_json()
    assert few.graph.read_bytes() == whole.graph.read_bytes()


def test_checkpoint_is_removed_after_results_are_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "run.checkpoint.npz"
    checkpoint.write_bytes(b"state")

    def tuned(data: Any, backbone: Any, head: Any, options: Any, *rest: Any) -> FineTuned:
        return FineTuned(
            backbone.read_graph(), head, data.vectors, (), 0, "frozen", None, "", (checkpoint,), (), options
        )

    def full_disk(files: Any) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(module, "fine_tune", tuned)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_together", full_disk)
        with pytest.raises(OutputError):
            run(fine_tuning=FineTuning(blocks=1))
    assert checkpoint.exists(), "the next run resumes from it"
    run(fine_tuning=FineTuning(blocks=1))
    assert not checkpoint.exists()


def test_train_evaluates_a_fine_tuned_network_on_its_own_bottlenecks(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fine-tuned network is the backbone with its features in reverse order, so no score changes."""
    draw_photos(tmp_path / "others", per_class=1)
    frozen = run(strangers=tmp_path / "others", folds=2)

    def tuned(data: Any, backbone: Any, head: Any, options: Any, *rest: Any) -> FineTuned:
        network = backbone_network(backbone)
        last = [layer.name for layer in network.layers if layer.has_weights()][-1]
        of_last = network.parameters[last]
        reverse = Parameters(of_last.kernel[..., ::-1].copy(), of_last.bias[::-1].copy())
        changed = replace(network, parameters={**network.parameters, last: reverse})
        reversed_head = Head(head.weights[::-1].copy(), head.biases)
        vectors = data.vectors[:, ::-1].copy()
        return FineTuned(
            graph_of(changed), reversed_head, vectors, (), 3, "fine-tuned", None, "", (), (), options, changed
        )

    monkeypatch.setattr(module, "fine_tune", tuned)
    notes = Recorder()
    options: Any = {"strangers": tmp_path / "others", "folds": 2, "calibrated": False}
    both = run(fine_tuning=FineTuning(blocks=1), **options).unknown
    assert both is not None and both.detector.inner is not None, "the detector also reads an inner layer"
    monkeypatch.setattr(module, "inner_outputs", lambda *rest: None)
    result = run(notes, fine_tuning=FineTuning(blocks=1), **options)
    assert result.test.correct == frozen.test.correct and result.validation.correct == frozen.validation.correct
    assert frozen.cross_validated is not None and result.cross_validated is None
    assert ", cross-validated " in repr(frozen) and "cross-validated" not in repr(result)
    assert any("no cross-validation" in line and f"N = {result.test.count}" in line for line in notes.notes)
    assert frozen.unknown is not None and result.unknown is not None
    ratios = result.unknown.strangers / frozen.unknown.strangers  # the limit may rise for validation photos
    assert len(ratios) == 5 and ratios.max() <= 1.001 and np.ptp(ratios) < 1e-3 * ratios.max()


def test_train_saves_a_summary_of_each_run_unless_disabled(run: Run, tmp_path: Path) -> None:
    run(runs_dir=None, summaries_dir=tmp_path / "curves")
    assert [path.name for path in tmp_path.iterdir()] == ["curves"]
    run(runs_dir=tmp_path / "runs", summaries_dir=tmp_path / "curves")
    [note] = tmp_path.glob("runs/*/run.json")
    assert json.loads(note.read_text())["accuracies"]["cross_validation"] is None


def test_train_reports_why_distorted_photos_are_not_cross_validated(run: Run) -> None:
    notes = Recorder()
    result = run(notes, folds=2, distortions=Distortions(flip_left_right=True, variants=1))
    assert result.cross_validated is None
    assert "no cross-validation: it would need distorted copies of the test photos too." in notes.notes


def test_photo_table_of_a_training_run_counts_photos_by_class_and_split() -> None:
    rng = np.random.default_rng(0)
    labels = ["roses", "daisy", "tulips"]
    items = [
        HashedPhoto(Photo(Path(f"{n}"), f"{label}/{n}.jpg", label), int(n % 7).to_bytes(32, "big"))
        for n, label in enumerate(rng.choice(labels, 40, p=[0.6, 0.3, 0.1]))
    ]
    hashed, sets = HashedPhotos.of(items), rng.integers(0, 3, 40).astype(np.int8)
    table = class_table(hashed.photos, sets)
    for label in labels:
        for number, name in enumerate(SPLIT_NAMES):
            expected = sum(one.photo.label == label and sets[row] == number for row, one in enumerate(items))
            assert table[label][name] == expected
    fields = photo_fields(hashed, sets)
    assert {name: len(names) for name, names in fields["sets"].items()} == {
        name: int((sets == number).sum()) for number, name in enumerate(SPLIT_NAMES)
    }
    assert fields["photos"] == {one.photo.name: one.digest.hex() for one in items}
    groups = {tuple(one.names) for one in find_duplicates(hashed, sets)}
    assert groups == {tuple(items[row].photo.name for row in range(start, 40, 7)) for start in range(7)}


def test_duplicates_in_one_split_and_class_are_not_reported() -> None:
    items = [
        HashedPhoto(Photo(Path(f"{n}"), f"a/{n}", label), bytes([n // 2] * 32)) for n, label in enumerate("aaaaabaa")
    ]
    found = find_duplicates(HashedPhotos.of(items), np.array([0, 0, 0, 1, 2, 2, 1, 1], np.int8))
    assert [(one.names, one.sets, one.labels) for one in found] == [
        (("a/2", "a/3"), (SPLIT_NAMES[0], SPLIT_NAMES[1]), ("a", "a")),
        (("a/4", "a/5"), (SPLIT_NAMES[2], SPLIT_NAMES[2]), ("a", "b")),
    ]
