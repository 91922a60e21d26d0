"""Tests of the results and next steps that `train`, `grid`, `deploy`, `web`, `android`, `annotate` and others print."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.cli import android, annotate, deploy, grid_results, inspect, quickstart, train_results, web
from poets_edge.cli.terminal import accuracy_text
from poets_edge.core.paths import GRAPH
from poets_edge.core.wording import interval_text
from poets_edge.device.metrics import Evaluation
from tests.conftest import poets_edge

TWO = Evaluation(("cat", "dog"), np.array([[3, 1], [2, 10]]), 0.25)
FOUR = Evaluation(("cat", "dog"), np.array([[4, 0], [0, 4]]), 0.25)


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def trained(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "fine_tuned": None, "labels": ("cat", "dog"), "test": TWO, "validation": FOUR, "cross_validated": None,
        "has_own_test": False, "unknown": None, "graph": Path("g.pb"), "labels_file": Path("l.txt"),
        "record": Path("r.json"), "report": Path("r.html"),
        "table": {"cat": {"training": 5, "test": 4, "validation": 1}, "dog": {"training": 20, "test": 12}},
        "misclassified": [SimpleNamespace(photo=SimpleNamespace(name="cat/1.jpg"), answer="dog", score=0.75)],
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def test_train_prints_accuracies_files_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    train_results.print_result(trained(), misclassified=False)
    assert words(capsys.readouterr().out) == [
        "class photos test recall", "cat 10 75.0 %", "dog 32 83.3 %", f"validation accuracy {accuracy_text(FOUR)}",
        f"test accuracy {accuracy_text(TWO)}", "graph g.pb", "labels l.txt", "record r.json", "report r.html",
        "next poets-edge export g.pb --quantize int8",
    ]  # fmt: skip
    crossed = SimpleNamespace(
        scored=SimpleNamespace(evaluation=lambda labels: FOUR), accuracy=0.5, count=8, interval=(0.25, 0.75)
    )
    run = trained(
        cross_validated=crossed, fine_tuned=SimpleNamespace(verdict="fine-tuned"), unknown="text", has_own_test=True,
        graph=GRAPH,
    )  # fmt: skip
    train_results.print_result(run, misclassified=True)
    shown = words(capsys.readouterr().out)
    assert shown[:4] == [
        "fine-tuned", "class photos test recall cross-validated recall", "cat 10 75.0 % 100.0 %",
        "dog 32 83.3 % 100.0 %",
    ]  # fmt: skip
    assert f"cross-validated accuracy within training and validation photos {accuracy_text(crossed)}" in shown  # type: ignore[arg-type]
    assert "unknown text" in shown and "cat/1.jpg answered dog (score = 0.75000)" in shown
    assert shown[-1] == "next poets-edge export --quantize int8", "the graph that export reads by default"


def point(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "architecture": SimpleNamespace(name="net", gray=False), "quantization": "int8", "mmacs": 12.5,
        "mparams": 1.234, "size": 2_345_678, "latency": SimpleNamespace(median=1.23456, p90=2.34567),
        "photos_per_second": 45.6, "accuracy": 0.875, "interval": (0.75, 0.95),
        "cost": SimpleNamespace(arena=100 * 1024),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(grid_results, "unknown_texts", lambda point: ["3 %", "97 %"])
    monkeypatch.setattr(grid_results, "published_texts", lambda point: ["70.9 %", "12"])
    monkeypatch.setattr(grid_results, "machine_name", lambda machine: "a machine")
    found = point()
    return SimpleNamespace(
        points=[found], front=[found], budget=SimpleNamespace(board=None, fits_board=lambda point: point is found),
        threads=1, photos_text="8 photos", machine={}, choice=SimpleNamespace(point=None, reason="net int8"),
        comparison_text=lambda point: "best",
    )  # fmt: skip


def options(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "strangers": None, "latency": None, "ship": False, "target": None, "output_dir": Path("out"),
        "train_options": lambda architecture: SimpleNamespace(output_graph=Path(f"{architecture.name}.pb")),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def test_grid_prints_a_row_for_each_point(grid: Any, capsys: pytest.CaptureFixture[str]) -> None:
    grid_results.print_result(grid, options())
    shown = words(capsys.readouterr().out)
    row = f"net int8 * 12.5 1.23 2.35 1.235 2.346 46 87.5 % {interval_text((0.75, 0.95))} best 3 % 70.9 % 12"
    assert shown[1] == row and shown[-1] == "Report: out/report.html"
    assert "* on the front: no other point is both faster and more accurate. Times with 1 thread." in shown
    assert "Accuracy on 8 photos." in shown and not any(line.startswith(("Ship", "Times of")) for line in shown)
    grid.points, grid.threads, grid.machine = [point(photos_per_second=None)], 2, {"host": "pi"}
    grid_results.print_result(grid, options(strangers=Path("s")))
    shown = words(capsys.readouterr().out)
    assert " 2.346 - 87.5 %" in shown[1] and shown[1].endswith("best 3 % 97 % 70.9 % 12") and "int8 12.5" in shown[1]
    assert any(line.endswith("Times with 2 threads.") for line in shown) and "Times of a machine." in shown


def test_grid_prints_the_next_step_for_a_board(grid: Any, capsys: pytest.CaptureFixture[str]) -> None:
    grid.choice.point = grid.points[0]
    grid_results.print_result(grid, options(ship=True))
    shown = words(capsys.readouterr().out)
    assert "Ship net int8" in shown and "Its files are in out/ship." in shown
    assert not any(line.startswith("Next:") for line in shown)
    grid.budget.board = SimpleNamespace(name="nano33")
    grid.choice.point.architecture.gray = True
    grid.machine = {"estimated": True}
    grid.points.append(point(cost=None))
    grid_results.print_result(grid, options())
    shown = words(capsys.readouterr().out)
    assert shown[0].endswith("fits nano33") and shown[1].endswith("12 yes, 100 KB") and shown[2].endswith("12 no")
    assert "Of the full-int8 model: the estimated times and the memory. Of the int8 model: all other figures." in shown
    assert "Next: poets-edge export net.pb --target microcontroller --board nano33 --gray" in shown
    grid_results.print_result(grid, options(target="ethos-u55-128"))
    assert "Next: poets-edge export net.pb --target ethos-u55-128 --gray" in words(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("url", "hints"),
    [
        ("http://127.0.0.1:8000/", ["Only this computer can open it."]),
        ("http://192.168.1.2:8000/", ["Photos only:", "Anybody on this network"]),
        ("https://192.168.1.2:8000/", ["The phone will warn", "Anybody on this network"]),
    ],
)
def test_web_explains_who_can_open_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, hints: list[str]
) -> None:
    monkeypatch.setattr(web, "_qr_code", lambda text: f"code of {text}")
    web._announce(url, as_json=False, output=None)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [url, *([] if "127" in url else [f"code of {url}"])]
    assert [line.startswith(hint) for line, hint in zip(shown.err.splitlines(), hints, strict=True)] == [True] * len(
        hints
    )


def tensor(height: int, width: int) -> Any:
    return SimpleNamespace(shape=(1, height, width, 3), dtype="uint8")


def test_web_android_and_annotate_print_a_description_of_their_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page: Any = SimpleNamespace(
        folder=Path("site"), size=1, page_transfer=1_230_000, model_transfer=4_560_000, labels=("a", "b", "c"),
        input=tensor(96, 128),
    )  # fmt: skip
    web._print(page, as_json=False, output=None)
    assert capsys.readouterr().out == (
        "site  128 x 96 uint8, 3 labels. A first visit fetches 1.2 MB and a model of 4.6 MB, compressed.\n"
    )
    web._print(page, as_json=True, output=None)
    assert json.loads(capsys.readouterr().out) == {
        "folder": "site", "size": 1, "page_transfer": 1_230_000, "model_transfer": 4_560_000, "labels": ["a", "b", "c"],
    }  # fmt: skip
    installed = SimpleNamespace(path=Path("app/m.tflite"), size=2_345_678, labels=("a", "b"), input=tensor(96, 128))
    monkeypatch.setattr(android, "install_model", lambda *_, **__: installed)
    assert poets_edge("android", "m.tflite", "--app", "app", cwd=tmp_path).ok().stdout.splitlines() == [
        "app/m.tflite  2.35 MB, 128 x 96 uint8, 2 labels",
        "Build the app: python app/build.py, or open app in Android Studio.",
    ]
    written = SimpleNamespace(
        path=Path("n.tflite"), size=2_345_678, labels=("a", "b"), input_range="-1 to 1", changes=("softmax", "labels"),
        to_json=lambda: {"path": "n.tflite"},
    )  # fmt: skip
    outputs: list[Any] = []

    def add(model: Path, *, labels: object, input_range: object, output: Path | None) -> Any:
        outputs.append(output)
        return written

    monkeypatch.setattr(annotate, "annotate", add)
    assert poets_edge("annotate", "m.tflite", "--output", "x.tflite", cwd=tmp_path).ok().stdout.splitlines() == [
        "n.tflite  2.35 MB, 2 labels", "pixels: -1 to 1", "added: softmax, labels",
        "Try it: poets-edge label n.tflite PHOTO",
    ]  # fmt: skip
    poets_edge("annotate", "m.tflite", "--output", "result.json", cwd=tmp_path).ok()
    assert outputs == [Path("x.tflite"), None] and "n.tflite" in (tmp_path / "result.json").read_text()


def fetched(files: int, known: int, **per_label: int) -> Any:
    return SimpleNamespace(files=[Path("f")] * files, known=known, per_label=per_label)


@pytest.mark.parametrize(
    ("found", "line", "has_next"),
    [
        (fetched(3, 2, daisy=2, roses=1), "3 new frames in unsure (daisy 2, roses 1); 2 were fetched before", True),
        (fetched(1, 0, daisy=1), "1 new frame in unsure (daisy 1)", True),
        (fetched(0, 4), "0 new frames in unsure; 4 were fetched before", False),
    ],
)
def test_deploy_prints_how_many_frames_were_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Any, line: str, has_next: bool
) -> None:
    found.to_json = dict
    monkeypatch.setattr(deploy, "fetch_frames", lambda *_, **__: found)
    shown = poets_edge("deploy", "--on", "pi", "--fetch", "unsure", cwd=tmp_path).ok().stdout.splitlines()
    assert shown[0] == line and (len(shown) == 2) == has_next


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m.tflite", "--remove"], "MODEL, --remove and --fetch are three tasks"),
        (["--remove", "--fetch", "d"], "MODEL, --remove and --fetch are three tasks"),
        ([], "no model named"),
        (["m.tflite", "--on-label", "daisy"], "each --on-label needs its --run"),
    ],
)
def test_deploy_refuses_contradictory_arguments(tmp_path: Path, arguments: list[str], message: str) -> None:
    poets_edge("deploy", "--on", "pi", *arguments, cwd=tmp_path).failed(message)


def test_deploy_rejects_its_own_options_among_the_options_for_watch(tmp_path: Path) -> None:
    for option in ("--remove", "--remote-dir=there"):
        ran = poets_edge("deploy", "m.tflite", "--on", "pi", "--", "--keep-all", option, cwd=tmp_path)
        assert ran.status == 2 and f"{option}: an option of deploy, not of watch" in ran.stderr
    ran = poets_edge("deploy", "m.tflite", "--on", "pi", "--", "--remove", cwd=tmp_path)
    assert ran.status == 2 and "--remove: an option of deploy, not of watch" in ran.stderr


def test_inspect_describes_the_tensors_labels_and_training_of_a_model() -> None:
    facts = {
        "training": {
            "architecture": "net", "weights": {"file": "w.h5"},
            "classes": {"a": {"training": 3, "test": 2}, "b": {"training": 4}},
        },
        "test": {"accuracy": 0.8125, "photos": 16, "interval95": [0.57, 0.93]},
        "exported_with": {"poets_edge": "1", "numpy": "2"},
    }  # fmt: skip
    assert dict(inspect._provenance(facts)) == {
        "trained": "net from w.h5", "photos": "a 5, b 4", "exported with": "poets_edge 1, numpy 2",
        "test accuracy": dict(inspect._provenance(facts))["test accuracy"],
    }  # fmt: skip
    assert "81.2 %" in dict(inspect._provenance(facts))["test accuracy"]
    assert inspect._provenance({"test": {"photos": 0}}) == []
    info: Any = SimpleNamespace(name="t", shape=(1, 2, 3), dtype=np.dtype("uint8"), scale=0.0078125, zero_point=128)
    assert inspect._tensor(info) == "t: 1 x 2 x 3 uint8, scale 0.0078125, zero point 128"
    plain: Any = SimpleNamespace(name="t", shape=(1, 2), dtype=np.dtype("float32"), scale=0.0, zero_point=0)
    assert inspect._tensor(plain) == "t: 1 x 2 float32"
    found: Any = SimpleNamespace(
        path=Path("m"), kind="k", size=1_234_567, description="", inputs=[info], outputs=[], input_range=None,
        scores="",
        labels=[f"l{number}" for number in range(11)], operators={"A": 3, "B": 1}, accelerated=False, facts={},
    )  # fmt: skip
    rows = dict(inspect._rows(found))
    assert rows["kind"] == "k, 1.23 MB" and rows["operators"] == "3 A, 1 B"
    assert rows["labels"] == f"11: {', '.join(f'l{number}' for number in range(10))} ..."
    assert rows["XNNPACK"].startswith("does not run it") and "scores" not in rows and "what" not in rows
    found.labels, found.accelerated = found.labels[:10], None
    assert not dict(inspect._rows(found))["labels"].endswith("...") and "XNNPACK" not in dict(inspect._rows(found))


def test_quickstart_names_the_int8_file_in_the_next_steps() -> None:
    files = [SimpleNamespace(file=SimpleNamespace(path=Path(f"q/{name}.tflite"))) for name in ("float32", "int8")]
    text = quickstart._next_steps(SimpleNamespace(files=files))  # type: ignore[arg-type]
    assert "poets-edge label int8.tflite photo.jpg" in text and "copy int8.tflite, then" in text
