"""Remarks on a finished training run: a better step on the way, thin classes, exports that are now stale."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from poets_edge.edge.metadata import read_metadata
from poets_edge.errors import ModelError
from poets_edge.photos.split import SetName
from poets_edge.training.head import Step

_CLEARLY_WORSE = 1.05
"""Validation cross entropy at the end over that at the best step."""
_THIN = 4
"""The largest class has so many times the photos of a class that is called thin."""
_BARS = "▁▂▃▄▅▆▇█"
_CURVE_LENGTH = 40


def better_step(steps: Sequence[Step], *, early_stop: bool) -> str | None:
    """A line about the step with the lowest validation cross entropy, if the last one is clearly worse."""
    judged = [(step.validation_cross_entropy, step.step) for step in steps if step.validation_cross_entropy is not None]
    if not judged:
        return None
    lowest, best = min(judged)
    last = judged[-1][0]
    if last <= _CLEARLY_WORSE * lowest:
        return None
    kept = "that head was kept" if early_stop else "the last head was kept; `early_stop` keeps that one"
    return f"validation cross entropy was lowest at step {best} ({lowest:.4f}; at the end {last:.4f}): {kept}."


def thin_classes(table: Mapping[str, Mapping[SetName, int]]) -> str | None:
    """A line about classes with few photos beside the largest, if there are any."""
    counts = {label: sum(sets.values()) for label, sets in table.items()}
    largest = max(counts, key=lambda label: counts[label])
    thin = [f"{label} {count}" for label, count in counts.items() if count * _THIN <= counts[largest]]
    if not thin:
        return None
    return f"few photos beside {largest} ({counts[largest]}): {', '.join(thin)}. More of them help most."


def stale_exports(graph: Path, graph_sha256: str) -> list[Path]:
    """The `.tflite` files that `export` would write beside a graph, but that come from another graph."""
    found = []
    for path in sorted(graph.parent.glob(f"{graph.stem}*.tflite")):
        try:
            training = read_metadata(path).facts.get("training") or {}
        except ModelError:
            continue
        if training.get("graph_sha256") not in (None, graph_sha256):
            found.append(path)
    return found


def curve(values: Sequence[float]) -> str:
    """Values between 0 and 1 as a row of at most 40 bars; each stands for the mean of its share of them."""
    length = min(len(values), _CURVE_LENGTH)
    edges = [round(index * len(values) / length) for index in range(length + 1)] if length else []
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    return "".join(_BARS[min(int(mean * len(_BARS)), len(_BARS) - 1)] for mean in means)
