"""A `.tflite` that computes the mean of each color, for tests of programs that read models and their metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poets_edge.photos.normalization import Normalization
from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_model,
    new_operator,
    pack_model,
    quant_params,
    schema,
)
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata

COLORS = ("red", "green", "blue")
SIDE = 8
"""Height and width of the input in pixels."""


def color_model(
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
    *,
    normalization: Normalization | None = None,
    facts: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the bytes of a model with the labels `COLORS`, whose outputs are the means of the input's channels.

    Args:
        dtype: type of the input and output: "float32", "uint8" or "int8".
        scale, zero_point: quantization of the input and output; a scale of 0 means none.
        normalization: normalization in the metadata; None for a model without metadata and labels.
        facts: content of `poets_edge.json`; None for a model from another program.
    """
    model = new_model("colors")
    graph, parts = model.subgraphs[0], schema()
    kind = {"float32": parts.TensorType.FLOAT32, "uint8": parts.TensorType.UINT8, "int8": parts.TensorType.INT8}[dtype]
    quantization = quant_params(scale, zero_point) if scale else None
    picture = add_tensor(graph, b"picture", (1, SIDE, SIDE, 3), kind, quantization)
    means = add_tensor(graph, b"means", (1, 3), kind, quantization)
    graph.operators.append(mean_operator(model, picture, [1, 2], means))
    graph.inputs, graph.outputs = [picture], [means]
    if normalization is None:
        return pack_model(model)
    info = ModelInfo("colors", "for tests", COLORS)
    return with_files(with_metadata(pack_model(model), info, normalization), info, facts)


def mean_operator(model: Any, source: int, axes: Sequence[int], target: int) -> Any:
    """Return an operator that computes the means of a tensor over some axes."""
    parts = schema()
    axis = add_constant(model, b"axes", np.array(axes, np.int32))
    operator = new_operator(model, parts.BuiltinOperator.MEAN, 2, [source, axis], [target])
    operator.builtinOptionsType, operator.builtinOptions = parts.BuiltinOptions.ReducerOptions, parts.ReducerOptionsT()
    return operator
