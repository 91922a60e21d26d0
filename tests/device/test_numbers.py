"""Tests of models with NaN or infinity in their weights or their normalization."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.nets.graphdef import constant_of, find_node
from poets_edge.photos.normalization import Normalization
from poets_edge.quantize.convert import convert
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.conftest import poets_edge
from tests.graphs import SIZE, small_graph
from tests.needs import need_tensorflow

CARD = ModelInfo("small", "", ("daisy", "roses"))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "daisy/1.png"
    path.parent.mkdir()
    Image.new("RGB", (16, 16), "yellow").save(path)
    return path


def model(path: Path, weight: float = 0.5, normalization: Normalization | None = None) -> Path:
    """Write a small model with the given weight and normalization."""
    need_tensorflow()
    graph = small_graph(CARD.labels)
    node = find_node(graph, "head/weights")
    weights = constant_of(node).copy()
    weights[0, 0] = weight
    node.attr["value"].tensor.tensor_content = weights.tobytes()
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        if normalization:
            patch.setattr("poets_edge.tflite.write_metadata.BACKBONE", normalization)
        content = with_metadata(convert(graph, "small", "input", "final_result", (SIZE, SIZE)), CARD)
    path.write_bytes(with_files(content, CARD, {}))
    return path


@pytest.mark.parametrize("weight", [math.nan])
def test_commands_reject_models_with_nan_scores(tmp_path: Path, photo: Path, weight: float) -> None:
    poets_edge("label", "--graph", model(tmp_path / "good.tflite"), photo).ok()
    bad = model(tmp_path / "bad.tflite", weight)
    poets_edge("label", "--graph", bad, photo).failed("bad.tflite", "NaN or infinity")
    poets_edge("evaluate", "--graph", bad, "--image_dir", photo.parents[1], "--set", "all").failed("bad.tflite")
    watched = poets_edge("watch", bad, "--source", photo.parent, "--json", "--threads", "1").failed("bad.tflite")
    assert "NaN" not in watched.stdout


@pytest.mark.parametrize(
    "normalization",
    [
        Normalization((math.nan,), (127.5,)),
        Normalization((127.5,), (math.inf,)),
        Normalization((127.5,), (0.0,)),
        Normalization((127.5, 127.5), (127.5, 127.5)),
        Normalization((127.5,), (127.5, 127.5, 127.5)),
    ],
)
def test_commands_reject_invalid_normalization(tmp_path: Path, photo: Path, normalization: Normalization) -> None:
    bad = model(tmp_path / "bad.tflite", normalization=normalization)
    for arguments in (("label", "--graph", bad, photo), ("inspect", bad), ("android", bad, "--app", "android_demo")):
        poets_edge(*arguments).failed("bad.tflite", "is invalid")


def test_read_frozen_graph_refuses_nan(tmp_path: Path) -> None:
    from poets_edge.errors import ModelError
    from poets_edge.nets.frozen import read_frozen_graph
    from poets_edge.nets.graphdef import serialize

    graph = small_graph(CARD.labels)
    biases = find_node(graph, "head/biases").attr["value"].tensor
    biases.tensor_content = np.array([math.nan, 0], np.float32).tobytes()
    (tmp_path / "graph.pb").write_bytes(serialize(graph))
    with pytest.raises(ModelError, match="NaN"):
        read_frozen_graph(tmp_path / "graph.pb")
