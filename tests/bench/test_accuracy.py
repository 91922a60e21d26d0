"""Tests of the accuracy in a benchmark: agreement with the float32 model of the same graph, and evaluated photos."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench import accuracy
from poets_edge.bench.accuracy import EvaluatedPhotos, accuracy_of

FACTS: dict[str, Any] = {
    "a_int8": {"quantization": "int8", "training": {"graph_sha256": "a"}},
    "b": {"quantization": "float32", "training": {"graph_sha256": "b"}},
    "a": {"quantization": "float32", "training": {"graph_sha256": "a"}},
    "a_float16": {"quantization": "float16", "training": {"graph_sha256": "a"}},
    "foreign": {"quantization": "float32"},
    "other": {"quantization": "int8", "training": None},
}


@pytest.fixture
def agreements(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Agreement of each model's predictions: the name of the model that they are compared with."""
    monkeypatch.setattr(accuracy, "read_model", lambda path: path.name)
    monkeypatch.setattr(accuracy, "read_metadata", lambda name: SimpleNamespace(facts=FACTS[name]))
    monkeypatch.setattr(accuracy, "overlap_lines", lambda *given: given)
    monkeypatch.setattr(accuracy, "evaluate_unknown", lambda scores, labels: ("unknown", scores.name, labels))

    def predictions(name: str) -> Any:
        return SimpleNamespace(
            name=name, agreement=lambda other: other.name, evaluation=lambda labels: ("evaluation", name, labels)
        )

    evaluations: Any = {
        Path(name): SimpleNamespace(
            labels=f"labels {name}", overlap=f"overlap {name}", learned=1, unseen=2, learned_count=3
        )
        for name in FACTS
    }
    found = accuracy_of({Path(name): predictions(name) for name in FACTS}, evaluations)
    for path, entry in found.items():
        shown: Any = (entry.evaluation, entry.overlap, entry.overlap_lines, entry.unknown)
        name = path.name
        assert entry.learned == 3
        assert shown == (
            ("evaluation", name, f"labels {name}"), f"overlap {name}", (f"overlap {name}", 1, 2),
            ("unknown", name, f"labels {name}"),
        )  # fmt: skip
    return {path.name: entry.agreement for path, entry in found.items()}


def test_models_are_compared_with_the_float32_export_of_the_same_graph(agreements: dict[str, Any]) -> None:
    assert agreements == {"a_int8": "a", "b": "b", "a": "a", "a_float16": "a", "foreign": None, "other": None}


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ("all", "all photos of photos, N = 2"),
        ("unseen", "photos that no model is known to have learned from of photos, N = 2"),
        ("test", "the test set of photos, N = 2"),
    ],
)
def test_description_of_evaluated_photos_states_their_folder_and_split(
    monkeypatch: pytest.MonkeyPatch, split: str, text: str
) -> None:
    monkeypatch.setattr(accuracy, "common_split", lambda results: split)
    photos = [SimpleNamespace(name="a/1.jpg"), SimpleNamespace(name="b/2.jpg")]
    results: Any = [SimpleNamespace(predictions=SimpleNamespace(photos=photos))]
    found = EvaluatedPhotos.of(Path("photos"), results)
    assert str(found) == text
    assert found is not None and found.to_json() == {
        "image_dir": "photos",
        "set": split,
        "photos": ["a/1.jpg", "b/2.jpg"],
    }
    assert EvaluatedPhotos.of(None, results) is None and EvaluatedPhotos.of(Path("photos"), []) is None
