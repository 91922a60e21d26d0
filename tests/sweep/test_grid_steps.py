"""Tests of the steps of `grid` with stand-ins: snapshot, saved results, caches, cross-validation, and NPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import DatasetError, ModelError, OutputError, PhotoError
from poets_edge.exporting.microcontroller.boards import board
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.progress import Silent
from poets_edge.sweep import npu_latencies, photo_snapshot, training, validation
from poets_edge.sweep.architecture_result import ArchitectureResult, EvaluationResult, Evaluations, GridModel
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.int8_backbone import Int8Backbone, int8_vector_key
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.photo_snapshot import take_snapshot
from poets_edge.training.look_alikes import PhotoGroups
from tests.recorder import Recorder
from tests.tiny_model import SIDE, color_model

SMALL, LARGE = architecture("mobilenet_0.25_128"), architecture("mobilenet_0.50_160")


def options(folder: Path, **fields: Any) -> GridOptions:
    given = {"image_dir": folder / "photos", "architectures": (SMALL, LARGE), "output_dir": folder / "grid"}
    return GridOptions(**{**given, "bottleneck_dir": folder / "cache", **fields})


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_snapshot_requires_test_photos(tmp_path: Path) -> None:
    write(tmp_path / "photos", "train/a/1.jpg", "train/b/2.jpg", "validation/a/3.jpg", "validation/b/4.jpg")
    with pytest.raises(DatasetError, match="no photo is in the test set"):
        take_snapshot(options(tmp_path), Silent())
    write(tmp_path / "photos", "test/a/5.jpg", "test/b/6.jpg")
    found = take_snapshot(options(tmp_path), Silent())
    assert found.has_own_test and [found.readable[row].photo.name for row in found.cross_validated_rows.tolist()] == [
        "train/a/1.jpg", "train/b/2.jpg", "validation/a/3.jpg", "validation/b/4.jpg",
    ]  # fmt: skip


def test_snapshot_applies_the_recursive_and_rehash_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "photos", *(f"{label}/{number}.jpg" for label in "ab" for number in range(20)))
    write(tmp_path / "photos", "a/deep/1.jpg", "a/notes.pdf", "b/film.mp4")
    asked: list[Any] = []
    hashed = photo_snapshot.hash_photos  # type: ignore[attr-defined]

    def hashing(photos: Any, folder: Path, reporter: Any, *, rehash: bool) -> Any:
        asked.append((folder, rehash))
        return hashed(photos, folder, reporter, rehash=rehash)

    monkeypatch.setattr(photo_snapshot, "hash_photos", hashing)
    reporter = Recorder()
    plain = take_snapshot(options(tmp_path), reporter)
    deep = take_snapshot(options(tmp_path, recursive=True, rehash=True), Silent())
    assert (len(plain.readable), len(deep.readable)) == (40, 41) and not plain.has_own_test
    assert asked == [(tmp_path / "cache", False), (tmp_path / "cache", True)]
    assert reporter.warnings == list(plain.folder.warnings()) != []


def test_key_of_saved_results_depends_on_the_versions_of_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos: Any = SimpleNamespace(hashed=[], exclusions=None)
    weights: Any = SimpleNamespace(digest="d")
    keys = []
    for version in ("1", "2"):
        monkeypatch.setattr(training, "versions", lambda version=version: {"numpy": version})
        keys.append(training._key(options(tmp_path), photos, weights))
    assert keys[0] != keys[1]


def test_key_of_saved_results_depends_on_the_names_of_photos(tmp_path: Path) -> None:
    def key(name: str) -> str:
        photo = HashedPhoto(Photo(Path(name), name, "a"), bytes(32))
        photos: Any = SimpleNamespace(hashed=[photo], exclusions=None)
        return training._key(options(tmp_path), photos, SimpleNamespace(digest="d"))  # type: ignore[arg-type]

    assert key("a/1.jpg") != key("b/1.jpg"), "the class of a photo is in its name"


def result_of(entry: Any, crossed: Evaluations | None = None, key: str = "k") -> ArchitectureResult:
    models = (GridModel(architecture=entry, quantization="int8", path=Path("m"), size=1, sha256="0" * 64),)
    return ArchitectureResult(
        key=key,
        labels=("a",),
        models=models,
        int8_backbone_sha256=entry.name,
        warnings=(),
        test=None,
        cross_validation=crossed,
    )


@pytest.fixture
def train_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that trains the architectures without a saved result; `state.saved` contains the names of the others."""
    state = SimpleNamespace(saved=set(), written=[], filled=[], asked=[], error=None)

    class Helpers:
        def share(self, items: Any, work: Callable[..., Any]) -> Iterator[Any]:
            for item in items:
                yield item, work(item, SimpleNamespace(ask=self._ask))

        def _ask(self, task: Any, name: str) -> ArchitectureResult:
            state.asked.append((type(task).__name__, name))
            if state.error:
                raise state.error
            return result_of(task.architecture)

    @contextlib.contextmanager
    def helpers(*arguments: Any) -> Iterator[Helpers]:
        yield Helpers()

    def saved(folder: Path, entry: Any, key: str, reporter: Any = None) -> Any:
        assert key == f"key of {entry.name}" and folder == tmp_path / "grid" / entry.name
        return result_of(entry) if entry.name in state.saved else None

    def written(self: ArchitectureResult, folder: Path) -> None:
        state.written.append(folder.name)
        state.saved.add(folder.name)

    monkeypatch.setattr(training, "find_weights", lambda entry, *rest, **named: entry.name)
    monkeypatch.setattr(training, "_key", lambda options, photos, weights: f"key of {weights}")
    monkeypatch.setattr(training, "read_result", saved)
    monkeypatch.setattr(training, "_start_helpers", helpers)
    monkeypatch.setattr(training, "_fill_caches", lambda options, todo, *rest: state.filled.append(todo))
    monkeypatch.setattr(training, "find_photo_groups", lambda *rest: PhotoGroups(np.arange(3)))
    monkeypatch.setattr(ArchitectureResult, "write", written)

    def train() -> Any:
        reporter = Recorder()
        photos: Any = SimpleNamespace(readable=None)
        return training.train_architectures(options(tmp_path), photos, reporter), reporter

    train.state = state  # type: ignore[attr-defined]
    return train


def test_only_architectures_without_a_saved_result_are_trained(train_all: Any) -> None:
    train_all.state.saved.add(SMALL.name)
    results, reporter = train_all()
    assert list(results) == [SMALL, LARGE] and reporter.notes == ["1 of 2 architectures were done before."]
    assert train_all.state.filled == [[LARGE]] and train_all.state.written == [LARGE.name]
    assert train_all.state.asked == [("BackboneTask", LARGE.name), ("TrainingTask", LARGE.name)]
    results, reporter = train_all()
    assert reporter.notes == ["2 of 2 architectures were done before."] and len(train_all.state.asked) == 2


def test_full_disk_error_of_grid_states_how_many_results_were_saved(train_all: Any) -> None:
    _, reporter = train_all()
    assert train_all.state.written == [SMALL.name, LARGE.name] and reporter.notes == []
    train_all.state.saved.discard(LARGE.name)
    train_all.state.error = OutputError("the disk is full.")
    with pytest.raises(OutputError, match=r"the disk is full\. 1 of 2 architectures are finished and kept"):
        train_all()


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that fills the caches; its attribute `calls` records cluster addresses and the sources of vectors."""
    calls = SimpleNamespace(clusters=[], sources=[])

    def fill(vectors: list[Any], damaged: Path | None = None, **fields: Any) -> Recorder:
        @contextlib.contextmanager
        def opened(path: Path) -> Iterator[Any]:
            yield path.name, damaged

        def read(photos: Any, sources: Any, reporter: Any) -> Any:
            calls.sources.append([source.backbone.entry for source in sources])
            return [(None, one) for one in vectors]

        def prepared(entry: Any, weights: str, folder: Path) -> Any:
            return SimpleNamespace(entry=entry, cache_file=Path(f"{weights}.sqlite"))

        monkeypatch.setattr(training, "prepare_backbone", prepared)
        monkeypatch.setattr(training, "open_cache", opened)
        monkeypatch.setattr(training, "compute_on_cluster", lambda address, *rest: calls.clusters.append(address))
        monkeypatch.setattr(training, "bottlenecks", read)
        reporter = Recorder()
        training._fill_caches(options(tmp_path, **fields), [SMALL, LARGE], {SMALL: "s", LARGE: "l"}, [1, 2], reporter)  # type: ignore[dict-item, arg-type]
        return reporter

    fill.calls = calls  # type: ignore[attr-defined]
    return fill


def test_caches_of_all_architectures_are_filled_together(filled: Any) -> None:
    reporter = filled([PhotoError("x"), [np.ones(2)]])
    assert filled.calls.sources == [[SMALL, LARGE]] and filled.calls.clusters == [] and reporter.warnings == []
    filled([[np.ones(2)]], cluster="local:2")
    assert filled.calls.clusters == ["local:2"]
    assert len(filled([[np.ones(2)]], Path("aside")).warnings) == 2
    with pytest.raises(DatasetError, match="none of its 2 photos can be read"):
        filled([PhotoError("x"), PhotoError("y")])


def evaluations(requested: int) -> Evaluations:
    one = EvaluationResult(correct=(1,), repeats=1, confusion=((1.0,),), mistakes=(), agreement=1.0)
    return Evaluations(
        photos=("1",), folds=min(requested, 3), requested_folds=requested, models={"float32": one, "int8": one}
    )


@pytest.fixture
def validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that cross-validates architectures with saved results; returns the new results and the calls."""
    calls = SimpleNamespace(tasks=[], workers=[], int8=[], written=[])

    class Pool:
        def __init__(self, worker: Any) -> None:
            calls.workers.append(worker)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def start(self, count: int) -> None:
            pass

        def share(self, items: Any, work: Any) -> Iterator[Any]:
            for item in items:
                yield item, work(item, SimpleNamespace(ask=self._ask))

        def _ask(self, task: Any, name: str) -> Evaluations:
            calls.tasks.append(task)
            return evaluations(5)

    photos: Any = SimpleNamespace(readable=np.array([10, 11, 12, 13]), cross_validated_rows=np.array([1, 3]))
    monkeypatch.setattr(validation, "HelperPool", Pool)
    monkeypatch.setattr(validation, "ValidationWorker", lambda **fields: fields)
    monkeypatch.setattr(validation, "find_photo_groups", lambda *rest: PhotoGroups(np.array([0, 0, 2, 2])))
    monkeypatch.setattr(validation, "_fill_int8_caches", lambda options, *rest: calls.int8.append(rest[:2]))
    monkeypatch.setattr(validation, "_fill_float_cache", lambda options, entry, readable, reporter: Path(entry.name))
    monkeypatch.setattr(ArchitectureResult, "write", lambda self, folder: calls.written.append((self, folder)))

    def validate(results: Any, folds: int = 5) -> Any:
        return validation.validate_architectures(options(tmp_path, folds=folds), photos, results, Silent())

    validate.calls = calls  # type: ignore[attr-defined]
    return validate


def test_models_whose_saved_results_have_another_number_of_folds_are_validated_again(
    validated: Any, tmp_path: Path
) -> None:
    done, other = result_of(SMALL, evaluations(5)), result_of(LARGE, evaluations(4))
    found = validated({SMALL: done, LARGE: other})
    assert found[SMALL] is done and found[LARGE].cross_validation == evaluations(5)
    [task] = validated.calls.tasks
    folder = tmp_path / "grid" / LARGE.name
    assert (task.float_cache, task.int8_cache) == (Path(LARGE.name), folder / "int8_features.sqlite")
    assert task.int8_backbone_sha256 == LARGE.name
    [worker] = validated.calls.workers
    assert worker["photos"].tolist() == [11, 13] and worker["groups"].tolist() == [0, 2] and worker["folds"] == 5
    assert validated.calls.written == [(found[LARGE], folder)]
    assert [list(results) for results, _ in validated.calls.int8] == [[LARGE]]
    assert validated.calls.int8[0][1].tolist() == [11, 13]
    assert validated({SMALL: done}) == {SMALL: done} and len(validated.calls.tasks) == 1
    assert validated({SMALL: result_of(SMALL)})[SMALL].cross_validation == evaluations(5)
    validated({SMALL: done}, folds=7)
    assert validated.calls.workers[-1]["folds"] == 7 and len(validated.calls.tasks) == 3


def test_int8_features_are_computed_with_the_backbone_of_each_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    @contextlib.contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield path, None

    monkeypatch.setattr(validation, "open_cache", opened)

    def computed(photos: Any, sources: Any, reporter: Any, what: str) -> list[Any]:
        asked.extend(sources)
        return []

    monkeypatch.setattr(validation, "bottlenecks", computed)
    wide = SMALL
    validation._fill_int8_caches(options(tmp_path), {wide: result_of(wide)}, HashedPhotos.of([]), Silent())
    [source] = asked
    folder = tmp_path / "grid" / wide.name
    assert source.model == folder / "int8_features.tflite" and source.cache == folder / "int8_features.sqlite"
    assert (source.sha256, source.size, source.name) == (wide.name, wide.size, f"{wide.backbone} int8")


def test_int8_features_are_cached_by_photo_and_model(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(color_model("uint8", 1 / 128, 128, normalization=BACKBONE))
    cache: Any = None
    source = Int8Backbone(model=tmp_path / "m.tflite", sha256="a" * 64, name="m", size=(SIDE, SIDE), cache=cache)
    assert source.key(b"1", "") == int8_vector_key(b"1", "a" * 64)
    assert len({int8_vector_key(b"1", "a"), int8_vector_key(b"2", "a"), int8_vector_key(b"1", "b")}) == 3
    found = source.extractor()(np.full((SIDE, SIDE, 3), (10, 128, 250), np.uint8))
    assert found == pytest.approx([(10 - 128) / 128, 0, (250 - 128) / 128])
    signed = color_model("int8", 1 / 128, 0, normalization=BACKBONE)
    for name, model in (("float32", color_model(normalization=BACKBONE)), ("int8", signed)):
        (tmp_path / "m.tflite").write_bytes(model)
        with pytest.raises(ModelError, match=f"takes {name}, where pixels were expected"):
            source.extractor()


def test_latencies_on_an_npu_are_estimated_for_int8_models_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: Any = [
        GridModel(architecture=entry, quantization=kind, path=Path(f"{entry.name}-{kind}"), size=1, sha256="0" * 64)
        for entry in (SMALL, LARGE) for kind in ("float32", "int8")
    ]  # fmt: skip
    asked: list[Any] = []

    def compiled(content: Any, target: str, *, name: str) -> Any:
        asked.append((content, target, name))
        return SimpleNamespace(estimate=SimpleNamespace(milliseconds=2.5))

    monkeypatch.setattr(npu_latencies, "_network", lambda options, entry: entry.name)
    monkeypatch.setattr(npu_latencies, "uncalibrated", lambda network: f"file of {network}")
    monkeypatch.setattr(npu_latencies, "compile_for_npu", compiled)
    monkeypatch.setattr(npu_latencies, "model_facts", lambda variant: None)
    found, warnings = npu_latencies.estimate_latencies(options(tmp_path, target="ethos-u65-256"), models, Silent())
    medians = {path.name: one.latency.median for path, one in found.items()}
    assert medians == {f"{SMALL.name}-int8": 2.5, f"{LARGE.name}-int8": 2.5}
    [timing] = found[Path(f"{SMALL.name}-int8")].timings
    assert (timing.first_ms, timing.load_ms, timing.samples_ms) == (2.5, 0.0, (2.5,))
    assert asked == [(f"file of {name}", "ethos-u65-256", name) for name in (SMALL.name, LARGE.name)] and warnings == []
    facts = npu_latencies.npu_facts("ethos-u65-256")
    assert facts["board"] == "ethos-u65-256" and facts["estimated"] is True and "estimated by Vela" in facts["host"]


def test_cost_of_a_gray_architecture_includes_the_memory_for_gray_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = MicroCost(arena=9, size=5, gray_arena=3)
    monkeypatch.setattr(npu_latencies, "_network", lambda options, entry: entry.name)
    monkeypatch.setattr(npu_latencies, "micro_cost", lambda network, name: cost)
    gray = SMALL.in_gray()
    given = options(tmp_path, budget=Budget(board=board("nano33")))
    assert npu_latencies.board_costs(given, [SMALL, gray], Silent()) == {SMALL: cost, gray: replace(cost, arena=3)}
    assert npu_latencies.board_costs(options(tmp_path), [SMALL], Silent()) == {}


def test_missing_bottlenecks_are_computed_before_the_cross_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    @contextlib.contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield path.name, Path("aside")

    def prepared(entry: Any, weights: str, folder: Path) -> Any:
        return SimpleNamespace(cache_file=folder / f"{weights}.sqlite")

    def batches(photos: Any, sources: Any, reporter: Any) -> Iterator[None]:
        calls.append((photos, [source.cache for source in sources]))
        yield None

    monkeypatch.setattr(validation, "find_weights", lambda entry, *rest, **named: entry.name)
    monkeypatch.setattr(validation, "prepare_backbone", prepared)
    monkeypatch.setattr(validation, "open_cache", opened)
    monkeypatch.setattr(validation, "bottleneck_batches", batches)
    reporter = Recorder()
    photos: Any = ["1", "2"]
    found = validation._fill_float_cache(options(tmp_path), LARGE, photos, reporter)
    assert found == tmp_path / "cache" / f"{LARGE.name}.sqlite"
    assert calls == [(["1", "2"], [f"{LARGE.name}.sqlite"])] and "moved to aside" in reporter.warnings[0]
