"""Tests of the history of training runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.training.runs import save_run
from tests.conftest import poets_edge

_BACKBONE = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded", "-q")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs, which differ in steps and photos."""
    work = tmp_path_factory.mktemp("runs")
    draw_photos(work / "photos", per_class=8)
    poets_edge("train", "photos", *_BACKBONE, "--how_many_training_steps", "50", cwd=work).ok()
    poets_edge("train", "photos", *_BACKBONE, "--how_many_training_steps", "100", cwd=work).ok()
    for photo in sorted((work / "photos/daisy").iterdir())[:2]:
        photo.unlink()
    poets_edge("train", "photos", *_BACKBONE, "--how_many_training_steps", "100", cwd=work).ok()
    return work


def test_runs_command_lists_each_run_with_its_changed_options(work: Path) -> None:
    shown = poets_edge("runs", cwd=work).ok().stdout.splitlines()
    assert shown[0].split()[:3] == ["run", "date", "architecture"] and len(shown) == 5
    assert "head.steps 100" in shown[2] and "photos 38" in shown[3] and "head.steps" not in shown[3]
    assert shown[-1] == "Curves: tensorboard --logdir tf_files/runs"


def test_runs_command_compares_two_runs(work: Path) -> None:
    shown = poets_edge("runs", "1", "3", cwd=work).ok().stdout
    rows = {line[:24].strip(): line.split()[-2:] for line in shown.splitlines()}
    assert rows["head.steps"] == ["50", "100"] and rows["photos"] == ["40", "38"]
    assert "head.seed" not in rows, "what is the same is not shown"
    found = json.loads(poets_edge("runs", "1", "3", "--json", cwd=work).ok().stdout)
    assert [run["options"]["head.steps"] for run in found] == [50, 100]
    poets_edge("runs", "1", "9", cwd=work).failed("no run 9", "holds 3")
    poets_edge("runs", "1", cwd=work).failed("two runs")


def test_saved_runs_contain_event_files_for_tensorboard(work: Path) -> None:
    for name in ("train", "validation"):
        assert len(list((work / "tf_files/runs").glob(f"*/{name}/events.out.tfevents.*"))) == 3
    assert len(list((work / "tf_files/training_summaries").glob("*/train/*"))) == 1, "the codelab's own place: the last"


def test_event_files_of_a_concurrent_training_run_are_not_saved_with_a_run(work: Path, tmp_path: Path) -> None:
    """Incomplete and replaced event files are not copied."""
    record = json.loads((work / "tf_files/retrained_graph.json").read_bytes())
    curves = tmp_path / "summaries/train"
    curves.mkdir(parents=True)
    (curves / "events.out.tfevents.1.host.poets_edge").write_bytes(b"whole")
    (curves / ".events.out.tfevents.2.host.poets_edge.abcd1234.poets_edge.tmp").write_bytes(b"half")
    (curves / "events.out.tfevents.0.host.poets_edge").symlink_to(tmp_path / "replaced")
    saved = save_run(tmp_path / "runs", record, tmp_path / "summaries")
    assert [path.name for path in (saved / "train").iterdir()] == ["events.out.tfevents.1.host.poets_edge"]
    assert (saved / "run.json").exists() and not (saved / "validation").exists()


def test_error_for_a_damaged_run_names_its_file(work: Path, tmp_path: Path) -> None:
    assert "No runs" in poets_edge("runs", cwd=tmp_path).ok().stdout
    for text in ("{", '{"date": 3}', "[]"):
        note = tmp_path / "tf_files/runs/one/run.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(text)
        poets_edge("runs", cwd=tmp_path).failed("run.json", "Delete its folder")
