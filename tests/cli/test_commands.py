"""Tests of what commands do with the results and errors of library calls, with stand-ins for these calls."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge import codelab as codelab_module
from poets_edge.cli import benchmark, deploy, evaluate, export, export_targets, grid, web
from poets_edge.cli import label as label_module
from poets_edge.device.scorer import Label
from poets_edge.errors import RemoteError
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import AccuracyDropError
from tests.conftest import ROOT, poets_edge
from tools.fuzz.seeds import SEEDS

MODEL = ROOT / SEEDS / "seed_graph.tflite"


def returning(value: Any, calls: list[Any] | None = None) -> Any:
    """Return a stand-in for a function, which records its arguments and returns a value or raises an error."""

    def stand_in(*arguments: Any, **named: Any) -> Any:
        if calls is not None:
            calls.append((arguments, named))
        if isinstance(value, Exception):
            raise value
        return value

    return stand_in


def test_benchmark_reports_each_failed_device_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [RemoteError(f"{host}: lost.") for host in ("one", "two", "three")]
    monkeypatch.setattr(benchmark, "benchmark_on", returning((["result"], failures)))
    monkeypatch.setattr(benchmark, "results_json", returning({"host": "four"}))
    ran = poets_edge("benchmark", MODEL, "--on", "one", "--on", "two", "--output", "r.json", "--json", cwd=tmp_path)
    assert ran.status == 1
    assert [line for line in ran.stderr.splitlines() if "Error" in line] == [
        "Error: one: lost.", "Error: two: lost.", "Error: three: lost.",
    ]  # fmt: skip
    assert json.loads(ran.stdout) == {"host": "four"}, "the results of the other devices"
    monkeypatch.setattr(benchmark, "benchmark_on", returning(([], failures[:1])))
    ran = poets_edge("benchmark", MODEL, "--on", "one", "--json", cwd=tmp_path)
    assert (ran.status, ran.stdout, ran.stderr) == (1, "", "Error: one: lost.\n")


@pytest.mark.parametrize("options", [("--output", "absent/r.json"), ("--json", "absent/r.json")])
def test_benchmark_checks_its_output_before_it_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    (tmp_path / "absent").touch()
    monkeypatch.setattr(benchmark, "benchmark", returning(AssertionError("measured")))
    poets_edge("benchmark", MODEL, *options, cwd=tmp_path).failed("absent")


def test_deploy_prints_the_output_of_the_service_and_quotes_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed: Any = SimpleNamespace(lines=("daisy",), service="watching", undo="undo it", to_json=dict)
    monkeypatch.setattr(deploy, "deploy", returning(deployed))
    monkeypatch.setattr(deploy, "Classifier", returning(SimpleNamespace(labels=("daisy",))))
    line = ("deploy", MODEL, "--on", "me$x@pi", "--on-label")
    shown = poets_edge(*line, "daisy", "--run", "true", cwd=tmp_path).ok().stdout.splitlines()
    assert shown == ["daisy", "", "More of it: ssh 'me$x@pi' journalctl -t watching -f", "Undo it:    undo it"]
    deployed.lines = ()
    assert poets_edge("deploy", MODEL, "--on", "pi", cwd=tmp_path).ok().stdout.startswith("Started; no output yet.\n")
    poets_edge(*line, "roses", "--run", "true", cwd=tmp_path).failed("--on-label roses: the model knows daisy")


def test_deploy_reports_whether_something_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for found, text in ((True, ""), (False, "pi: nothing is deployed there\n")):
        monkeypatch.setattr(deploy, "remove", returning(found))
        ran = poets_edge("deploy", "--on", "pi", "--remove", cwd=tmp_path).ok()
        assert (ran.stdout, ran.stderr) == ("", text)


def test_evaluate_compares_each_model_with_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [SimpleNamespace(to_json=lambda number=number: {"number": number}) for number in range(3)]
    compared: list[Any] = []

    def compare(result: Any, reference: Any) -> Any:
        compared.append((result, reference))
        return SimpleNamespace(to_json=lambda: {"pair": len(compared)})

    monkeypatch.setattr(evaluate, "open_scorer", returning(None))
    monkeypatch.setattr(evaluate, "evaluate_together", returning(results))
    monkeypatch.setattr(evaluate, "compare_results", compare)
    names = ["a.tflite", "b.tflite", "c.tflite"]
    for name in names:
        (tmp_path / name).write_bytes(MODEL.read_bytes())
    ran = poets_edge("evaluate", *names, "photos", "--json", cwd=tmp_path).ok()
    assert compared == [(results[1], results[0]), (results[2], results[0])]
    shown = json.loads(ran.stdout)["models"]
    assert [(one["model"], one["number"]) for one in shown] == list(zip(names, range(3), strict=True))
    assert "beside_first" not in shown[0] and all("beside_first" in one for one in shown[1:])


def test_export_prints_its_results_even_if_a_file_loses_too_much_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    error = AccuracyDropError("int8 loses 3 points", "the result")  # type: ignore[arg-type]
    monkeypatch.setattr(export, "export", returning(error))
    monkeypatch.setattr(export, "_print", lambda result, **named: shown.append((result, named)))
    poets_edge("export", MODEL, "--json", "--output", "r.json", cwd=tmp_path).failed("int8 loses 3 points")
    assert shown == [("the result", {"as_json": True, "output": None})], "no file is written"


def test_export_passes_the_memory_of_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(export_targets, "export_firmware", returning("firmware", calls))
    options, reporter = ExportOptions(graph=Path("g.pb")), None
    for text, memory in (("200KB", 200 * 1024), (None, None)):
        export_targets.export_target(options, "microcontroller", "esp32s3", text, reporter)  # type: ignore[arg-type]
        (given, board), named = calls.pop()
        assert given is options and board.name == "esp32s3" and named["memory"] == memory


def test_grid_fails_if_no_model_is_within_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Any] = []
    opened: list[Path] = []
    result: Any = SimpleNamespace(choice=SimpleNamespace(point=None, reason="no model is fast enough"), to_json=dict)
    monkeypatch.setattr(grid, "grid", returning(result))
    monkeypatch.setattr(grid, "print_result", lambda *given: printed.append(given[0]))
    monkeypatch.setattr(grid, "open_page", opened.append)
    line = ("grid", "photos", "--architecture", "mobilenet_0.25_128", "--output-dir", "out")
    poets_edge(*line, "--open", cwd=tmp_path).failed("no model is fast enough")
    assert printed == [result], "the measurements are printed all the same"
    assert opened == [Path("out/report.html")]
    as_json = poets_edge(*line, "--json", cwd=tmp_path)
    assert as_json.status == 1 and as_json.stdout == "{}\n" and "no model is fast enough" in as_json.stderr
    result.choice.point = "a point"
    assert poets_edge(*line, cwd=tmp_path).ok().stdout == "" and len(opened) == 1


def test_grid_compares_each_named_network_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[Any] = []
    result: Any = SimpleNamespace(choice=SimpleNamespace(point="a point"), to_json=dict)

    def run(given: Any, reporter: object) -> Any:
        options.append(given)
        return result

    monkeypatch.setattr(grid, "grid", run)
    monkeypatch.setattr(grid, "print_result", lambda *_: None)
    absent: list[Any] = []
    monkeypatch.setattr(grid, "_note_absent", lambda given, terminal: absent.append(given))
    names = ("mobilenet_0.50_160", "mobilenet_0.25_128", "mobilenet_0.50_160_quantized", "mobilenet_0.50_160")
    poets_edge("grid", "photos", *(word for name in names for word in ("--architecture", name)), cwd=tmp_path).ok()
    assert [one.name for one in options[0].architectures] == ["mobilenet_0.50_160", "mobilenet_0.25_128"]
    assert absent == [], "absent weights are of interest only if all networks are to be compared"
    poets_edge("grid", "photos", cwd=tmp_path).ok()
    assert absent == options[1:]


def test_label_reads_folders_with_their_subfolders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "below/b.jpg", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"\xff\xd8\xff\xe0" if name.endswith("jpg") else b"text")
    scorer = SimpleNamespace(
        labels=("daisy",), remarks=(), predict=lambda source: SimpleNamespace(unknown=False, distance=None, scores=None)
    )
    monkeypatch.setattr(label_module, "open_scorer", returning(scorer))
    monkeypatch.setattr(label_module, "check_codelab_options", returning(None))
    monkeypatch.setattr(label_module, "best", returning([Label("daisy", 0.75)]))
    ran = poets_edge("label", MODEL, "photos", "--json", cwd=tmp_path).ok()
    assert [one["photo"] for one in json.loads(ran.stdout)] == ["photos/a.jpg", "photos/below/b.jpg"]
    assert ran.stderr.startswith("warning: photos: left out ") and "1 .txt" in ran.stderr


@pytest.mark.parametrize("name", ["evaluate", "graph_pb2tb"])
def test_arguments_of_codelab_scripts_are_not_read_as_options(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", [f"scripts/{name}.py", "--help"])
    monkeypatch.setattr(codelab_module, "main", lambda: lines.append(sys.argv[1:]))
    codelab_module.run_script(name)
    assert lines == [["codelab", "--run", name, "--", "--help"]]


@pytest.mark.parametrize(("name", "command"), [("retrain", "train"), ("label_image", "label")])
def test_codelab_scripts_run_the_equivalent_command(monkeypatch: pytest.MonkeyPatch, name: str, command: str) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", [f"scripts/{name}.py", "--graph=g.pb"])
    monkeypatch.setattr(codelab_module, "main", lambda: lines.append(sys.argv[1:]))
    codelab_module.run_script(name)
    assert lines == [[command, "--graph=g.pb"]]


class WrittenError(Exception):
    """Raised by the stand-in for writing a web page, with its arguments."""


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("", "site"), ("--output-dir out", "out"), ("--output-dir out --serve", "out"), ("--output site.v2", "site.v2"),
        ("--output r.json", "site"), ("--output-dir out --output r.json --phone", "out"),
    ],
)  # fmt: skip
def test_web_page_is_written_to_the_given_folder(monkeypatch: pytest.MonkeyPatch, line: str, folder: str) -> None:
    def write_page(model: Path, folder: Path, **_: object) -> None:
        raise WrittenError(folder)

    monkeypatch.setattr(web, "write_page", write_page)
    with pytest.raises(WrittenError) as raised:
        web.command.main(["m.tflite", *line.split()], standalone_mode=False)
    assert raised.value.args == (Path(folder),)


def test_web_page_that_is_only_served_is_written_to_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def write_page(model: Path, folder: Path, **_: object) -> None:
        assert folder.is_dir()
        folders.append(folder)
        raise WrittenError

    monkeypatch.setattr(web, "write_page", write_page)
    monkeypatch.chdir(tmp_path)
    for flag in ("--serve", "--phone", "--https", "--host=127.0.0.1"):
        with pytest.raises(WrittenError):
            web.command.main(["m.tflite", flag], standalone_mode=False)
    assert len(set(folders)) == 4 and not any(folder.exists() for folder in folders) and not list(tmp_path.iterdir())


def test_web_checks_the_address_before_it_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "write_page", returning(AssertionError("written")))
    poets_edge("web", MODEL, "--host", "no host", cwd=tmp_path).failed("no host")
