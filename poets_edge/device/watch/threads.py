"""Choose the number of threads for one inference, by measurement.

More threads are not always faster: with hyperthreads, with cores that another program uses, or with small models, an
inference can become slower. The effect depends on the machine that runs the model, so it is measured on that machine.
"""

from __future__ import annotations

import time

import numpy as np

from poets_edge.core.parallel import cores
from poets_edge.device.classifier import Classifier
from poets_edge.tflite.read_model import ModelSource, read_model

_WARM_UP, _RUNS = 2, 8
_WORTH_IT = 0.95
"""The number of threads is doubled only if the inference time is then at most this fraction of the previous one. If the
gain is smaller, the additional cores are left for decoding."""


def fastest_threads(model: ModelSource) -> int:
    """Return the fastest number of threads among 1, 2, 4, ..., up to the number of cores.

    The numbers are tried in ascending order, with 10 inferences each, until doubling the number of threads saves less
    than 5 % of the time.

    Raises:
        ModelError, RuntimeMissingError: as raised by `Classifier`.
    """
    file = read_model(model)
    fastest, best = 1, _shortest_seconds(Classifier(file, threads=1, unlabeled=True))
    threads = 2
    while threads <= cores():
        seconds = _shortest_seconds(Classifier(file, threads=threads, unlabeled=True))
        if seconds > _WORTH_IT * best:
            break
        fastest, best = threads, seconds
        threads *= 2
    return fastest


def _shortest_seconds(classifier: Classifier) -> float:
    # The minimum, not the median: other programs make single runs longer.
    values = classifier.input_values(np.zeros((*classifier.size, 3), np.uint8))
    times = []
    for _ in range(_WARM_UP + _RUNS):
        start = time.perf_counter()
        classifier.predict_values(values)
        times.append(time.perf_counter() - start)
    return min(times[_WARM_UP:])
