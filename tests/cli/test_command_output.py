"""Tests of the messages and pages that commands show, and of the stream on which each message appears."""

from __future__ import annotations

import contextlib
import io
import json
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.cli import audit, benchmark, draw_photos, evaluate, export, inspect, label, runs, train, watch, web
from poets_edge.cli import studio as studio_module
from poets_edge.cli.export_results import print_frigate
from poets_edge.cli.photo_options import one_folder
from poets_edge.device.metrics import Evaluation
from poets_edge.device.watch.prediction import WatchSummary
from poets_edge.errors import UsageError
from poets_edge.photos.sources import with_encoding
from tests.cli.test_commands import MODEL, returning
from tests.conftest import poets_edge

TWO = Evaluation(("cat", "dog"), np.array([[3, 1], [2, 10]]), 0.25)


@pytest.mark.parametrize("option", ["", "--no-open"])
def test_studio_prints_its_address_and_opens_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    opened: list[str] = []
    served: list[bool] = []

    @contextlib.contextmanager
    def studio(options: object, reporter: object) -> Iterator[Any]:
        yield SimpleNamespace(url="http://127.0.0.1:1/?token=t", serve=lambda: served.append(True))

    monkeypatch.setattr(studio_module, "studio", studio)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    ran = poets_edge("studio", *option.split(), cwd=tmp_path).ok()
    assert ran.stdout == "http://127.0.0.1:1/?token=t\n"
    assert ran.stderr == "Open this address in a browser. Stop: Ctrl-C\n"
    assert opened == ([] if option else ["http://127.0.0.1:1/?token=t"]) and served == [True]
    ran = poets_edge("studio", "--no-open", "--json", cwd=tmp_path).ok()
    assert json.loads(ran.stdout) == {"url": "http://127.0.0.1:1/?token=t"}


@pytest.mark.parametrize("live", [False, True])
def test_watch_prints_labels_on_stdout_and_its_summary_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    shown: list[bool] = []

    def run_watch(options: object, *, display: Any, reporter: object, stopped: Any) -> WatchSummary:
        printer = display(SimpleNamespace(live=live))
        shown.append(printer._lines._live)
        assert printer._every_frame and not stopped()
        return WatchSummary(labeled=3, bad=1, dropped=0, seconds=1.0, latencies=())

    monkeypatch.setattr(watch, "run_watch", run_watch)
    ran = poets_edge("watch", MODEL, "--every-frame", cwd=tmp_path).ok()
    assert (ran.stdout, ran.stderr, shown) == ("", "3 frames labeled, 1 bad\n", [live])


def test_label_warns_about_a_model_that_is_older_than_its_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL.read_bytes())
    monkeypatch.setattr(label, "stale_line", returning("m.tflite comes from an earlier training."))
    ran = poets_edge("label", "m.tflite", "absent.jpg", "--top", "1", cwd=tmp_path)
    assert ran.status == 1 and ran.stderr.splitlines()[-2] == "warning: m.tflite comes from an earlier training."


def test_evaluate_states_which_photos_it_used_to_compare_several_models(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "overlap_lines", returning(()))

    def first_line(*splits: str) -> str:
        results: Any = [
            SimpleNamespace(split=split, excluded=0, evaluation=TWO, overlap=None, learned=np.zeros(2), unseen=None,
                            unknown=None)
            for split in splits
        ]  # fmt: skip
        evaluate._print_several([f"m{number}" for number in range(len(splits))], results, [])
        return capsys.readouterr().out.partition("\n")[0]

    with pytest.raises(ValueError, match="zip"):
        first_line("test", "test")  # each of the other models is compared with the first
    assert capsys.readouterr().out.startswith("accuracy on the test set:\n")
    with pytest.raises(ValueError, match="zip"):
        first_line("all", "unseen")
    unseen = "accuracy on photos that no model is known to have learned from:\n"
    assert capsys.readouterr().out.startswith(unseen), "the photos differ from those of the first result"


@pytest.mark.parametrize("numbers", [["1"], ["1", "2", "3"]])
def test_runs_command_compares_exactly_two_runs(tmp_path: Path, numbers: list[str]) -> None:
    poets_edge("runs", *numbers, cwd=tmp_path).failed("name two runs by their numbers")


def test_benchmark_json_option_accepts_a_file_name_as_in_version_0_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[Any] = []
    monkeypatch.setattr(benchmark, "benchmark", returning("the result"))
    monkeypatch.setattr(benchmark, "results_json", lambda results: {"results": results})
    monkeypatch.setattr(benchmark, "print_results", printed.append)
    ran = poets_edge("benchmark", MODEL, "--json", "r.json", cwd=tmp_path).ok()
    assert ran.stdout == "" and printed == [["the result"]], "the table is printed, not the JSON"
    assert json.loads((tmp_path / "r.json").read_text()) == {"results": ["the result"]}
    ran = poets_edge("benchmark", MODEL, "--json", "-", cwd=tmp_path).ok()
    assert json.loads(ran.stdout) == {"results": ["the result"]} and len(printed) == 1


def test_export_suggests_a_label_command_with_the_last_exported_file(capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        SimpleNamespace(
            quantization=name, path=Path(f"{name}.tflite"), size=1, evaluation=None, agreement=None,
            compared_with_float32=None,
        )
        for name in ("float32", "int8")
    ]  # fmt: skip
    export._print(SimpleNamespace(files=files, to_json=dict), as_json=False, output=None)  # type: ignore[arg-type]
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2] == "Next: poets-edge label int8.tflite PHOTO" and "Not evaluated: no test photos." in shown


@pytest.mark.parametrize(("assigned", "text"), [(0.0, "0.0 % of the test photos get a label"), (None, "")])
def test_export_states_that_no_photo_reaches_the_threshold_of_frigate(
    capsys: pytest.CaptureFixture[str], assigned: float | None, text: str
) -> None:
    model = SimpleNamespace(path=Path("m.tflite"), size=1, evaluation=None, agreement=None)
    result: Any = SimpleNamespace(
        model=model, labelmap=Path("labelmap.txt"), labels=("cat",), assigned=assigned, assigned_correct=None,
        to_json=dict,
    )  # fmt: skip
    print_frigate(result, as_json=False, output=None)
    shown = capsys.readouterr().out
    assert text in shown and ("threshold" in shown) is (assigned is not None)


def test_export_refuses_two_graphs(tmp_path: Path) -> None:
    poets_edge("export", "a.pb", "--graph", "b.pb", cwd=tmp_path).failed("one graph is exported, not 2: a.pb, b.pb")


def test_train_opens_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    result = SimpleNamespace(to_json=lambda: {"trained": True})
    monkeypatch.setattr("poets_edge.training.train.train", returning(result))
    monkeypatch.setattr(train, "open_page", opened.append)
    ran = poets_edge("train", "photos", "--output-graph", "out/g.pb", "--open", "--json", cwd=tmp_path).ok()
    assert json.loads(ran.stdout) == {"trained": True} and opened == [Path("out/g.html")]
    poets_edge("train", "photos", "--json", cwd=tmp_path).ok()
    assert len(opened) == 1


class Photos(SimpleNamespace):
    """Stand-in for the photos of an audit."""

    def __len__(self) -> int:
        return 60


def audited(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "photos": Photos(labels=("cat", "dog"), has_own_test=False), "evaluation": None, "leak": None, "outliers": [],
        "options": SimpleNamespace(image_dir="photos"), "near_duplicates": SimpleNamespace(pairs=lambda: iter([1, 2])),
        "mislabeled": ["cat/1.jpg"], "to_json": dict,
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def test_audit_command_opens_its_report_and_writes_an_exclusion_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(audit, "audit", returning(audited()))
    monkeypatch.setattr(audit, "open_page", opened.append)
    ran = poets_edge("audit", "photos", "--report", "r.html", "--move-suspects", "d", "--open", cwd=tmp_path).ok()
    assert ran.stdout.splitlines()[-2:] == ["exclude d/exclude.json", "page    r.html"] and opened == [Path("r.html")]
    assert "cat/1.jpg" in (tmp_path / "d/exclude.json").read_text()
    poets_edge("audit", "photos", "--report", "r.html", cwd=tmp_path).ok()
    assert len(opened) == 1


def test_audit_does_not_start_if_its_exclusion_list_would_overwrite_a_user_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/exclude.json").write_text("mine")
    monkeypatch.setattr(audit, "audit", returning(AssertionError("audited")))
    poets_edge("audit", "photos", "--move-suspects", "d", cwd=tmp_path).failed("exclude.json")
    assert (tmp_path / "d/exclude.json").read_text() == "mine"


def test_audit_prints_leaks_outliers_and_near_duplicates() -> None:
    leak = SimpleNamespace(rows=[4], tested=20, accuracy=0.875, accuracy_without=0.75)
    outliers = [SimpleNamespace(reason="tiny", names=["cat/5.jpg", "cat/6.jpg"])]
    assert audit._lines(audited(leak=leak, outliers=outliers)) == [
        "60 photos of 2 classes in photos", "", "near-duplicates: 2 pairs",
        "  1 of 20 test photos has one in training: test accuracy 87.5 %, without them 75.0 %",
        "tiny: 2, first cat/5.jpg",
    ]  # fmt: skip
    leak.rows = [4, 5]
    assert "  2 of 20 test photos have one in training" in audit._lines(audited(leak=leak))[3]
    nothing = audited(near_duplicates=SimpleNamespace(pairs=lambda: iter(())))
    assert audit._lines(nothing)[-1] == "near-duplicates: none"


@pytest.mark.parametrize(
    ("has_own_test", "where"), [(False, "photos outside training"), (True, "the 16 photos of your test set")]
)
def test_audit_states_which_photos_were_evaluated(
    monkeypatch: pytest.MonkeyPatch, has_own_test: bool, where: str
) -> None:
    monkeypatch.setattr(audit, "most_helped", lambda curve: "cats")
    monkeypatch.setattr(audit, "_threshold", lambda calibration: "a threshold")
    pair = SimpleNamespace(labels=("cat", "dog"), rows=[1, 2, 3])
    evaluation: Any = SimpleNamespace(
        classes=[SimpleNamespace(label="cat", photos=10, recall=0.5, precision=0.25)], confused_classes=[pair, None],
        cross_validation=SimpleNamespace(count=16, accuracy=0.625, interval=(0.5, 0.75)), balanced_accuracy=0.375,
        curve=SimpleNamespace(doubled=SimpleNamespace(interval=(0.7, 0.9))),
        calibration=SimpleNamespace(before=0.125, after=0.0625, temperature=1.5),
    )  # fmt: skip
    result = audited(photos=Photos(labels=(), has_own_test=has_own_test))
    classes, *lines = audit._evaluation(result, evaluation)
    assert [line.split() for line in classes.splitlines()] == [
        ["class", "photos", "recall", "precision"], ["cat", "10", "50.0", "%", "25.0", "%"],
    ]  # fmt: skip
    assert lines == [
        f"accuracy 62.5 % on {where}, 95 % interval 50.0 to 75.0; balanced 37.5 %",
        "most confused: cat and dog, 3 photos", "twice as many photos: 70 to 90 %; a hundred more help most in cats",
        "a threshold", "calibration error 12.5 % as trained, 6.2 % at temperature 1.50",
    ]  # fmt: skip
    evaluation.calibration.temperature = 1
    assert audit._evaluation(result, evaluation)[-1] == "calibration error 12.5 % as trained"


def test_zip_encoding_option_is_accepted_only_for_zip_files(tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    assert one_folder((archive,), None, "gbk") == with_encoding(archive, "gbk") != one_folder((archive,), None)
    assert one_folder((), archive, None) == archive
    with pytest.raises(UsageError, match="`zip_encoding` is for a "):
        one_folder((tmp_path,), None, "gbk")


def test_inspect_also_writes_the_graph_for_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    found = SimpleNamespace(to_json=lambda: {"kind": "a graph"})
    monkeypatch.setattr(inspect, "inspect", returning(found))
    monkeypatch.setattr(inspect, "_rows", returning([("file", "g.pb"), ("kind", "a graph")]))
    monkeypatch.setattr("poets_edge.reports.tensorboard.write_tensorboard_graph", lambda *given: written.append(given))
    ran = poets_edge("inspect", "g.pb", "--tensorboard", "logs", cwd=tmp_path).ok()
    assert ran.stdout == "file  g.pb\nkind  a graph\nLook at it with: tensorboard --logdir logs\n"
    assert written == [(Path("g.pb"), Path("logs"))]
    ran = poets_edge("inspect", "g.pb", "--json", cwd=tmp_path).ok()
    assert json.loads(ran.stdout) == {"kind": "a graph"} and len(written) == 1


def test_label_reads_a_photo_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a photo")))  # type: ignore[attr-defined]
    assert list(label._sources([Path("a.jpg"), Path("-")])) == [("a.jpg", Path("a.jpg")), ("-", b"a photo")]


def test_label_reports_which_argument_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("text")
    poets_edge("label", MODEL, cwd=tmp_path).failed("no photo given", "- for standard input")
    other = MODEL.with_name("seed_graph_int8.tflite")
    poets_edge("label", MODEL, other, "a.jpg", cwd=tmp_path).failed("one model", "not 2")
    poets_edge("label", MODEL, "empty", cwd=tmp_path).failed("empty: no photos in this folder.")
    poets_edge("label", MODEL, "notes", cwd=tmp_path).failed("notes: no photos in this folder, but ", "1 .txt")


def test_codelab_prints_the_next_steps(tmp_path: Path) -> None:
    shown = poets_edge("codelab", "poets", cwd=tmp_path).ok().stdout.splitlines()
    assert shown[:2] == ["poets has scripts/ and tf_files/. Next:", "  cd poets"] and len(shown) == 4
    found = json.loads(poets_edge("codelab", "poets", "--json", cwd=tmp_path).ok().stdout)
    assert found["folder"] == "poets" and "poets/scripts/retrain.py" in found["scripts"]
    for folders in ((), ("a", "b")):
        poets_edge("codelab", *folders, cwd=tmp_path).failed("name one folder")


def test_quickstart_prints_files_labels_and_latencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [
        SimpleNamespace(
            latency_ms=number + 0.125,
            file=SimpleNamespace(
                quantization=name, path=Path(f"q/{name}.tflite"), size=10**6, evaluation=TWO, agreement=0.5,
                to_json=lambda name=name: {"name": name},
            ),
        )
        for number, name in enumerate(("float32", "int8"))
    ]  # fmt: skip
    result = SimpleNamespace(
        files=files, photo=SimpleNamespace(path=Path("p/1.jpg")), photos=SimpleNamespace(path=Path("p")),
        labels=[SimpleNamespace(name="daisy", score=0.75)],
    )  # fmt: skip
    monkeypatch.setattr("poets_edge.demo.quickstart.quickstart", returning(result))
    shown = [" ".join(line.split()) for line in poets_edge("quickstart", cwd=tmp_path).ok().stdout.splitlines()]
    assert shown[1].startswith("float32 1.00 81.2 %") and shown[1].endswith("50.0 % 0.12")
    assert shown[2].startswith("int8 ") and shown[2].endswith(" 1.12")
    assert shown[3] == "Evaluated on 16 drawn photos. Real photos give other results."
    assert shown[5:7] == ["p/1.jpg according to the int8 file:", "daisy (score = 0.75000)"]
    assert json.loads(poets_edge("quickstart", "--json", cwd=tmp_path).ok().stdout) == {
        "photos": "p", "photo": "p/1.jpg", "labels": [{"label": "daisy", "score": 0.75}],
        "files": [{"name": "float32", "latency_ms": 0.125}, {"name": "int8", "latency_ms": 1.125}],
    }  # fmt: skip


def test_draw_photos_command_prints_the_number_of_photos_per_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [SimpleNamespace(label=label) for label in ("roses", "daisy", "roses")]
    folder = SimpleNamespace(photos=photos, path=Path("out"), classes=("daisy", "empty", "roses"))
    monkeypatch.setattr(draw_photos, "draw_photos", returning(folder))
    shown = [" ".join(line.split()) for line in poets_edge("draw-photos", "out", cwd=tmp_path).ok().stdout.splitlines()]
    assert shown == ["class photos", "daisy 1", "empty 0", "roses 2", "3 photos in out"]
    found = json.loads(poets_edge("draw-photos", "out", "--json", cwd=tmp_path).ok().stdout)
    assert found == {"folder": "out", "classes": {"daisy": 1, "roses": 2}}


@pytest.mark.parametrize(("numbers", "missing"), [(["0", "1"], 0), (["1", "4"], 4), (["--", "-1", "1"], -1)])
def test_runs_command_rejects_numbers_of_nonexistent_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: list[str], missing: int
) -> None:
    saved = [SimpleNamespace(name=name, to_json=dict) for name in ("first", "second", "third")]
    monkeypatch.setattr(runs, "list_runs", returning(saved))
    monkeypatch.setattr(runs, "_side_by_side", lambda chosen, numbers: f"{[run.name for run in chosen]} {numbers}")
    listed = ["runs", "--runs-dir", "r"]
    poets_edge(*listed, *numbers, cwd=tmp_path).failed(f"there is no run {missing}; r holds 3")
    assert poets_edge(*listed, "3", "1", cwd=tmp_path).ok().stdout == "['third', 'first'] (3, 1)\n"


@pytest.mark.parametrize("option", ["", "--print-misclassified-test-images"])
def test_train_lists_misclassified_photos_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    printed: list[Any] = []
    monkeypatch.setattr("poets_edge.training.train.train", returning(SimpleNamespace(to_json=dict)))
    monkeypatch.setattr(train, "print_result", lambda result, *, misclassified: printed.append(misclassified))
    poets_edge("train", "photos", *option.split(), cwd=tmp_path).ok()
    assert printed == [bool(option)]


def test_watch_refuses_a_limit_of_zero_for_saved_frames(tmp_path: Path) -> None:
    poets_edge("watch", MODEL, "--collect", "d", "--below", "0", cwd=tmp_path).failed(
        "--below must lie between 0 and 1"
    )


@pytest.mark.parametrize(
    ("options", "address", "certificate"),
    [
        ("--serve", "127.0.0.1", None), ("--phone", "192.168.1.2", None), ("--https", "192.168.1.2", "of 192.168.1.2"),
        ("--host 10.0.0.1", "10.0.0.1", None), ("--host 10.0.0.1 --https", "10.0.0.1", "of 10.0.0.1"),
    ],
)  # fmt: skip
def test_web_serves_the_page_to_this_computer_or_to_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, address: str, certificate: str | None
) -> None:
    served: list[Any] = []

    @contextlib.contextmanager
    def server(folder: Path, files: object, address: str, port: int, certificate: str | None) -> Iterator[Any]:
        served.append((address, port, certificate))
        yield SimpleNamespace(url="http://x/", serve_forever=lambda: None)

    monkeypatch.setattr(web, "write_page", returning(SimpleNamespace(files=())))
    monkeypatch.setattr(web, "network_address", lambda: "192.168.1.2")
    monkeypatch.setattr(web, "certificate_for", lambda address: f"of {address}")
    monkeypatch.setattr(web, "check_host", lambda host: None)
    monkeypatch.setattr(web, "PageServer", server)
    poets_edge("web", MODEL, *options.split(), "--port", "81", "--json", cwd=tmp_path).ok()
    assert served == [(address, 81, certificate)]
