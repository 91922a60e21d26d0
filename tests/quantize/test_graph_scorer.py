"""Tests of classifying photos with frozen graphs: number of labels, shapes and values of the output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.nets.graphdef import serialize
from poets_edge.quantize import graph_scorer
from poets_edge.quantize.graph_scorer import FrozenGraphScorer, _reason
from tests.graphs import small_graph, training_files


def _saved(folder: Path, labels: list[str], outputs: int) -> Path:
    (folder / "x_graph.pb").write_bytes(serialize(small_graph([f"c{number}" for number in range(outputs)])))
    (folder / "x_labels.txt").write_text("".join(f"{label}\n" for label in labels))
    return folder / "x_graph.pb"


@pytest.mark.parametrize("outputs", [2, 4])
def test_number_of_labels_must_equal_the_number_of_outputs(outputs: int, tmp_path: Path) -> None:
    path = _saved(tmp_path, ["a", "b", "c"], outputs)
    with pytest.raises(ModelError, match=f"3 labels, but .*x_graph.pb has {outputs} outputs"):
        FrozenGraphScorer(path, input_range="-1:1")


def test_frozen_graph_scorer_returns_the_softmax_scores_of_the_graph(tmp_path: Path) -> None:
    path = _saved(tmp_path, ["a", "b", "c"], 3)
    scorer = FrozenGraphScorer(path, input_range="0:1")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4], pixels[4:] = (250, 30, 90), (10, 70, 0)
    weights = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    powers = np.exp(np.array([130, 50, 45]) / 255 @ weights)
    np.testing.assert_allclose(scorer._run(pixels).scores, powers / powers.sum(), rtol=1e-4)
    assert scorer.labels == ("a", "b", "c") and scorer.size == (8, 8) and not scorer.has_detector
    assert scorer._run(pixels).distance is None and scorer.remarks == ()
    clone = scorer.clone()
    np.testing.assert_array_equal(clone._run(pixels).scores, scorer._run(pixels).scores)
    assert clone.labels == scorer.labels and clone.input_range == scorer.input_range


def _photo(folder: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (16, 16), (200, 30, 40)).save(folder / "p.png")
    return folder / "p.png"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((2, 3)), r"its output has the shape \[2, 3\] instead of \[1, labels\]"),
        (np.zeros((1, 1, 3)), r"its output has the shape \[1, 1, 3\] instead of \[1, labels\]"),
        (np.array([[0.5, np.nan, 0.5]]), "its scores contain NaN or infinity"),
        (np.array([[0.5, np.inf, 0.5]]), "its scores contain NaN or infinity"),
    ],
)
def test_outputs_with_unexpected_shapes_or_values_are_refused(
    answer: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(tmp_path, ["a", "b", "c"], 3)
    monkeypatch.setattr(graph_scorer, "_load", lambda frozen, threads: lambda values: [answer])
    with pytest.raises(ModelError, match=message):
        FrozenGraphScorer(path, input_range="-1:1")


def test_distance_is_the_second_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [np.array([[0.25, 0.75]]), np.array([[1.5]])]
    monkeypatch.setattr(graph_scorer, "_load", lambda frozen, threads: lambda values: answers)
    scorer = FrozenGraphScorer(_saved(tmp_path, ["a", "b"], 2), input_range="-1:1")
    found = scorer.predict(str(_photo(tmp_path)))
    assert found.scores.tolist() == [0.25, 0.75] and found.distance == 1.5


def test_reason_for_an_error_omits_stack_traces() -> None:
    text = "Graph execution error:\n\nDetected at node x\n  File a\nthe   shapes differ\nNode: x"
    assert _reason(ValueError(text)) == "the shapes differ"
    assert _reason(ValueError("")) == "ValueError" and _reason(ValueError("Node: x")) == "Node: x"
    assert len(_reason(ValueError("y" * 300))) == 200


def test_labels_and_record_of_another_graph_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.nets.trained_graph._PAUSE_SECONDS", 0.0)
    first, second = training_files(tmp_path, ["b", "a"]), training_files(tmp_path, ["b", "a"], seed=1)
    graph, labels, record = first

    def write(files: dict[Path, bytes]) -> None:
        for path, content in files.items():
            path.write_bytes(content)

    write(first)
    assert FrozenGraphScorer(graph).labels == ("b", "a")
    write({labels: b"a\nb\n"})
    with pytest.raises(ModelError, match=r"not the labels .* was trained with"):
        FrozenGraphScorer(graph)
    write({labels: first[labels], record: second[record]})
    with pytest.raises(ModelError, match="describes another graph than"):
        FrozenGraphScorer(graph)
    plain = training_files(tmp_path, ["b", "a"], carry=False)
    write({**plain, labels: b"a\nb\n"})
    with pytest.raises(ModelError, match=r"not the labels .* was trained with"):
        FrozenGraphScorer(graph)
    for name in ("../a.jpg", "/a.jpg", "a/../../b.jpg", ""):
        changed = first[record].replace(b'"training": []', f'"training": ["{name}"]'.encode(), 1)
        write({**first, record: changed})
        with pytest.raises(ModelError, match=r"damaged .*the relative path of a photo"):
            FrozenGraphScorer(graph)
    write({**first, record: first[record].replace(b'"training": []', b'"training": ["a/..b.jpg"]', 1)})
    assert FrozenGraphScorer(graph).facts["sets"]["training"] == ["a/..b.jpg"]
