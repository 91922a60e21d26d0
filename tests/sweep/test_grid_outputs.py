"""Tests of the files that `grid` writes and replaces, and of checks before its work begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.errors import OutputError, PoetsEdgeError
from poets_edge.progress import Silent
from poets_edge.sweep import grid
from poets_edge.sweep.choice import Choice
from tests.sweep.test_grid_steps import LARGE, SMALL, options
from tests.sweep.test_points import point


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that writes the outputs of a grid for a given choice; returns what the chart and the report show."""
    shown: list[Any] = []
    monkeypatch.setattr(grid, "draw_chart", lambda result, *paths: shown.extend(path.name for path in paths))
    monkeypatch.setattr(grid, "write_report", lambda result, *rest: shown.extend(rest))

    def write(choice: Choice, *, ship: bool = False) -> list[Any]:
        shown.clear()
        one, two = (replace(point(entry.name, 1.0, ()), model=tmp_path / "m.tflite") for entry in (SMALL, LARGE))
        result: Any = SimpleNamespace(
            choice=choice, points=(one, two), labels=("b", "a"), to_json=lambda: {"format": 1}
        )
        models = {SMALL: SimpleNamespace(models={"int8": "small"}), LARGE: SimpleNamespace(models={"int8": "large"})}
        grid._write(options(tmp_path, ship=ship), result, models)  # type: ignore[arg-type]
        return list(shown)

    (tmp_path / "m.tflite").write_bytes(b"model")
    return write


def test_report_shows_the_chosen_or_the_nearest_point(written: Any, tmp_path: Path) -> None:
    one, two = point(SMALL.name, 1.0, ()), point(LARGE.name, 1.0, ())
    for choice, name, evaluation in (
        (Choice(two, None, ""), LARGE.name, "large"), (Choice(None, two, ""), LARGE.name, "large"),
        (Choice(None, None, ""), SMALL.name, "small"), (Choice(one, two, ""), SMALL.name, "small"),
    ):  # fmt: skip
        png, svg, shown, evaluated, photos, path = written(choice)
        assert (png, svg) == ("chart.png", "chart.svg")
        assert (shown.architecture.name, evaluated) == (name, evaluation)
        assert (photos, path) == (tmp_path / "photos", tmp_path / "grid/report.html")
    assert (tmp_path / "grid/grid.json").read_text().startswith("{")


def test_shipped_model_is_replaced_or_removed_by_the_next_grid(written: Any, tmp_path: Path) -> None:
    def shipped() -> set[str]:
        return {path.name for path in (tmp_path / "grid/ship").glob("*") if not path.name.startswith(".")}

    one, two = (replace(point(entry.name, 1.0, ()), model=tmp_path / "m.tflite") for entry in (SMALL, LARGE))
    written(Choice(one, None, ""))
    assert shipped() == set(), "only if requested"
    written(Choice(one, None, ""), ship=True)
    assert shipped() == {f"{SMALL.name}_int8.tflite", "labels.txt"}
    assert (tmp_path / "grid/ship/labels.txt").read_text() == "b\na\n"
    written(Choice(two, None, ""), ship=True)
    assert shipped() == {f"{LARGE.name}_int8.tflite", "labels.txt"}
    written(Choice(None, two, ""), ship=True)
    assert shipped() == set(), "an old model is never used with new labels"


@pytest.mark.parametrize("name", ["grid.json", "chart.png", "chart.svg", "report.html"])
def test_outputs_of_an_earlier_grid_are_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / name).write_text("mine")
    with pytest.raises(OutputError, match="not written by `grid`"):
        grid._check_outputs(options(tmp_path))
    (tmp_path / "grid/grid.json").write_text('{\n "format": "poets_edge-grid-1"')
    grid._check_outputs(options(tmp_path))
    assert (tmp_path / "grid" / name).exists()


def test_missing_folder_of_unknown_photos_is_reported_before_the_photos_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(*arguments: Any) -> Any:
        pytest.fail("hours of training would be lost")

    monkeypatch.setattr(grid, "take_snapshot", snapshot)
    source: Any = None
    with pytest.raises(PoetsEdgeError, match="elsewhere"):
        grid._run(options(tmp_path, strangers=tmp_path / "elsewhere"), source, Silent())
