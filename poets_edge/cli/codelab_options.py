"""Options of `label_image.py` that describe the model.

Models contain this description. Options that agree with it are accepted; other values are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from poets_edge.cli.command import CODELAB, option
from poets_edge.cli.options import NUMBER
from poets_edge.device.classifier import Classifier, Scorer
from poets_edge.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_WORDS = ("input_size", "input_height", "input_width", "input_mean", "input_std", "input_layer", "output_layer")
_TOLERANCE = 0.5
"""Accepted difference of mean and standard deviation: the codelab passed 128; training used 127.5."""


def codelab_options(function: _Function) -> _Function:
    """Declare the options, each under its own name."""
    for word in reversed(_WORDS):
        kind = str if word.endswith("layer") else NUMBER if word in ("input_mean", "input_std") else int
        flag, meaning = word.replace("_", "-"), word.replace("_", " ")
        function = option(f"--{flag}", type=kind, section=CODELAB, help=f"The model's {meaning}.")(function)
    return function


def check_codelab_options(scorer: Scorer, given: dict[str, Any]) -> None:
    """Compare the given options with the model. Raises UsageError: they differ."""
    height, width = scorer.size
    known: dict[str, Any] = {"input_size": height, "input_height": height, "input_width": width}
    known |= {f"{end}_layer": name for end, name in scorer.nodes.items()}
    known |= _normalization(scorer)
    for word, value in given.items():
        if value is None or word not in known:
            continue
        actual = known[word]
        agrees = value == actual if isinstance(value, str) else abs(value - actual) <= _TOLERANCE
        if not agrees:
            flag = word.replace("_", "-")
            raise UsageError(f"--{flag} {value:{'' if isinstance(value, str) else 'g'}}: the model's is {actual}.")


def _normalization(scorer: Scorer) -> dict[str, Any]:
    if not isinstance(scorer, Classifier):
        return {"input_mean": 127.5, "input_std": 127.5}
    metadata = scorer.metadata
    return {"input_mean": metadata.mean[0], "input_std": metadata.std[0]} if metadata.mean and metadata.std else {}
