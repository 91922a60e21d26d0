"""Session of a new user who types only lines that the program has printed, from `poets-edge` to a labeled photo.

The test uses synthetic photos and the embedded backbone, so it runs on any machine.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.conftest import Ran, poets_edge

_BACKBONE = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded")


def _printed_line(ran: Ran, command: str) -> list[str]:
    """Return the words after `poets-edge` in a line that a command has printed."""
    found = re.search(rf"poets-edge ({command}\b[^\n]*)", ran.stdout + ran.stderr)
    assert found, f"no line to type for {command} in:\n{ran.stdout}{ran.stderr}"
    return shlex.split(found[1])


def test_each_output_names_the_next_command(tmp_path: Path) -> None:
    start = poets_edge(cwd=tmp_path)
    assert _printed_line(start, "train")[:2] == ["train", "flower_photos"]

    tried = poets_edge(*_printed_line(start, "quickstart"), cwd=tmp_path).ok()
    photo = "quickstart/photos/daisy/daisy-001.jpg"
    label = [photo if word == "photo.jpg" else word for word in _printed_line(tried, "label")]
    # The line is meant for the Pi, with the model copied there.
    model = next((tmp_path / "quickstart").rglob(next(word for word in label if word.endswith(".tflite"))))
    answered = poets_edge(*(str(model) if word == model.name else word for word in label), cwd=tmp_path).ok()
    assert "daisy" in answered.stdout

    train = ["quickstart/photos" if word == "flower_photos" else word for word in _printed_line(tried, "train")]
    assert train[-4:] == list(_BACKBONE), "what quickstart suggests for one's own photos needs no network"
    trained = poets_edge(*train, "--steps", "500", cwd=tmp_path).ok()

    exported = poets_edge(*_printed_line(trained, "export"), cwd=tmp_path).ok()
    label = [photo if word == "PHOTO" else word for word in _printed_line(exported, "label")]
    answered = poets_edge(*label, cwd=tmp_path).ok()
    assert answered.stdout.count("(score = ") == 5
    assert _printed_line(exported, "grid") == ["grid", "flower_photos"], "which network to ship is the last question"


def test_missing_argument_error_contains_a_command_line(tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(b"a graph")
    for typed, told in (
        (("train",), "poets-edge train flower_photos"),
        (("label", "photo.jpg"), "train has not written tf_files/retrained_graph.pb"),
        (("export",), "Run poets-edge train flower_photos"),
        (("web", "graph.pb"), "poets-edge export graph.pb"),
        (("evaluate",), "no model named"),
        (("runs",), "poets-edge train flower_photos"),
    ):
        ran = poets_edge(*typed, cwd=tmp_path)
        assert told in ran.stdout + ran.stderr and "Traceback" not in ran.stderr
