"""A model under load, window by window, in a process of its own: `python -m poets_edge.bench.load`.

Questions and answers as in `poets_edge.bench.processes`: the first names the model, each that follows asks for
the next window of time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from poets_edge.bench.machine import machine_state
from poets_edge.bench.processes import Answer, answer_all
from poets_edge.bench.worker import sample_photo
from poets_edge.device.classifier import Classifier
from poets_edge.photos.image import fit, read_photo
from poets_edge.tflite.interpreter import find_runtime, is_accelerated

_MOST_SAMPLES = 1000
"""Raw times of a window that are kept; of more, so many evenly spread ones."""


class Load:
    """Runs one model, at full load or so many times a second."""

    def __init__(self) -> None:
        self._invoke: Callable[[], object] = lambda: None
        self._interval = 0.0
        self._due = 0.0

    def answer(self, question: Answer) -> Answer:
        """Load the model of `question`, or run it for `question["seconds"]`.

        Raises:
            ModelError, RuntimeMissingError: the model cannot be run.
        """
        return self._open(question) if "model" in question else self._run(question["seconds"])

    def _open(self, question: Answer) -> Answer:
        find_runtime()
        classifier = Classifier(question["model"], threads=question["threads"], unlabelled=True)
        classifier.score_pixels(fit(read_photo(sample_photo()), classifier.size))
        interpreter = classifier.session.interpreter
        self._invoke = interpreter.invoke
        self._interval = 1 / question["rate"] if question["rate"] else 0.0
        self._due = time.perf_counter()
        gc.collect()
        gc.disable()
        return {"accelerated": is_accelerated(interpreter), "state": machine_state().to_json()}

    def _run(self, seconds: float) -> Answer:
        clock = time.perf_counter
        samples: list[float] = []
        begin = after = clock()
        late = 0
        while after - begin < seconds:
            if self._interval:
                ahead = self._due - clock()
                if ahead > 0:
                    time.sleep(ahead)
                elif ahead < -self._interval:
                    late += int(-ahead / self._interval)
                    self._due = clock()  # frames that nobody can process any more are left out, as a camera's are
                self._due += self._interval
            before = clock()
            self._invoke()
            after = clock()
            samples.append((after - before) * 1e3)
        step = -(-len(samples) // _MOST_SAMPLES)
        return {
            "seconds": after - begin,
            "runs": len(samples),
            "late": late,
            **_summary(samples),
            "samples_ms": [round(sample, 4) for sample in samples[::step]],
            "state": machine_state().to_json(),
        }


def _summary(samples: list[float]) -> dict[str, Any]:
    ordered = sorted(samples)
    return {"median_ms": ordered[len(ordered) // 2], "p90_ms": ordered[int(0.9 * (len(ordered) - 1))]}


if __name__ == "__main__":
    answer_all(Load().answer)
