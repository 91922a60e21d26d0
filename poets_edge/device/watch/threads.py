"""How many threads one inference should have on this machine: as many as are fastest when tried.

More is not always faster: the second of two hyperthreads, a core that something else keeps busy and a small model
can each make it slower, and no table knows the machine this runs on.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from poets_edge.core.parallel import cores
from poets_edge.device.classifier import Classifier

_WARM_UP, _RUNS = 2, 8
_WORTH_IT = 0.95
"""More threads must take at most this share of the time, or the cores are better left to decoding."""


def fastest_threads(model: Path, labels: Path | None = None) -> int:
    """Try a model with 1, 2, 4, ... threads, up to one a core, as long as each is faster than the one before.

    Takes some thirty inferences. Raises what `Classifier` raises.
    """
    chosen, best = 1, _shortest_seconds(Classifier(model, labels=labels, threads=1))
    threads = 2
    while threads <= cores():
        seconds = _shortest_seconds(Classifier(model, labels=labels, threads=threads))
        if seconds > _WORTH_IT * best:
            break
        chosen, best = threads, seconds
        threads *= 2
    return chosen


def _shortest_seconds(classifier: Classifier) -> float:
    # The shortest, not the middle one: what makes a run longer is other programs' doing.
    values = classifier.input_values(np.zeros((*classifier.size, 3), np.uint8))
    times = []
    for _ in range(_WARM_UP + _RUNS):
        start = time.perf_counter()
        classifier.score_values(values)
        times.append(time.perf_counter() - start)
    return min(times[_WARM_UP:])
