"""Tests of the report page of `train`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photos
from tests.conftest import Ran, poets_edge

TRAIN = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "60", "-q")
NASTY = '<img src=x onerror="alert(1)">'


def train(work: Path, *more: str) -> Ran:
    arguments: tuple[str | Path, ...] = ("--exclude", work / "exclude.txt", "--strangers", work / "strangers", *more)
    return poets_edge("train", work / "drawn", *TRAIN, *arguments, cwd=work)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    draw_photos(folder / "drawn", per_class=20)
    shutil.move(folder / "drawn/roses", folder / "drawn" / NASTY)
    first = sorted((folder / "drawn/daisy").iterdir())
    first[0].rename(first[0].with_name("a&b<i>.jpg"))
    (folder / "drawn/daisy/broken.jpg").write_bytes(b"no picture")
    (folder / "exclude.txt").write_text(f"daisy/{first[1].name}\n")
    draw_photos(folder / "strangers", per_class=2, seed=5)
    train(folder).ok()
    return folder


def test_report_shows_the_results_of_the_run(work: Path) -> None:
    page = (work / "tf_files/retrained_graph.html").read_text()
    record = json.loads((work / "tf_files/retrained_graph.json").read_text())
    mistakes = record["test"]["photos"] - record["test"]["correct"]
    assert page.count("predicted as <span") == min(mistakes, 24)
    assert "daisy/daisy-001.jpg" in page and "broken.jpg" in page
    assert page.count("<polyline") == 7, "accuracy and cross entropy, of training and validation; distances and limit"
    assert "% of 10 strangers" in page and record["unknown"]["strangers"] == 10
    assert "poets-edge export --quantize int8" in page and "poets-edge audit " in page
    for label in ("dandelion", "sunflowers", "tulips"):
        assert f"<td>{label}</td>" in page
    assert f"{100 * record['test']['accuracy']:.1f}\N{NO-BREAK SPACE}%" in page


def test_confusion_matrices_in_the_report_count_all_photos(work: Path) -> None:
    page = (work / "tf_files/retrained_graph.html").read_text()
    record = json.loads((work / "tf_files/retrained_graph.json").read_text())
    cross_validated, test = re.findall(r'<table class="confusion">.*?</table>', page, re.DOTALL)
    for matrix, photos in ((cross_validated, record["cross_validation"]["photos"]), (test, record["test"]["photos"])):
        counts = re.findall(r'<td class="n[^>]*>([^<]*)</td>', matrix)
        assert sum(int(count or 0) for count in counts) == photos
    assert "<h1>drawn: training report</h1>" in page and "logits" not in page


def test_report_has_no_external_resources_and_escapes_names(work: Path) -> None:
    page = (work / "tf_files/retrained_graph.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert NASTY not in page and "&lt;img src=x" in page
    assert "a&b<i>" not in page


def test_identical_runs_write_identical_reports_and_open_option_opens_the_report(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    before = (work / "tf_files/retrained_graph.html").read_bytes()
    train(work, "--open").ok()
    assert (work / "tf_files/retrained_graph.html").read_bytes() == before
    assert [Path(address.removeprefix("file://")).name for address in shown] == ["retrained_graph.html"]


def test_report_accepts_runs_without_test_and_validation_photos(work: Path) -> None:
    none = ("--testing_percentage", "0", "--validation_percentage", "0", "--output_graph", "none/g.pb")
    poets_edge("train", work / "drawn", *TRAIN, *none, cwd=work).ok()
    page = (work / "none/g.html").read_text()
    assert "no test photos" in page and page.count("<polyline") == 4
