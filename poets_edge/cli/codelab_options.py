"""The options that `label_image.py` needed to know a model by, which a model of today states itself.

The options are accepted where they agree with the model, and refused, with both values, where they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from poets_edge.cli.options import option
from poets_edge.device.classifier import Classifier, Scorer
from poets_edge.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_WORDS = ("input_size", "input_height", "input_width", "input_mean", "input_std", "input_layer", "output_layer")
_NEAR = 0.5
"""The codelab wrote 128 where training used 127.5."""


def codelab_options(function: _Function) -> _Function:
    """The options, collected by click under their own names."""
    for word in reversed(_WORDS):
        kind = str if word.endswith("layer") else float if word in ("input_mean", "input_std") else int
        function = option(
            f"--{word}", type=kind, help="As the codelab's; must agree with the model.", hidden=word != "input_size"
        )(function)
    return function


def check_codelab_options(scorer: Scorer, wanted: dict[str, Any]) -> None:
    """Compare what was typed with what the model says. Raises UsageError: they differ."""
    height, width = scorer.size
    known: dict[str, Any] = {"input_size": height, "input_height": height, "input_width": width}
    known |= _ends(scorer)
    for word, value in wanted.items():
        if value is None or word not in known:
            continue
        actual = known[word]
        agrees = value == actual if isinstance(value, str) else abs(value - actual) <= _NEAR
        if not agrees:
            raise UsageError(f"--{word} {value:{'' if isinstance(value, str) else 'g'}}: the model's is {actual}.")


def _ends(scorer: Scorer) -> dict[str, Any]:
    if isinstance(scorer, Classifier):
        facts = scorer.metadata
        pixels = {"input_mean": facts.mean[0], "input_std": facts.std[0]} if facts.mean and facts.std else {}
        return {**pixels, "input_layer": scorer.input.name, "output_layer": scorer.output.name}
    ends = {"input_mean": 127.5, "input_std": 127.5}
    return {**ends, **{f"{end}_layer": name for end, name in getattr(scorer, "ends", {}).items()}}
