"""Files of a backbone (an ImageNet network without its classifier, the last layer), built once per backbone.

They are stored in the same folder as the backbone's bottlenecks, which are the outputs of its pooling layer:

- A frozen graph from `input` (float32 [1, size, size, 3], the normalized image) to `bottleneck` (float32
  [1, bottleneck_size]), to which the head is added.
- A float `.tflite` model equivalent to that graph. With it, computing bottlenecks on all cores takes less time than
  with TensorFlow.

Both are written without TensorFlow. The `.tflite` has the weights that TensorFlow's converter would write, bit for bit,
so that files and vectors from earlier versions of poets_edge remain valid.
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
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.graphdef import parse_graph, serialize
from poets_edge.nets.network import Network
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights_file import Weights
from poets_edge.nets.write_graph import graph_of
from poets_edge.quantize.write_model import write_float_model

# Raise the number when the files that are built from given weights change.
_FORMAT = "backbone-1"


@dataclass(frozen=True)
class Backbone:
    """An ImageNet network without its classifier (the last layer), stored in files.

    Attributes:
        architecture: architecture of the network.
        digest: 16 hexadecimal digits of a SHA-256 of the weights, the architecture and the version of the file format;
            part of the file names.
        graph: path of the frozen graph.
        model: path of the float `.tflite` model, which computes the bottlenecks of photos.
    """

    architecture: Architecture
    digest: str
    graph: Path
    model: Path

    @property
    def cache_file(self) -> Path:
        """Path of the cache file for the backbone's bottlenecks."""
        return self.model.with_suffix(".sqlite")

    def read_graph(self) -> Any:
        """Read the frozen graph from its file, and return it as a GraphDef."""
        return parse_graph(self.graph.read_bytes(), str(self.graph))


def prepare_backbone(architecture: Architecture, weights: Weights, folder: Path) -> Backbone:
    """Return the backbone with the given architecture and weights; build its files in `folder` if they are not intact.

    Raises:
        WeightsError: the weights file is damaged or belongs to another architecture.
        RuntimeMissingError: h5py or ai-edge-litert, required to build the files, is not installed.
        OutputError: `folder` cannot be written.
    """
    digest = hashlib.sha256(f"{_FORMAT} {architecture.backbone} {weights.digest}".encode()).hexdigest()[:16]
    backbone = _backbone_in(folder, architecture, digest)
    return backbone if _is_intact(backbone) else write_backbone(read_backbone(architecture, weights), backbone)


def write_backbone(network: Network, backbone: Backbone) -> Backbone:
    """Write a network to the files of a backbone: the frozen graph, the `.tflite` model and their checksums.

    Args:
        network: layers and weights to write.
        backbone: paths of the files; returned unchanged.

    Raises:
        OutputError: a file cannot be written.
    """
    write_bytes(backbone.graph, serialize(graph_of(network)))
    write_bytes(backbone.model, write_float_model(network))
    # Written last, as a sign that the other files are complete.
    write_text(_checksum_file(backbone), json.dumps(_checksums(backbone)) + "\n")
    return backbone


def _backbone_in(folder: Path, architecture: Architecture, digest: str) -> Backbone:
    stem = f"{architecture.backbone}-{digest}"
    return Backbone(architecture, digest, folder / f"{stem}.pb", folder / f"{stem}.tflite")


def _checksum_file(backbone: Backbone) -> Path:
    return backbone.graph.with_suffix(".json")


def _checksums(backbone: Backbone) -> dict[str, str]:
    return {"graph": sha256_of(backbone.graph), "model": sha256_of(backbone.model)}


def _is_intact(backbone: Backbone) -> bool:
    try:
        return bool(parse_json(read_bytes(_checksum_file(backbone))) == _checksums(backbone))
    except (OSError, RecordError):
        return False
