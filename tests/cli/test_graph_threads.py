"""Tests of the number of threads in commands that run a frozen graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poets_edge.core.parallel import cores
from poets_edge.quantize import graph_scorer
from poets_edge.tflite.session import Session
from tests.conftest import poets_edge


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a graph that was trained on synthetic photos."""
    folder = tmp_path_factory.mktemp("threads")
    poets_edge("draw-photos", "photos", "--per-class", "8", cwd=folder).ok()
    embedded = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
    poets_edge("train", "photos", *embedded, "--steps", "20", "--folds", "0", cwd=folder).ok()
    return folder


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of threads in the interpreter sessions that are opened for a graph, in order of opening."""
    opened: list[int] = []

    class Recorded(Session):
        def __init__(self, model: Any, threads: int) -> None:
            opened.append(threads)
            super().__init__(model, threads)

    monkeypatch.setattr(graph_scorer, "Session", Recorded)
    return opened


def test_label_command_runs_a_graph_with_the_requested_number_of_threads(folder: Path, sessions: list[int]) -> None:
    photo = next((folder / "photos/daisy").iterdir())
    poets_edge("label", "tf_files/retrained_graph.pb", photo, "--threads", "2", cwd=folder).ok()
    assert sessions == [2]


@pytest.mark.skipif(cores() < 2, reason="one core")
def test_evaluate_runs_a_graph_on_several_cores(folder: Path, sessions: list[int]) -> None:
    poets_edge("evaluate", "tf_files/retrained_graph.pb", "photos", "--split", "all", cwd=folder).ok()
    assert len(sessions) > 2, "one to check the model, and one for each thread"
