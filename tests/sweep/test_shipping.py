"""Tests of the shipped files of a grid, and of their removal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from poets_edge.errors import OutputError
from poets_edge.exporting.generated_files import write_generated
from poets_edge.sweep.grid import grid
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.shipping import check_shipping, remove_shipped, ship
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from tests.conftest import ROOT
from tests.decoy import Decoy
from tests.sweep.test_points import point
from tools.fuzz.seeds import SEEDS

MODEL = ROOT / SEEDS / "seed_graph.tflite"
SHIPPED = "mobilenet_0.25_128_int8.tflite"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with the user's own files, whose names are similar to names of files that `grid` writes."""
    for name in ("mine_int8.tflite", "mobilenet_0.50_224_int8.tflite", _name_in_metadata()):
        (tmp_path / name).write_bytes(MODEL.read_bytes())
    (tmp_path / "text_int8.tflite").write_text("mine")
    (tmp_path / "folder_int8.tflite").mkdir()
    return tmp_path


def _name_in_metadata() -> str:
    facts = read_metadata(read_model(MODEL)).facts
    return f"{facts['training']['architecture']}_{facts['quantization']}.tflite"


def test_shipping_copies_the_model_and_writes_its_labels_in_order(tmp_path: Path) -> None:
    (tmp_path / "trained.tflite").write_bytes(b"model")
    best = replace(point("mobilenet_0.25_128", 1.0, ()), model=tmp_path / "trained.tflite")
    assert ship(best, ["tulips", "daisy"], tmp_path / "ship") == tmp_path / "ship" / SHIPPED
    assert (tmp_path / "ship" / SHIPPED).read_bytes() == b"model"
    assert (tmp_path / "ship/labels.txt").read_bytes() == b"tulips\ndaisy\n"


def test_removing_shipped_files_does_not_remove_user_files(folder: Path) -> None:
    (folder / "labels.txt").write_text("mine\n")
    decoy = Decoy()
    decoy.watch(folder)
    remove_shipped(folder)
    with pytest.raises(OutputError, match=r"labels\.txt: edited, or written by another program"):
        check_shipping(folder)
    assert decoy.changed() == []


def test_shipped_files_are_removed_unless_they_were_edited(folder: Path) -> None:
    decoy = Decoy()
    decoy.watch(folder)
    before = sorted(folder.iterdir())
    write_generated(folder, {SHIPPED: b"model", "labels.txt": b"a\n"})
    remove_shipped(folder)
    assert sorted(folder.iterdir()) == before and decoy.changed() == []
    write_generated(folder, {SHIPPED: b"model", "labels.txt": b"a\n"})
    (folder / SHIPPED).write_bytes(b"edited")
    remove_shipped(folder)
    assert (folder / SHIPPED).read_bytes() == b"edited" and not (folder / "labels.txt").exists()


def test_removing_shipped_files_does_not_remove_files_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"mine")
    write_generated(tmp_path / "ship", {"labels.txt": b"a\n", "../mine.txt": b"mine"})
    (tmp_path / "ship/link.txt").symlink_to("../mine.txt")
    remove_shipped(tmp_path / "ship")
    assert (tmp_path / "mine.txt").read_bytes() == b"mine" and (tmp_path / "ship/link.txt").is_symlink()


@pytest.mark.parametrize("name", ["grid.json", "chart.png", "chart.svg", "report.html", "ship/labels.txt"])
def test_grid_does_not_replace_files_of_other_programs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(OutputError, match=f"{name}: .* is not replaced"):
        grid(GridOptions(image_dir=tmp_path / "photos", output_dir=tmp_path, ship=True))
    assert (tmp_path / name).read_text() == "{}"
