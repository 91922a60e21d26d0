"""Tests of `export`: consistent inputs, and atomic output of all files."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from poets_edge.core.files import write_together
from poets_edge.device.classifier import Classifier
from tests.conftest import poets_edge
from tests.graphs import training_files


@pytest.mark.tensorflow
def test_export_ignores_concurrent_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from poets_edge.exporting.export import export
    from poets_edge.exporting.options import ExportOptions
    from poets_edge.quantize.convert import convert

    graph = tmp_path / "retrained_graph.pb"
    write_together(training_files(tmp_path, ("daisy", "roses")))
    (tmp_path / "retrained_graph.json").unlink()
    options = ExportOptions(graph=graph, quantizations=("float32", "float16"))
    export(options)
    undisturbed = {path.name: path.read_bytes() for path in tmp_path.glob("*.tflite")}
    assert len(undisturbed) == 2

    def convert_late(*given: Any, **named: Any) -> Any:
        write_together(training_files(tmp_path, ("cats", "dogs"), seed=5))
        return convert(*given, **named)

    monkeypatch.setattr("poets_edge.exporting.export.convert", convert_late)
    export(options)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.tflite")} == undisturbed
    assert Classifier(graph.with_suffix(".tflite")).labels == ("daisy", "roses")


def test_error_names_an_unconvertible_graph_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    from poets_edge.nets.graphdef import parse_graph, serialize

    files = training_files(tmp_path, ("daisy", "roses"))
    path = tmp_path / "retrained_graph.pb"
    graph = parse_graph(files[path], "")
    next(node for node in graph.node if node.op == "MatMul").op = "NoSuchOperator"
    write_together({path: serialize(graph), tmp_path / "retrained_labels.txt": b"daisy\nroses\n"})
    ran = poets_edge("export", "--graph", path).failed(str(path))
    assert "poets_edge-" not in ran.stderr


def test_export_leaves_old_files_unchanged_if_the_disk_is_full(tmp_path: Path) -> None:
    from poets_edge.errors import OutputError

    small, large = {tmp_path / name: b"1" for name in "abc"}, {tmp_path / name: b"2" * 9000 for name in "abc"}
    write_together(small)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, before[1]))
    try:
        with pytest.raises(OutputError, match="too large"):
            write_together({tmp_path / "a": b"2", **{path: data for path, data in large.items() if path.name != "a"}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys("abc", b"1")
