"""Verify a model by rules, and by an inference in a separate process."""

from __future__ import annotations

import contextlib
from pathlib import Path

from poets_edge.errors import ModelError
from poets_edge.tflite.verify.answers import other_answer
from poets_edge.tflite.verify.graph_rules import InferenceCost
from poets_edge.tflite.verify.rules import check_model, output_shapes
from poets_edge.tflite.verify.schema import METADATA, MODEL
from poets_edge.tflite.verify.tables import FlawError, OtherNetworkError, UnsupportedError, parse
from poets_edge.tflite.verify.trial import run_trial

METADATA_NAME = "TFLITE_METADATA"


def verify(path: Path, content: bytes) -> None:
    """Check a model and run it once in a separate process.

    Args:
        path: the model's path, for messages.

    Raises:
        ModelError: the model is damaged, not an image classifier, or makes the interpreter crash.
    """
    try:
        cost = check(content)
        run_trial(content, cost)
    except FlawError as flaw:
        raise ModelError(f"{path}: {_sentence(content, flaw)}") from None


def _sentence(content: bytes, flaw: FlawError) -> str:
    """Return a sentence that says why a model is refused, and what to do about it."""
    if isinstance(flaw, OtherNetworkError) and not isinstance(flaw, UnsupportedError):
        return str(flaw)
    with contextlib.suppress(FlawError):
        # Its outputs explain a network more simply than one of its operators does.
        if other := other_answer(output_shapes(parse(content, MODEL, "Model", b"TFL3"))):
            return other
    if isinstance(flaw, UnsupportedError):
        return f"not supported here: {flaw}"
    return f"damaged, or not an image classifier ({flaw}). Export it again, or copy it again."


def check(content: bytes) -> InferenceCost:
    """Check a model without running it, and return the cost of an inference. Raises FlawError if a rule is violated."""
    model = parse(content, MODEL, "Model", b"TFL3")
    cost = check_model(model)
    for entry in model["metadata"]:
        if entry["name"] == METADATA_NAME:
            parse(
                memoryview(model["buffers"][entry["buffer"]]["data"]), METADATA, "ModelMetadata", b"M001", lenient=True
            )
    return cost
