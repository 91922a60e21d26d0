"""Options of `label_image.py`, a script in the codelab "TensorFlow for Poets", that describe the model.

Models contain this information, so the options are only compared with it: a value that differs from the model's is an
error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from poets_edge.cli.command import CODELAB, option
from poets_edge.cli.options import NUMBERS
from poets_edge.device.scorer import Scorer
from poets_edge.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_WORDS = ("input_size", "input_height", "input_width", "input_mean", "input_std", "input_layer", "output_layer")
_TOLERANCE = 0.5
"""Maximum difference between the mean or standard deviation in an option and the value in the model. The
codelab's scripts used 128 for models that were trained with 127.5."""


def codelab_options(function: _Function) -> _Function:
    """Decorator that adds the model options of the codelab script `label_image.py` to a click command.

    The script is from the codelab "TensorFlow for Poets".
    """
    for word in reversed(_WORDS):
        kind = str if word.endswith("layer") else NUMBERS if word in ("input_mean", "input_std") else int
        flag, meaning = word.replace("_", "-"), word.replace("_", " ")
        function = option(f"--{flag}", type=kind, section=CODELAB, help=f"The model's {meaning}.")(function)
    return function


def check_codelab_options(scorer: Scorer, given: dict[str, Any]) -> None:
    """Raise UsageError if a value in `given`, keyed by parameter name, differs from the model's; None is ignored."""
    height, width = scorer.size
    known: dict[str, Any] = {"input_size": height, "input_height": height, "input_width": width}
    known |= {f"{end}_layer": name for end, name in scorer.nodes.items()}
    normalization = scorer.input_range.normalization
    known |= {"input_mean": normalization.mean, "input_std": normalization.std}
    for word, value in given.items():
        if value is None or word not in known:
            continue
        if not _agrees(value, known[word]):
            raise UsageError(f"--{word.replace('_', '-')} {_text(value)}: the model's is {_text(known[word])}.")


def _agrees(value: Any, actual: Any) -> bool:
    if isinstance(value, tuple):
        lengths = len(value), len(actual)
        pairs = zip(value * (3 // lengths[0] or 1), actual * (3 // lengths[1]), strict=False)
        return lengths[0] in (1, 3) and all(abs(one - other) <= _TOLERANCE for one, other in pairs)
    return bool(value == actual)


def _text(value: Any) -> str:
    return ", ".join(f"{one:g}" for one in value) if isinstance(value, tuple) else str(value)
