"""Tests of what is fine-tuned, compared and chosen, with stand-ins for training and for networks."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import DatasetError, OutputError, PhotoError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import Layer
from poets_edge.photos.folder import Photo
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training import row_store
from poets_edge.training.bottlenecks import PLAIN
from poets_edge.training.data import TrainingData
from poets_edge.training.distort import Distortions
from poets_edge.training.fine_tuning import curves
from poets_edge.training.fine_tuning import fine_tune as module
from poets_edge.training.fine_tuning.activations import Activations, View, activations_file
from poets_edge.training.fine_tuning.checkpoint import Checkpoint, load, save
from poets_edge.training.fine_tuning.encoding import encoding_of
from poets_edge.training.fine_tuning.fine_tune import FineTuned, compute_bottlenecks, fine_tune
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.trainer import Epoch
from poets_edge.training.fine_tuning.tuning import DivergedError
from poets_edge.training.fine_tuning.views import Views
from poets_edge.training.head import Head, HeadOptions
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.row_store import open_row_store
from tests.recorder import Recorder

ENTRY = architecture("mobilenet_0.25_128")
SETS = ["training"] * 12 + ["validation"] * 4 + ["test"] * 4
EPOCHS = tuple(Epoch(number, 0.25 * number, 2.0 / number, 0.2 * number, 1.0 / number) for number in (1, 2, 3))


def data(groups: PhotoGroups | None = None, sets: list[str] = SETS) -> TrainingData:
    names = [f"{'ab'[row % 2]}/{row}.jpg" for row in range(len(sets))]
    items = [HashedPhoto(Photo(Path(name), name, name[0]), bytes([row]) * 32) for row, name in enumerate(names)]
    numbers = np.array([SPLIT_NAMES.index(name) for name in sets], np.int8)
    vectors = np.zeros((len(sets), 3), np.float32)
    return replace(TrainingData.of(items, vectors, numbers, ("a", "b")), groups=groups)


@pytest.fixture
def tuning(monkeypatch: pytest.MonkeyPatch) -> Any:
    """State of the stand-ins, with a function `run` that fine-tunes; its arguments set the result of the comparison."""
    state = SimpleNamespace(calls=[], heads=[], error=None, compared=[], reporter=Recorder(), vectors=[])
    frozen_head = Head(np.zeros((3, 2), np.float32), np.zeros(2, np.float32))

    @contextlib.contextmanager
    def opened(*rest: Any) -> Iterator[Any]:
        def compute(views: Any, reporter: Any) -> None:
            state.views.append([(view.photo.photo.name, view.name) for view in views])

        yield SimpleNamespace(compute=compute)

    def tune(start: Any, schedule: Any, validation: Any, _: Any, options: Any, folder: Path, reporter: Any) -> Any:
        state.calls.append(SimpleNamespace(start=start, schedule=schedule, validation=validation, options=options))
        if state.error:
            raise state.error
        number = len(state.calls)
        head = Head(np.full((3, 2), number, np.float32), np.zeros(2, np.float32))
        tuned = SimpleNamespace(tail=f"tail {number}", head=head, epochs=EPOCHS, chosen=2)
        return tuned, folder / f"{number}.npz"

    def bottlenecks(network: Any, backbone: Any, photos: Any, wanted: Any) -> Any:
        state.vectors.append((network, wanted.tolist()))
        return np.full((len(photos), 3), 7, np.float32)

    def scores(tuned: Any, frozen: Any, given: Any, rows: Any) -> Any:
        state.compared.append((tuned[0], frozen[0], rows.tolist(), float(tuned[1][0, 0]), float(frozen[1][0, 0])))
        return (rows, rows, rows)

    def head(training: Any, classes: int, options: Any) -> Any:
        state.heads.append((training.classes.tolist(), classes, options))
        return f"head {len(state.heads)}"

    def compare(*of: Any) -> Any:
        state.rows = of[0].tolist()
        return state.comparison

    monkeypatch.setattr(module, "backbone_network", lambda backbone: "network")
    monkeypatch.setattr(module, "read_tail", lambda network, blocks, name: f"{blocks} of {name}")
    monkeypatch.setattr(module, "open_activations", opened)
    monkeypatch.setattr(module, "tune", tune)
    monkeypatch.setattr(module, "with_tail", lambda network, tail: f"{network} with {tail}")
    monkeypatch.setattr(module, "graph_of", lambda network: f"graph of {network}")
    monkeypatch.setattr(module, "compute_bottlenecks", bottlenecks)
    monkeypatch.setattr(module, "_scores", scores)
    monkeypatch.setattr(module, "_head", head)
    monkeypatch.setattr(module, "compare_scores", compare)
    monkeypatch.setattr(module, "release_memory", lambda: None)

    class Comparison(SimpleNamespace):
        def __str__(self) -> str:
            return "compared"

    def run(given: TrainingData, *, better: bool = False, undecided: bool = False, **changes: Any) -> FineTuned:
        for stored in (state.calls, state.heads, state.compared, state.vectors):
            stored.clear()
        state.views = []
        state.comparison = Comparison(
            is_better=better, is_undecided=undecided, correct=5, frozen_correct=4, paired=SimpleNamespace(photos=8)
        )
        backbone: Any = SimpleNamespace(architecture=ENTRY, read_graph=lambda: "frozen graph")
        options = FineTuning(**{"blocks": 2, "epochs": 7, **changes})
        views = Views(Distortions(), 3)
        seed = HeadOptions(seed=9)
        state.frozen = frozen_head
        return fine_tune(given, backbone, frozen_head, options, views, seed, Path("folder"), state.reporter)

    state.run = run
    return state


def test_training_photos_train_the_network_and_validation_photos_select_the_epoch(tuning: Any) -> None:
    result = tuning.run(data(), better=True, batch_size=5)
    [call] = tuning.calls
    assert [photo.photo.name for photo in call.schedule.photos] == [f"{'ab'[n % 2]}/{n}.jpg" for n in range(12)]
    assert call.schedule.classes.tolist() == [0, 1] * 6 and call.schedule.seed == 9 and call.schedule.batch_size == 5
    assert (call.schedule.whole_from, len(call.schedule.whole), len(call.schedule.views)) == (6, 2, 3)
    assert [photo.photo.name for photo in call.validation.photos] == ["a/12.jpg", "b/13.jpg", "a/14.jpg", "b/15.jpg"]
    assert call.validation.classes.tolist() == [0, 1, 0, 1] and call.start[0] == f"2 of {ENTRY.name}"
    assert call.start[1] is tuning.frozen
    assert [name for _, name in tuning.views[0][-4:]] == [PLAIN] * 4
    assert tuning.compared == [(result.head, tuning.frozen, list(range(12, 20)), 7.0, 0.0)]
    assert tuning.vectors == [("network with tail 1", list(range(20)))]
    assert (result.written, result.chosen, result.graph) == ("fine-tuned", 2, "graph of network with tail 1")
    assert result.network == "network with tail 1" and result.epochs == EPOCHS
    assert result.checkpoints == (Path("folder/1.npz"),) and float(result.vectors[0, 0]) == 7
    assert result.verdict == (
        "fine-tuned 5, frozen 4 of 8 photos right (of validation and test): compared. The fine-tuned one is written"
        " (epoch 2)."
    )
    tuning.run(data(), better=True, epochs=1)
    assert tuning.calls[0].schedule.whole == ()


def test_frozen_network_is_written_unless_the_fine_tuned_one_is_better(tuning: Any) -> None:
    result = tuning.run(data())
    assert (result.written, result.chosen, result.graph) == ("frozen", 0, "frozen graph")
    assert result.head is tuning.frozen and float(result.vectors[0, 0]) == 0 and result.epochs == EPOCHS
    assert result.network is None and result.verdict.endswith("The frozen one is written.")
    assert result.comparison is tuning.comparison and result.checkpoints == (Path("folder/1.npz"),)


def test_inconclusive_comparison_is_repeated_with_two_fold_cross_validation(tuning: Any) -> None:
    result = tuning.run(data(), undecided=True)
    assert [call.options.epochs for call in tuning.calls] == [7, 3, 3], "a third of the epochs, rounded up"
    rows = [compared[2] for compared in tuning.compared]
    assert rows[0] == list(range(12, 20)) and sorted(rows[1] + rows[2]) == list(range(16))
    assert tuning.rows == rows[1] + rows[2], "the comparison is of all folds"
    for call, held_out, number in zip(tuning.calls[1:], rows[1:], (2, 3), strict=True):
        learned = [int(photo.photo.name[2:-4]) for photo in call.schedule.photos]
        assert sorted(learned + held_out) == list(range(16)) and call.validation.photos == []
        assert (f"network with tail {number}", held_out) in tuning.vectors
        assert call.start[1] == f"head {number - 1}"
        assert tuning.heads[number - 2][0] == [n % 2 for n in learned] and tuning.heads[number - 2][1] == 2
    assert [compared[1] for compared in tuning.compared[1:]] == ["head 1", "head 2"]
    assert result.checkpoints == tuple(Path(f"folder/{n}.npz") for n in (1, 2, 3))
    assert "(cross-fitted in 2 folds)" in result.verdict
    assert any("fold 2 of 2" in note for note in tuning.reporter.notes)


def test_requested_folds_compare_the_networks_on_all_photos_outside_the_test_set(tuning: Any) -> None:
    tuning.run(data(), folds=3)
    assert len(tuning.calls) == 4 and sorted(row for one in tuning.compared for row in one[2]) == list(range(16))
    tuning.run(data(), folds=0, undecided=True)
    assert len(tuning.calls) == 1
    groups = PhotoGroups(np.arange(20) // 4)
    tuning.run(data(groups), folds=2)
    for _, _, rows, *_ in tuning.compared:
        assert {row // 4 for row in rows} & {row // 4 for row in set(range(16)) - set(rows)} == set()
    alike = data(PhotoGroups(np.zeros(20, np.int64)))
    with pytest.raises(DatasetError):
        tuning.run(alike, folds=2)
    assert tuning.calls == [], "the error is raised before training"
    assert tuning.run(alike, undecided=True).verdict.startswith("fine-tuned 5, frozen 4")


def test_fine_tuned_network_is_not_compared_if_all_photos_are_training_photos(tuning: Any) -> None:
    result = tuning.run(data(sets=["training"] * 12), folds=0)
    assert (result.written, result.comparison) == ("fine-tuned", None)
    assert result.verdict.startswith("fine-tuned: no photo outside of training")


def test_frozen_network_is_written_if_training_diverges(tuning: Any) -> None:
    tuning.error = DivergedError(EPOCHS[:2])
    result = tuning.run(data())
    assert (result.written, result.graph, result.epochs) == ("frozen", "frozen graph", EPOCHS[:2])
    assert result.head is tuning.frozen and result.comparison is None
    assert tuning.reporter.warnings == [result.verdict] and "epoch 3" in result.verdict


def test_scores_of_both_networks_are_compared_on_the_same_photos() -> None:
    given = replace(data(), vectors=np.full((20, 3), 1, np.float32))
    one = Head(np.array([[0, 1]] * 3, np.float32), np.zeros(2, np.float32))
    other = Head(np.array([[1, 0]] * 3, np.float32), np.zeros(2, np.float32))
    rows = np.array([3, 12, 13])
    tuned, frozen, classes = module._scores((one, given.vectors), (other, given.vectors[:] * 2), given, rows)
    assert tuned[0] == pytest.approx([1 / (1 + np.e**3), 1 / (1 + np.e**-3)]) and len(tuned) == 3
    assert frozen[0] == pytest.approx([1 / (1 + np.e**-6), 1 / (1 + np.e**6)], rel=1e-4)
    assert classes.tolist() == [1, 0, 1]


@pytest.fixture
def files(tmp_path: Path) -> HashedPhotos:
    items = []
    for gray in (40, 90, 140):
        path = tmp_path / f"{gray}.png"
        Image.new("RGB", (16, 16), (gray,) * 3).save(path)
        items.append(HashedPhoto(Photo(path, f"a/{gray}.png", "a"), hashlib.sha256(path.read_bytes()).digest()))
    return HashedPhotos.of(items)


def test_bottlenecks_are_computed_only_for_the_requested_photos(
    files: HashedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extractor(model: Any) -> Any:
        assert model == ("model file", "written network")
        return lambda pixels: np.full(ENTRY.bottleneck_size, pixels.mean() + pixels.shape[0], np.float32)

    monkeypatch.setattr(module, "Extractor", extractor)
    monkeypatch.setattr(module, "ModelFile", lambda *parts: parts)
    monkeypatch.setattr(module, "write_float_model", lambda network: f"written {network}")
    backbone: Any = SimpleNamespace(architecture=ENTRY, model="model file")
    network: Any = "network"
    found = compute_bottlenecks(network, backbone, files, np.array([0, 2]))
    assert found[:, 0].tolist() == [40 + 128, 0, 140 + 128] and found.shape == (3, ENTRY.bottleneck_size)
    changed = HashedPhotos(files.photos, files.digests[::-1].copy())
    with pytest.raises(PhotoError):
        compute_bottlenecks(network, backbone, changed, np.array([0]))


CUT = Layer("cut", "convolution", ("input",), activation="relu6")


@pytest.fixture
def activations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Cache of activations with the shape [1, 2, 3], which are proportional to the gray value of a photo."""

    def extractor(model: Any) -> Any:
        def run(pixels: Any) -> Any:
            made.append(round(float(pixels.mean())))
            return np.arange(6, dtype=np.float32).reshape(1, 2, 3) * np.float32(pixels.mean() / 200)

        return run

    made: list[int] = []
    monkeypatch.setattr("poets_edge.training.fine_tuning.activations.Extractor", extractor)
    backbone: Any = SimpleNamespace(architecture=ENTRY)
    model: Any = None
    file = tmp_path / "a.sqlite"
    with open_row_store(file, "activations") as (rows, _):
        opened = Activations(backbone, model, (1, 2, 3), rows, file, Views(Distortions(), 2), encoding_of(CUT))
        yield SimpleNamespace(opened=opened, rows=rows, made=made)


def test_activations_of_each_view_are_computed_only_once(activations: Any, files: HashedPhotos) -> None:
    cache, reporter = activations.opened, Recorder()
    views = [View(photo, name) for photo in files for name in (PLAIN, "mirrored-1")]
    assert cache.compute(views[:4], reporter) == 4 and len(activations.made) == 4
    assert "activations: 4 to compute" in reporter.notes[0]
    with open_row_store(cache.file, "activations") as (stored, _):
        assert stored.missing([view.key(encoding_of(CUT)) for view in views[:4]]) == [], "they are committed"
    assert cache.compute(views, reporter) == 2 and cache.compute(views, reporter) == 0
    assert sorted(set(activations.made)) == [40, 90, 140] and len(activations.made) == 6 and len(reporter.notes) == 2
    found = cache.read([views[4], views[0], views[1]])
    for row, gray in enumerate((140, 40, 40)):
        assert found[row, 0] == pytest.approx(np.arange(6).reshape(2, 3) * gray / 200, abs=0.02)
    assert len(activations.made) == 6
    other = View(files[1], "crop-1 0")
    cache.read([other])
    cache.read([other])
    assert len(activations.made) == 7, "a view that was absent is stored"


def test_activation_files_are_named_after_backbone_and_block_count() -> None:
    backbone: Any = SimpleNamespace(model=Path("x/mobilenet-abc.tflite"))
    tail: Any = SimpleNamespace(blocks=3)
    assert activations_file(backbone, tail, Path("f")) == Path("f/mobilenet-abc-last3.activations.sqlite")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_checkpoint_keeps_the_order_of_many_arrays(tmp_path: Path) -> None:
    state = [np.full(2, number) for number in range(120)]
    best = [np.full(3, -number) for number in range(12)]
    save(tmp_path / "c.npz", Checkpoint(EPOCHS, 2, state, best))
    found = load(tmp_path / "c.npz")
    assert found is not None and found.epochs == EPOCHS and found.chosen == 2
    assert [int(array[0]) for array in found.state] == list(range(120))
    assert [int(array[0]) for array in found.best] == [-number for number in range(12)]
    content = (tmp_path / "c.npz").read_bytes()
    for damaged in (content[:-30], content[:200], b"", b"PK\3\4", content[:500] + b"x" * 100 + content[600:]):
        (tmp_path / "c.npz").write_bytes(damaged)
        assert load(tmp_path / "c.npz") is None
    assert load(tmp_path / "none.npz") is None


def test_failed_checkpoint_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "c.npz", Checkpoint(EPOCHS, 2, [], []))

    def fail(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises((OSError, OutputError)):
        save(tmp_path / "c.npz", Checkpoint(EPOCHS[:1], 1, [], []))
    monkeypatch.undo()
    found = load(tmp_path / "c.npz")
    assert found is not None and found.chosen == 2 and len(list(tmp_path.iterdir())) == 1


def test_only_the_last_epoch_in_the_event_files_has_histograms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, list[Any]] = {}

    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[Any]:
        of = written.setdefault(folder.name, [])
        yield SimpleNamespace(add=lambda step, scalars, last=None: of.append((step, scalars, last and sorted(last))))

    monkeypatch.setattr(curves, "event_file", opened)
    head = Head(np.zeros((1, 2), np.float32), np.zeros(2, np.float32))
    curves.write_curves(tmp_path, (*EPOCHS[:2], replace(EPOCHS[2], validation_accuracy=None)), head)
    assert [last for _, _, last in written["fine_tuning_train"]] == [None, None, ["head/biases", "head/weights"]]
    assert written["fine_tuning_train"][1][:2] == (2, {"accuracy": 0.5, "cross_entropy": 1.0})
    assert [(step, scalars) for step, scalars, _ in written["fine_tuning_validation"]] == [
        (1, {"accuracy": 0.2, "cross_entropy": 1.0}), (2, {"accuracy": 0.4, "cross_entropy": 0.5}),
    ]  # fmt: skip
    removed: list[str] = []
    monkeypatch.setattr(curves, "remove_event_files", lambda folder: removed.append(folder.name))
    curves.remove_curves(tmp_path)
    assert removed == ["fine_tuning_train", "fine_tuning_validation"]


def test_row_store_replaces_and_commits_rows_and_counts_damaged_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_store, "_ROWS_PER_COMMIT", 3)
    path = tmp_path / "r.sqlite"
    with open_row_store(path, "t") as (rows, moved):
        assert moved is None and rows.missing([b"b", b"a"]) == [b"b", b"a"]
        for number, key in enumerate((b"a", b"b", b"a", b"c")):
            rows.write(key, bytes([number]))
        with open_row_store(path, "t") as (other, _):
            assert other.read_many([b"c", b"a", b"b"]) == [None, b"\2", b"\1"], "three rows are committed"
    with contextlib.suppress(KeyError), open_row_store(path, "t") as (rows, _):
        rows.write(b"d", b"\7")
        raise KeyError
    with open_row_store(path, "t") as (rows, _):
        assert rows.read(b"d") == b"\7" and rows.missing([b"x", b"d", b"y"]) == [b"x", b"y"]
        rows._database.change("UPDATE t SET crc = crc + 1 WHERE key = ?", (b"b",))
        assert rows.read_many([b"b", b"c"]) == [None, b"\3"] and rows.damaged == 1
