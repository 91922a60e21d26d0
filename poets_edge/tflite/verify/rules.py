"""Rules for the content of a `.tflite`: version, metadata, signatures, allowed operators, and exactly one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poets_edge.tflite.verify.catalog import REMEDIES, RULES
from poets_edge.tflite.verify.graph_rules import InferenceCost, check_graph
from poets_edge.tflite.verify.operators import operator_name, operator_number
from poets_edge.tflite.verify.tables import FlawError, OtherNetworkError, UnsupportedError

_OTHER_NETWORKS = {
    "edgetpu-custom-op": "compiled for a Coral Edge TPU, which is not used here. Use the .tflite it was compiled from.",
    "TFLite_Detection_PostProcess": "an object detector. Only image classifiers are run here.",
}
"""Descriptions of networks other than classifiers, by the custom operator that identifies them."""


def check_model(model: Mapping[str, Any]) -> InferenceCost:
    """Check a parsed model, and return the cost of an inference. Raises FlawError if the model violates a rule."""
    if model["version"] != 3:
        raise FlawError(f"version {model['version']} of the format, not 3")
    if len(model["subgraphs"]) != 1:
        raise UnsupportedError(f"{len(model['subgraphs'])} graphs in it, not one. {_remedy_for_graphs(model)}")
    for buffer in model["buffers"]:
        if buffer["offset"] or buffer["size"]:
            raise FlawError("a buffer beyond the end")
    for entry in model["metadata"]:
        if not entry["name"] or entry["buffer"] >= len(model["buffers"]):
            raise FlawError("metadata with an invalid reference")
    if any(not 0 <= index < len(model["buffers"]) for index in model["metadata_buffer"]):
        raise FlawError("metadata with an invalid reference")
    _check_signatures(model)
    _check_operators(model)
    return check_graph(model)


def _remedy_for_graphs(model: Mapping[str, Any]) -> str:
    """Return advice for a model with several graphs: select a signature, or convert it without control flow."""
    graphs = {signature["subgraph_index"]: signature["signature_key"] for signature in model["signature_defs"]}
    if len(graphs) < 2:
        return REMEDIES["IF"]
    keys = ", ".join(str(key)[:40] for key in list(graphs.values())[:5])
    return f"It has several signatures ({keys}). Convert it with the one that classifies: signature_keys=[...]"


def _check_signatures(model: Mapping[str, Any]) -> None:
    tensors = len(model["subgraphs"][0]["tensors"])
    for signature in model["signature_defs"]:
        tensor_maps = [*signature["inputs"], *signature["outputs"]]
        if signature["subgraph_index"] or not signature["signature_key"]:
            raise FlawError("a signature of a missing graph")
        if any(entry["tensor_index"] >= tensors or not entry["name"] for entry in tensor_maps):
            raise FlawError("a signature with an invalid reference")


def _check_operators(model: Mapping[str, Any]) -> None:
    """Raise OtherNetworkError if an operator is not allowed; the message names the kind of network if it is known."""
    unknown = [operator_name(code) for code in model["operator_codes"] if not _is_known(code)]
    if not unknown:
        return
    if other := next((_OTHER_NETWORKS[name] for name in unknown if name in _OTHER_NETWORKS), None):
        raise OtherNetworkError(other)
    custom = any(code["custom_code"] for code in model["operator_codes"])
    remedy = REMEDIES.get(unknown[0]) or (
        "Convert it with builtin operators only (without SELECT_TF_OPS)."
        if custom
        else "Convert it with other layers, or with TensorFlow's converter and a fixed batch of 1."
    )
    raise UnsupportedError(f"the operator {unknown[0][:60]}. {remedy}")


def output_shapes(model: Mapping[str, Any]) -> list[Sequence[int]]:
    """Return the shapes of a model's outputs, omitting outputs that refer to missing tensors."""
    graph = model["subgraphs"][0] if model["subgraphs"] else {"outputs": ()}
    return [graph["tensors"][index]["shape"] for index in graph["outputs"] if 0 <= index < len(graph["tensors"])]


def _is_known(code: Mapping[str, Any]) -> bool:
    return operator_number(code) in RULES and not code["custom_code"]
