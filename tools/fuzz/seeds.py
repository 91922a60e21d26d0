"""Small valid files that the fuzzer mutates: `python -m tools.fuzz.seeds` writes them to tests/corpus/seeds.

The files are a frozen graph, its labels and training record, and its exports in all quantizations. The network has
three convolutions with random weights and an input of 32 x 32 pixels. Each file is only a few kilobytes, so mutations
are fast.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SEEDS = Path("tests/corpus/seeds")
LABELS = ("daisy", "roses", "tulips")


def write_seeds(folder: Path) -> None:
    """Write a graph with its labels, training record and exports to a folder.

    The photos with which the exports are calibrated are generated, and deleted afterwards.
    """
    import tensorflow as tf

    from poets_edge.exporting.export import export
    from poets_edge.exporting.options import ExportOptions
    from poets_edge.nets.graphdef import parse_graph, serialize, with_labels
    from poets_edge.training.record import record_of

    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return rng.normal(0, 0.4, shape).astype(np.float32)

    kernels = weights(3, 3, 3, 8), weights(3, 3, 8, 1), weights(1, 1, 8, 16), weights(16, len(LABELS))

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec([1, 32, 32, 3], tf.float32, name="input")]
    )
    def network(pixels: Any) -> Any:
        first = tf.nn.relu6(tf.nn.conv2d(pixels, kernels[0], 2, "SAME") + weights(8))
        second = tf.nn.relu6(tf.nn.depthwise_conv2d(first, kernels[1], [1, 1, 1, 1], "SAME") + weights(8))
        third = tf.nn.relu6(tf.nn.conv2d(second, kernels[2], 1, "SAME") + weights(16))
        pooled = tf.reduce_mean(third, axis=[1, 2], name="bottleneck")
        return tf.nn.softmax(tf.nn.bias_add(tf.matmul(pooled, kernels[3]), weights(len(LABELS))), name="final_result")

    plain = network.get_concrete_function().graph.as_graph_def().SerializeToString()
    graph = serialize(with_labels(parse_graph(plain, "seed"), LABELS))
    photos = folder / "photos"
    names = {label: [f"{label}/{number}.png" for number in range(8)] for label in LABELS}
    for name in (name for several in names.values() for name in several):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(photos / name)
    every = [name for several in names.values() for name in several]
    fields = {
        "architecture": "mobilenet_0.25_128",
        "weights": {"file": "random", "sha256": "0" * 64},
        "image_dir": str(photos),
        "percentages": {"testing": 10, "validation": 10},
        "head": {"steps": 1},
        "distortions": None,
        "labels": list(LABELS),
        "classes": {label: {"training": 6, "validation": 0, "test": 2} for label in LABELS},
        "sets": {"training": every[::2], "validation": [], "test": every[1::2]},
        "photos": {name: hashlib.sha256((photos / name).read_bytes()).hexdigest() for name in every},
        "test": None,
    }
    (folder / "seed_graph.pb").write_bytes(graph)
    (folder / "seed_labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    (folder / "seed_graph.json").write_bytes(record_of(hashlib.sha256(graph).hexdigest(), fields))
    export(ExportOptions(graph=folder / "seed_graph.pb", quantizations=("float32", "float16", "dynamic", "int8")))
    record = json.loads((folder / "seed_graph.json").read_bytes())
    record["image_dir"] = "photos"
    (folder / "seed_graph.json").write_text(json.dumps(record))
    shutil.rmtree(photos)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    target.mkdir(parents=True, exist_ok=True)
    write_seeds(target)
