"""Tests of how `grid` combines evaluations, latencies and costs, and of the tables in its results and its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.bench.samples import describe
from poets_edge.device.predictions import Predictions
from poets_edge.device.unknown import Refused
from poets_edge.errors import DatasetError
from poets_edge.exporting.microcontroller.boards import BOARDS, board
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.exporting.results import ExportedFile
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo, PhotoFolder
from poets_edge.photos.table import PhotoTable
from poets_edge.sweep import grid as module
from poets_edge.sweep import report
from poets_edge.sweep.architecture_result import ArchitectureResult, EvaluationResult, Evaluations, GridModel
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.choice import Choice, choose
from poets_edge.sweep.grid import _evaluations, _point, _warn_once
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.photo_snapshot import PhotoSnapshot
from poets_edge.sweep.points import fitting_boards, published_texts, unknown_texts
from poets_edge.sweep.results import GridResult
from poets_edge.sweep.training_worker import _check_unchanged, _test_evaluations
from poets_edge.sweep.validation_worker import _evaluation, _quantized
from poets_edge.training.cross_validation import FoldAssignment
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.hashed_photos import Hashed
from poets_edge.training.head import Head
from tests.recorder import Recorder
from tests.sweep.test_points import point

SMALL, LARGE = architecture("mobilenet_0.25_128"), architecture("mobilenet_0.50_160")
LABELS = ("a", "b")


def evaluation(*correct: int, repeats: int = 1, unknown: int | None = None, agreement: float = 0.5) -> EvaluationResult:
    return EvaluationResult(
        correct=correct, repeats=repeats, confusion=((1.0, 2.0), (3.0, 4.0)), mistakes=(), agreement=agreement,
        unknown=unknown,
    )  # fmt: skip


def evaluations(*photos: str, folds: int = 0, groups: tuple[int, ...] | None = None, **models: Any) -> Evaluations:
    every = {"float32": evaluation(1, 1), "int8": evaluation(0, 1), **models}
    return Evaluations(photos=photos, folds=folds, requested_folds=folds, groups=groups, models=every)  # type: ignore[arg-type]


def result_of(test: Evaluations | None, crossed: Evaluations | None = None, entry: Any = SMALL) -> ArchitectureResult:
    models = tuple(
        GridModel(architecture=entry, quantization=kind, path=Path(f"{entry.name}/{kind}"), size=9, sha256="0" * 64)
        for kind in ("float32", "int8")
    )
    return ArchitectureResult(
        key="k", labels=LABELS, models=models, int8_backbone_sha256="", warnings=(), test=test,
        assumption="no two photos", cross_validation=crossed,
    )  # fmt: skip


MEASUREMENT: Any = SimpleNamespace(latency=describe([4.0]), photos_per_second=7.0, process_medians=(3.0, 5.0))


def test_grid_point_combines_results_of_cross_validation_and_the_test_set() -> None:
    crossed = evaluations("1", "2", "3", folds=2, groups=(0, 0, 2), int8=evaluation(2, 0, 1, repeats=2, agreement=0.9))
    test = evaluations("4", "5", int8=evaluation(1, 0, unknown=1))
    result, cost = result_of(test, crossed), MicroCost(arena=1, size=2, gray_arena=3)
    found = _point(result.models[1], crossed, None, result, MEASUREMENT, Refused(3, 4), cost)
    assert (found.correct, found.repeats, found.groups, found.agreement) == ((2, 0, 1), 2, (0, 0, 2), 0.9)
    assert found.unknown == Refused(1, 2), "of the test photos, although all photos are cross-validated"
    assert (found.cross_validated, found.cross_validated_repeats, found.cross_validated_groups) == ((), 1, None)
    assert (found.classes, found.size, found.strangers, found.cost) == (2, 9, Refused(3, 4), cost)
    assert (found.latency.median, found.photos_per_second, found.process_medians) == (4.0, 7.0, (3.0, 5.0))


def test_point_with_the_users_test_set_stores_cross_validation_separately() -> None:
    crossed = evaluations("1", "2", "3", folds=2, groups=(0, 0, 2), float32=evaluation(2, 0, 1, repeats=2))
    test = evaluations("4", "5", groups=(7, 8))
    result = result_of(test, crossed)
    found = _point(result.models[0], test, crossed, result, MEASUREMENT, None, None)
    assert (found.correct, found.repeats, found.groups) == ((1, 1), 1, (7, 8))
    assert (found.cross_validated, found.cross_validated_repeats, found.cross_validated_groups) == (
        (2, 0, 1),
        2,
        (0, 0, 2),
    )
    assert found.unknown is None and found.strangers is None and found.cost is None


def options(**fields: Any) -> GridOptions:
    return GridOptions(**{"image_dir": Path("photos"), "architectures": (SMALL, LARGE), **fields})


def test_architectures_are_compared_only_on_the_same_photos() -> None:
    one, other = evaluations("1", "2"), evaluations("1", "2", folds=3)
    results = {SMALL: result_of(one, other), LARGE: result_of(one, other, LARGE)}
    assert _evaluations(options(), results, use_folds=False) == {SMALL: one, LARGE: one}
    assert _evaluations(options(), results, use_folds=True) == {SMALL: other, LARGE: other}
    with pytest.raises(DatasetError, match="2 was removed or replaced while the grid was running"):
        _evaluations(options(), {**results, LARGE: result_of(evaluations("1"))}, use_folds=False)
    for missing in (None, evaluations()):
        with pytest.raises(DatasetError, match="no test photo can be read"):
            _evaluations(options(), {**results, LARGE: result_of(missing)}, use_folds=False)


def test_each_warning_is_reported_once() -> None:
    reporter = Recorder()
    _warn_once(["b", "a", "b"], reporter)
    assert reporter.warnings == ["b", "a"]


@pytest.mark.parametrize(("small", "large", "expected"), [("x", "x", "x"), ("x", None, None), (None, None, None)])
def test_grid_states_its_independence_assumption_only_if_all_architectures_share_it(
    small: str | None, large: str | None, expected: str | None
) -> None:
    results = [replace(result_of(None), assumption=one) for one in (small, large)]
    assert module._assumption(results) == expected


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that runs `grid` without training: with saved results, and latencies of 4 ms."""

    def run(given: GridOptions, *, own_test: bool = False, divided: Any = None, costs: Any = ()) -> Any:
        test = evaluations("4", "5")
        out_of_fold: dict[str, Any] = {
            "float32": evaluation(2, 0, 1, repeats=2),
            "int8": evaluation(1, 0, 1, repeats=2),
        }
        crossed = evaluations("1", "2", "3", folds=2, **out_of_fold)
        results = {entry: result_of(test, None, entry) for entry in (SMALL, LARGE)}
        photos = SimpleNamespace(has_own_test=own_test)

        def validate(*arguments: Any) -> Any:
            if divided:
                raise divided
            return {entry: result_of(test, crossed, entry) for entry in (SMALL, LARGE)}

        def strangers(paths: Any, folder: Path, reporter: Any) -> Any:
            return {path: Refused(number, 9) for number, path in enumerate(paths)}

        monkeypatch.setattr(module, "take_snapshot", lambda *arguments: photos)
        monkeypatch.setattr(module, "train_architectures", lambda *arguments: results)
        monkeypatch.setattr(module, "validate_architectures", validate)
        monkeypatch.setattr(module, "stranger_photos", lambda folder: None)
        monkeypatch.setattr(module, "count_strangers", strangers)
        monkeypatch.setattr(module, "board_costs", lambda *arguments: dict(costs))
        monkeypatch.setattr(module, "_write", lambda *arguments: written.append(arguments))
        written: list[Any] = []
        left_out = Path(f"{LARGE.name}/float32")
        source: Any = SimpleNamespace(
            machine={"cpu": "A76"},
            measure=lambda models: (
                {one.path: MEASUREMENT for one in models if one.path != left_out},
                ["noisy", "noisy"],
            ),
        )
        reporter = Recorder()
        result = module._run(given, source, reporter)
        assert reporter.notes == ["no two photos"] and result.assumption == "no two photos"
        return result, reporter.warnings, written[0][2]

    return run


def test_models_are_evaluated_by_cross_validation_if_it_is_possible(run: Any) -> None:
    for given, folds, photos in (
        ({"folds": 2}, 2, 3), ({"folds": 0}, 0, 2), ({"folds": 2, "fine_tuning": FineTuning(blocks=1)}, 0, 2),
    ):  # fmt: skip
        result, _, used = run(options(**given))
        assert (result.folds, len(used[SMALL].photos), result.has_own_test) == (folds, photos, False)
        assert all(one.cross_validated == () for one in result.points)


def test_models_are_evaluated_on_the_users_test_set_and_cross_validated(run: Any) -> None:
    result, warnings, _ = run(options(folds=2), own_test=True)
    assert result.folds == 0 and result.has_own_test and result.points[0].correct == (1, 1)
    assert result.points[0].cross_validated == (2, 0, 1) and warnings == ["noisy"]
    assert result.points[0].cross_validated_repeats == 2
    result, warnings, _ = run(options(folds=2), own_test=True, divided=DatasetError("one group"))
    assert result.points[0].cross_validated == () and warnings == ["no cross-validation: one group", "noisy"]
    with pytest.raises(DatasetError, match="one group"):
        run(options(folds=2), divided=DatasetError("one group"))


def test_grid_points_contain_memory_costs_and_counts_of_rejected_unknown_photos(run: Any) -> None:
    cost = MicroCost(arena=1, size=2, gray_arena=3)
    result, _, _ = run(options(folds=0, strangers=Path("strangers")), costs={SMALL: cost, LARGE: cost})
    assert [one.name for one in result.points] == [f"{SMALL.name} float32", f"{SMALL.name} int8", f"{LARGE.name} int8"]
    assert [one.cost for one in result.points] == [None, cost, cost], "a board runs integers"
    assert [one.strangers and one.strangers.refused for one in result.points] == [0, 1, 3]
    assert result.warnings == ("noisy", "noisy") and result.labels == LABELS and result.choice.point is not None
    assert all(one.strangers is None for one in run(options(folds=0))[0].points)


def test_grid_result_states_the_number_of_threads_and_the_duration_of_each_stage(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((100.0, 101.0, 103.0, 107.0))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    result, _, _ = run(options(folds=0, threads=3, budget=Budget(latency=9.0)))
    assert result.seconds == {"retraining": 1.0, "judging": 2.0, "measuring": 4.0}
    assert (result.threads, result.budget, result.machine) == (3, Budget(latency=9.0), {"cpu": "A76"})


ONE, TWO = (
    replace(
        point(SMALL.name, 1.25, range(30), 0.5), latency=describe([1.25] * 6 + [3.5] * 4),
        unknown=Refused(1, 20), strangers=Refused(3, 4), agreement=0.97,
    ),
    replace(
        point(LARGE.name, 3.5, range(8), 2.25), quantization="float32", photos_per_second=None, agreement=None,
        cost=MicroCost(arena=300_000, size=400_000, gray_arena=100_000),
    ),
)  # fmt: skip
RESULT = GridResult(
    points=(ONE, TWO), labels=("a", "b", "c"), front=(ONE,), choice=choose((ONE, TWO), Budget()),
    machine={"cpu": "A76", "cores": 4, "system": "Linux", "interpreter": "LiteRT", "interpreter_version": "2"},
    threads=3, folds=5,
)  # fmt: skip


def test_cells_of_a_table_row_match_the_column_headings() -> None:
    low, high = (f"{100 * end:.0f}" for end in ONE.interval)
    mparams = SMALL.mparams - 257 * (1001 - 5) / 1e6
    assert dict(zip(report._HEADING, report._cells(ONE, RESULT), strict=True)) == {
        "architecture": SMALL.name, "quantization": "int8", "accuracy": "70.0 %", "interval": f"{low} to {high}",
        "vs. best": "-22.0 points", "median ms": "1.25", "p90 ms": "3.50", "photos/s": "100", "MB": "0.50",
        "agrees with float32": "97.0 %", "unknown test photos": "5.0 %", "unknown strangers": "75.0 %",
        "M params": f"{mparams:.2f}", "MMACs": f"{SMALL.mmacs:g}", "ImageNet top-1": published_texts(ONE)[0],
        "Pixel 3 ms": published_texts(ONE)[1],
    }  # fmt: skip
    cells = dict(zip(report._HEADING, report._cells(TWO, RESULT), strict=True))
    assert (cells["vs. best"], cells["photos/s"], cells["agrees with float32"]) == ("best", "-", "-")
    assert (cells["unknown test photos"], cells["unknown strangers"]) == ("-", "-")


def test_published_figures_are_percentages_and_milliseconds() -> None:
    published = LARGE.published
    assert published is not None
    assert published_texts(TWO) == (f"{published.top1:.1f} %", f"{published.pixel3_ms:g}")
    bare = replace(TWO, architecture=replace(LARGE, published=None))
    assert published_texts(bare) == ("-", "-")
    assert unknown_texts(ONE) == ("5.0 %", "75.0 %")


def test_board_columns_state_which_boards_a_model_fits() -> None:
    target = board("nano33")
    result = replace(RESULT, budget=Budget(board=target))
    assert report._board_cells(ONE, RESULT) == () and report._board_heading(RESULT) == ()
    assert len(report._board_heading(result)) == 4 and report._board_heading(result)[0] == "fits nano33"
    assert report._board_cells(ONE, result) == ("no", "-", "-", "-")
    color = [one.name for one in BOARDS if one.memory >= 300_000]
    gray = [one.name for one in BOARDS if 100_000 <= one.memory < 300_000]
    assert color and gray and report._board_cells(TWO, result) == ("no", "300,000", ", ".join(color), ", ".join(gray))
    assert report._board_cells(replace(TWO, cost=replace(TWO.cost, arena=target.memory)), result)[0] == "yes"  # type: ignore[type-var]
    assert set(fitting_boards(TWO.cost, gray=True)) == {*color, *gray}  # type: ignore[arg-type]
    json = TWO.to_json()
    assert (json["boards"], set(json["gray_boards"])) == (color, {*color, *gray})
    assert (json["arena"], json["gray_arena"], json["full_int8_size"]) == (300_000, 100_000, 400_000)


@pytest.mark.parametrize(
    ("name", "label"), [("b/1.jpg", "b"), ("train/c/a/1.jpg", "c"), ("b/a", "b"), ("other/a", "other")]
)
def test_class_of_a_photo_is_the_first_folder_that_is_named_like_a_class(name: str, label: str) -> None:
    assert report._label(name, RESULT.labels) == label


def test_report_states_measurement_conditions_and_the_recommended_model() -> None:
    assert report._conditions(RESULT) == (
        "2 models for 3 classes (a, b, c), evaluated on 100 photos (5-fold cross-validation). Measured on A76, 4 cores,"
        " Linux, LiteRT 2, threads: 3."
    )
    estimated = replace(RESULT, machine={**RESULT.machine, "estimated": True, "host": "u55"})
    assert " Times of u55, Linux" in report._conditions(estimated)
    assert report._verdict(RESULT) == f"Ship {RESULT.choice.reason}"
    nothing = replace(RESULT, choice=Choice(None, ONE, "none of them"))
    assert report._verdict(nothing) == "None of them"
    assert [report._style(one, RESULT) for one in (ONE, TWO)] == ["front", "chosen"]
    assert [report._style(one, nothing) for one in (ONE, TWO)] == ["front", ""]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that returns the values that the report passes to its template."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(report, "write_page", lambda path, template, **values: found.update(values))
    monkeypatch.setattr(report, "thumbnails", lambda paths: {path: f"picture of {Path(path).name}" for path in paths})

    def write(shown: EvaluationResult) -> dict[str, Any]:
        result = replace(RESULT, assumption="no two photos")
        report.write_report(result, ONE, shown, Path("photos"), Path("report.html"))
        return found

    return write


def test_report_shows_the_most_confident_mistakes(page: Any) -> None:
    mistakes: Any = tuple(SimpleNamespace(photo=f"b/{n}.jpg", answer="a", score=1 - n / 100) for n in range(30))
    values = page(replace(evaluation(1, 0), mistakes=mistakes))
    assert [one["name"] for one in values["mistakes"]] == [f"b/{n}.jpg" for n in range(24)]
    assert values["mistakes"][3] == {
        "name": "b/3.jpg", "label": "b", "answer": "a", "score": 0.97, "picture": "picture of 3.jpg",
    }  # fmt: skip
    assert values["assumption"] == "no two photos"
    assert values["mistake_count"] == 30 and values["confusion"] == ((1.0, 2.0), (3.0, 4.0))
    assert values["shown"] == ONE.name and not values["averaged"] and values["labels"] == ["a", "b", "c"]
    assert page(evaluation(1, 0, repeats=2))["averaged"]


def test_json_result_compares_each_point_with_the_best_one() -> None:
    json = RESULT.to_json()
    one, two = json["points"]
    assert (one["beside_best"]["worse"], one["beside_best"]["better"]) == (22, 0)
    assert (two["beside_best"]["worse"], two["beside_best"]["gain"]) == (0, 0)
    assert json["front"] == [ONE.name] and json["choice"]["point"] == TWO.name and not json["own_test_set"]
    assert (json["folds"], json["threads"], json["labels"]) == (5, 3, ["a", "b", "c"])
    assert (one["photos"], one["judgments"], one["unknown"]["refused"], one["strangers"]["photos"]) == (100, 1, 1, 4)
    assert replace(RESULT, has_own_test=True).to_json()["own_test_set"] is True
    assert [row["median_ms"] for row in RESULT.rows()] == [1.25, 3.5]
    assert json["assumption"] is None and replace(RESULT, assumption="x").to_json()["assumption"] == "x"
    assert RESULT.most_accurate == TWO and "cross_validated_right" in one


def scored(truth: str, answers: str, distances: list[float] | None = None, groups: Any = None) -> Predictions:
    photos = [Photo(Path(f"{n}.jpg"), f"{n}.jpg", label) for n, label in enumerate(truth)]
    scores = np.array([[0.9, 0.1] if answer == "a" else [0.2, 0.8] for answer in answers], np.float32)
    known = None if distances is None else np.array(distances, np.float32)
    return Predictions(photos, scores, (), known, groups)


def test_grid_evaluations_are_derived_from_the_scores_of_exported_files(monkeypatch: pytest.MonkeyPatch) -> None:
    files = tuple(
        ExportedFile(path=Path(kind), quantization=kind, size=1, evaluation=None, agreement=agreement, scored=one)  # type: ignore[arg-type]
        for kind, agreement, one in (
            ("float32", 1.0, scored("aab", "aaa", groups=np.array([4, 4, 6]))),
            ("int8", 0.75, scored("aab", "abb", [0.5, 1.5, 1.0])),
        )
    )
    found = _test_evaluations(files, LABELS)
    assert found is not None and found.photos == ("0.jpg", "1.jpg", "2.jpg") and found.groups == (4, 4, 6)
    assert (found.folds, found.requested_folds) == (0, 0)
    float32, int8 = found.models["float32"], found.models["int8"]
    assert (float32.correct, float32.agreement, float32.unknown) == ((1, 1, 0), 1.0, None)
    assert (int8.correct, int8.agreement, int8.unknown, int8.repeats) == ((1, 0, 1), 0.75, 1, 1)
    assert int8.confusion == ((1, 1), (0, 1)) and float32.confusion == ((2, 0), (1, 0)), "rows are the true classes"
    assert [(one.photo, one.answer) for one in int8.mistakes] == [("1.jpg", "b")]
    assert int8.mistakes[0].score == pytest.approx(0.8)
    assert _test_evaluations(tuple(replace(file, scored=None) for file in files), LABELS) is None


def test_photos_that_changed_during_the_grid_are_refused() -> None:
    table = PhotoTable.of([Photo(Path(name), name, "a") for name in ("a/1.jpg", "a/2.jpg")])
    digests = np.arange(64, dtype=np.uint8).reshape(2, 32)
    photos = PhotoSnapshot(PhotoFolder(Path("p"), table), Hashed(table, digests, np.ones(2, np.int64), {}))
    trained: Any = SimpleNamespace(digests={"a/2.jpg": digests[1].tobytes().hex()})
    _check_unchanged(photos, trained)
    trained.digests["a/1.jpg"] = "00" * 32
    with pytest.raises(DatasetError, match=r"a/1\.jpg changed while the grid was running"):
        _check_unchanged(photos, trained)


def test_fold_heads_are_quantized_for_int8_features() -> None:
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(6, 3)).astype(np.float32), np.array([3.0, -2.0, 0.5], np.float32))
    features = rng.normal(size=(20, 6)).astype(np.float32)
    [quantized] = _quantized(FoldAssignment(np.zeros(20, np.int64), (head,)), features).heads
    scale = np.abs(head.weights).max(axis=0) / 127
    assert quantized.weights == pytest.approx(np.rint(head.weights / scale) * scale, abs=1e-6)
    logits = features @ quantized.weights + head.biases
    step = (max(logits.max(), 0) - min(logits.min(), 0)) / 255
    rounded = np.log(quantized.scores(features))
    exact = logits - logits.max(axis=1, keepdims=True)
    exact -= np.log(np.exp(exact).sum(axis=1, keepdims=True))
    difference = np.abs(rounded - exact)
    assert 0.1 * step < difference.max() <= 1.1 * step, "logits are rounded to 8 bits"


def test_cross_validation_mistakes_are_determined_from_averaged_scores() -> None:
    one, other = scored("aab", "abb"), scored("aab", "aab")
    result: Any = SimpleNamespace(
        right=np.array([2, 1, 2]), scores=np.stack([one.scores, other.scores]), labels=LABELS,
        scored=replace(one, scores=np.asarray((one.scores + other.scores) / 2, np.float32)),
    )  # fmt: skip
    found = _evaluation(result, 0.25)
    assert (found.correct, found.repeats, found.agreement, found.unknown) == ((2, 1, 2), 2, 0.25, None)
    assert found.confusion == ((2, 0), (0, 1)) and found.mistakes == (), "the second photo has 0.55 for its class"
