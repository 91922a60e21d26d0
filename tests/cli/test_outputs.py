"""Tests that commands do not replace files of the user: inputs, photos, and files that other programs have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photo
from tests.conftest import ROOT, poets_edge
from tools.fuzz.seeds import SEEDS

MODEL = ROOT / SEEDS / "seed_graph.tflite"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.mark.parametrize("content", [PNG, b"mine", b"\n# mine\n"])
def test_output_option_does_not_replace_files_that_are_not_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine").write_bytes(content)
    poets_edge("inspect", MODEL, "--output", tmp_path / "mine").failed("--output", "is not JSON", "not replaced")
    assert (tmp_path / "mine").read_bytes() == content


@pytest.mark.parametrize("content", ["", "{}", "[]\n"])
def test_output_option_replaces_earlier_results(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    poets_edge("inspect", MODEL, "--output", tmp_path / "result.json").ok()
    assert json.loads((tmp_path / "result.json").read_text())["labels"]


def test_output_option_does_not_replace_an_input_file(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "link.json").symlink_to("b.json")
    for output in ("b.json", "./a.json", "link.json"):
        ran = poets_edge("compare", "a.json", "b.json", "--output", output, cwd=tmp_path)
        ran.failed("--output", "also another argument")
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text() == "{}"


def test_annotate_does_not_replace_files_that_are_not_models(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(PNG)
    poets_edge("annotate", MODEL, "--output", tmp_path / "photo.png").failed("not a .tflite file", "--output")
    assert (tmp_path / "photo.png").read_bytes() == PNG
    for _ in range(2):
        poets_edge("annotate", MODEL, "--output", tmp_path / "copy.tflite").ok()


@pytest.mark.parametrize("name", ["index.html", "app.js", "service-worker.js", "index.html.gz"])
def test_web_does_not_replace_edited_files(tmp_path: Path, name: str) -> None:
    poets_edge("web", MODEL, "--output-dir", "site", cwd=tmp_path).ok()
    poets_edge("web", MODEL, "--output-dir", "site", "--title", "Birds", cwd=tmp_path).ok()
    page = tmp_path / "site" / name
    page.write_bytes(page.read_bytes() + b"\n")
    edited = page.read_bytes()
    poets_edge("web", MODEL, "--output-dir", "site", cwd=tmp_path).failed(name, "edited", "not replaced")
    assert page.read_bytes() == edited


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.json", b'{"name": "my package"}'),
        ("model.html", b"<!DOCTYPE html><title>Mine</title>"),
        ("model.pb", PNG),
        ("model.txt", PNG),
    ],
)
def test_train_does_not_replace_files_that_training_did_not_write(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    given = ("--output-graph", tmp_path / "model.pb", "--output-labels", tmp_path / "model.txt")
    small = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
    for label in ("daisy", "roses"):
        for number in range(3):
            path = tmp_path / "photos" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(draw_photo("daisy", number))
    ran = poets_edge("train", tmp_path / "photos", *small, *given, cwd=tmp_path)
    ran.failed(name, "not replaced")
    assert (tmp_path / name).read_bytes() == content


def test_audit_does_not_overwrite_pages_of_other_programs_or_edited_lists(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!DOCTYPE html><title>Mine</title>")
    (tmp_path / "exclude.json").write_text('{"leave_out": ["daisy/1.jpg"]}')
    for flags, name in ((("--report", "page.html"), "page.html"), (("--move-suspects", "."), "exclude.json")):
        poets_edge("audit", "photos", *flags, cwd=tmp_path).failed(name, "not replaced")
    assert (tmp_path / "page.html").read_text() == "<!DOCTYPE html><title>Mine</title>"
    assert (tmp_path / "exclude.json").read_text() == '{"leave_out": ["daisy/1.jpg"]}'
