"""Determine the normalization that a frozen graph's input requires, and on what evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError, UsageError
from poets_edge.nets.frozen import CODELAB_INPUTS, CODELAB_OUTPUT
from poets_edge.nets.graphdef import constant_of
from poets_edge.nets.trained_graph import Trained
from poets_edge.photos.normalization import BACKBONE, parse_input_range
from poets_edge.tflite.first_layers import (
    BlueFirstError,
    InferredNormalization,
    check_channel_order,
    evidence_of_arithmetic,
    evidence_of_weights,
)
from poets_edge.tflite.input_range import InputRange

_PASSING = frozenset(
    (
        *("Identity", "Cast", "Pad", "PadV2", "MirrorPad", "Reshape", "Transpose", "ExpandDims", "Squeeze"),
        *("ResizeBilinear", "ResizeNearestNeighbor", "ReverseV2", "Slice", "StridedSlice", "CheckNumerics"),
    )
)
"""Operations whose output has the same range of values as their input."""
_REVERSING, _JOINING = frozenset(("ReverseV2", "Slice", "StridedSlice")), frozenset(("Pack", "ConcatV2"))
"""Operations that may reverse the order of the channels, and operations that join channels."""
_SAME_VALUES = frozenset(("Identity", "Reshape", "Squeeze"))
"""Operations whose output has the values of their first input, in a different shape."""
_ADDITIONS, _PRODUCTS = frozenset(("Add", "AddV2", "BiasAdd", "Sub")), frozenset(("Mul", "RealDiv"))


def graph_input_range(trained: Trained, given: str | None = None) -> InputRange:
    """Determine the normalization of a frozen graph's input, and the evidence for it.

    Args:
        given: the range that the user specified, as text for `parse_input_range`, such as "-1:1"; None if no range was
            specified.

    Raises:
        ModelError: no range is given, and the graph contains no evidence for one.
        UsageError: the given range contradicts a graph that `train` wrote, or is malformed.
    """
    frozen = trained.frozen
    wanted = None if given is None else parse_input_range(given)
    if frozen.labels or frozen.photo_sets or trained.record is not None:
        own = InputRange(BACKBONE, "trained by poets_edge")
        if wanted is not None and not BACKBONE.is_close(wanted):
            raise UsageError(f"`input_range` {wanted.short}: {frozen.path} takes {own}. Leave it out.")
        return own
    if wanted is not None:
        return InputRange(wanted, "as given")
    try:
        evidence = input_evidence(frozen.graph, frozen.input_name)
    except BlueFirstError as error:
        raise ModelError(f"{frozen.path}: {error}") from None
    if evidence:
        return InputRange(evidence.normalization, evidence.reason, inferred=True)
    if frozen.input_name in CODELAB_INPUTS and frozen.output_name == CODELAB_OUTPUT:
        return InputRange(BACKBONE, "its input and output have the names of the codelab")
    raise ModelError(
        f"{frozen.path}: it does not specify its input range. Specify it: `input_range`=-1:1, 0:1 or 0:255."
    )


def input_evidence(graph: Any, name: str) -> InferredNormalization | None:
    """Infer the range of a GraphDef's input from the nodes that follow it; return None if they do not determine it.

    Args:
        name: name of the input node.

    Raises:
        BlueFirstError: the nodes subtract the channel means of photos whose first channel is blue.
    """
    return _Evidence(graph).range_of(name)


class _Evidence:
    def __init__(self, graph: Any) -> None:
        self._nodes = {node.name: node for node in graph.node}
        self._readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for source in node.input:
                if not source.startswith("^"):  # a control dependency reads no values
                    self._readers.setdefault(_name(source), []).append(node)

    def range_of(self, name: str) -> InferredNormalization | None:
        """Infer the range of an input from the nodes that follow it; return None if these nodes do not determine it."""
        scale: npt.NDArray[np.float64] = np.ones(1)
        offset: npt.NDArray[np.float64] = np.zeros(1)
        reordered = False
        while (node := self._only_reader(name) or self._concatenated(name)) is not None:
            if node.op in _ADDITIONS | _PRODUCTS:
                values = self._other(node, name)
                if values is None or values.size not in (1, 3):
                    break
                if node.op in _PRODUCTS:
                    values = 1 / values if node.op == "RealDiv" else values
                    scale, offset = scale * values, offset * values
                else:
                    offset = offset - values if node.op == "Sub" else offset + values
            elif node.op not in _PASSING | _JOINING:
                break
            reordered = reordered or node.op in _REVERSING | _JOINING
            name = node.name
        if not reordered:
            check_channel_order(scale, offset)
        if (found := evidence_of_arithmetic(scale, offset)) is not None:
            return found
        if node is None or node.op != "Conv2D" or not (scale == 1).all() or offset.any():
            return None
        weights = self._constant(node.input[1])
        following = self._only_reader(node.name)
        bias = self._other(following, node.name) if following is not None and following.op == "BiasAdd" else None
        if weights is None or bias is None:
            return None
        return evidence_of_weights(np.moveaxis(weights, -1, 0), bias.ravel())

    def _only_reader(self, name: str) -> Any:
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 else None

    def _concatenated(self, name: str) -> Any:
        """Return the node that concatenates slices of a node's channels, often in reverse order; None if there is none.

        Every consumer of the given node must be a slice or a reversal, and the result of each must be used only by the
        concatenation.
        """
        readers = self._readers.get(name, [])
        if not readers or any(node.op not in _REVERSING for node in readers):
            return None
        following = [self._only_reader(node.name) for node in readers]
        first = following[0]
        return first if first and first.op in _JOINING and all(node is first for node in following) else None

    def _other(self, node: Any, name: str) -> npt.NDArray[np.float64] | None:
        """Return the constant operand of an arithmetic node whose other operand is the output of the node `name`.

        None is returned if the operand is not constant, or if it is the first operand of a subtraction or division.
        """
        first, second = map(_name, node.input[:2])
        if first != name and node.op in ("Sub", "RealDiv"):
            return None
        return self._constant(second if first == name else first)

    def _constant(self, name: str) -> npt.NDArray[np.float64] | None:
        node = self._nodes.get(_name(name))
        for _ in range(len(self._nodes)):
            if node is None or node.op not in _SAME_VALUES:
                break
            node = self._nodes.get(_name(node.input[0]))
        if node is None or node.op != "Const":
            return None
        try:
            return constant_of(node).astype(np.float64)
        except ModelError:  # a type that is not needed here
            return None


def _name(source: str) -> str:
    """Return the name of the node that a string in a node's list of inputs refers to: `a` for `a`, `^a` and `a:0`."""
    return source.removeprefix("^").partition(":")[0]
