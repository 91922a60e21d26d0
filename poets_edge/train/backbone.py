"""A backbone without its classifier, as the two files a run needs, built once and kept beside the bottlenecks.

- a frozen graph from `input` (float32 [1, R, R, 3], normalised) to `bottleneck` (float32 [1, size]), onto which
  the head is put;
- the same as a float `.tflite`, which computes bottlenecks on all cores faster than TensorFlow does.

Both are written without TensorFlow, and the `.tflite` holds bit for bit the numbers that its converter would put
there, so that files and vectors which earlier versions left in the folder stay good.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes, sha256_of, write_bytes, write_text
from poets_edge.core.json_checks import parse_json
from poets_edge.errors import RecordError
from poets_edge.nets.architectures import Architecture
from poets_edge.nets.graphdef import parse_graph, serialize
from poets_edge.nets.layer_weights import read_backbone
from poets_edge.nets.network import Network
from poets_edge.nets.weights import Weights
from poets_edge.nets.write_graph import graph_of
from poets_edge.quantize.write_model import write_float_model

# Raise when the code below builds something else from the same weights.
_FORMAT = "backbone-1"


@dataclass(frozen=True)
class Backbone:
    """A backbone ready to use.

    Attributes:
        digest: names everything its vectors follow from: the weights, the architecture, and how it was built.
        graph: the frozen graph's file.
        model: the `.tflite` file.
    """

    architecture: Architecture
    digest: str
    graph: Path
    model: Path

    @property
    def cache_file(self) -> Path:
        """Where its bottlenecks are kept."""
        return self.model.with_suffix(".sqlite")

    def read_graph(self) -> Any:
        """Its GraphDef."""
        return parse_graph(self.graph.read_bytes(), str(self.graph))


def prepare_backbone(architecture: Architecture, weights: Weights, folder: Path) -> Backbone:
    """Find a backbone in `folder`, or build it there.

    Raises:
        WeightsError: the weights file is damaged or belongs to another architecture.
        RuntimeMissingError: it has to be built and h5py, or ai-edge-litert, is not installed.
        OutputError: `folder` cannot be written.
    """
    digest = hashlib.sha256(f"{_FORMAT} {architecture.backbone} {weights.digest}".encode()).hexdigest()[:16]
    backbone = _place(architecture, digest, folder)
    return backbone if _is_intact(backbone) else write_backbone(read_backbone(architecture, weights), backbone)


def write_backbone(network: Network, place: Backbone) -> Backbone:
    """Write a network's graph and model to a backbone's places; gives `place`. Raises OutputError."""
    write_bytes(place.graph, serialize(graph_of(network)))
    write_bytes(place.model, write_float_model(network))
    # Last: its presence says that the two others are complete.
    write_text(_checksums(place), json.dumps(_sums(place)) + "\n")
    return place


def _place(architecture: Architecture, digest: str, folder: Path) -> Backbone:
    stem = f"{architecture.backbone}-{digest}"
    return Backbone(architecture, digest, folder / f"{stem}.pb", folder / f"{stem}.tflite")


def _checksums(backbone: Backbone) -> Path:
    return backbone.graph.with_suffix(".json")


def _sums(backbone: Backbone) -> dict[str, str]:
    return {"graph": sha256_of(backbone.graph), "model": sha256_of(backbone.model)}


def _is_intact(backbone: Backbone) -> bool:
    try:
        return bool(parse_json(read_bytes(_checksums(backbone))) == _sums(backbone))
    except (OSError, RecordError):
        return False
