"""Convert a trained graph for TensorBoard's Graphs page.

Training nodes are added, with the names that they have in the codelab "TensorFlow for Poets".
"""

from __future__ import annotations

from typing import Any

from poets_edge.nets.graphdef import copy_of, without_large_constants

_HEAD, _CODELAB_HEAD = "head/", "final_training_ops/"


def training_picture(graph: Any) -> Any:
    """Return a copy of a graph for display, with additional nodes for ground truth, loss and training step.

    The copy has no weights and cannot be run.

    Args:
        graph: a GraphDef that `with_softmax_layer` returned.
    """
    picture = copy_of(without_large_constants(graph))
    for node in picture.node:
        node.name = _renamed(node.name)
        names = [_renamed(name) for name in node.input]
        del node.input[:]
        node.input.extend(names)
    logits = f"{_CODELAB_HEAD}logits"
    for name, op, inputs in (
        ("GroundTruthInput", "Placeholder", ()),
        ("cross_entropy/softmax_cross_entropy", "SoftmaxCrossEntropyWithLogits", (logits, "GroundTruthInput")),
        ("cross_entropy/mean", "Mean", ("cross_entropy/softmax_cross_entropy",)),
        ("train/GradientDescent", "ApplyGradientDescent", (f"{_CODELAB_HEAD}weights", "cross_entropy/mean")),
    ):
        picture.node.add(name=name, op=op, input=inputs)
    return picture


def _renamed(name: str) -> str:
    return f"{_CODELAB_HEAD}{name.removeprefix(_HEAD)}" if name.startswith(_HEAD) else name
