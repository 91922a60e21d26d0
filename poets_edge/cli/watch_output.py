"""Console output of `poets-edge watch`: a line for each prediction, and a summary."""

from __future__ import annotations

import json
import time

import numpy as np

from poets_edge.cli.lines import Lines
from poets_edge.device.watch.prediction import Prediction, WatchSummary


class Printer:
    """Printer of predictions: one line whenever the label changes or, if `every_frame` is set, for each frame."""

    def __init__(self, lines: Lines, *, every_frame: bool, as_json: bool) -> None:
        self._lines = lines
        self._every_frame = every_frame
        self._write = _json_line if as_json else _text_line

    def show(self, prediction: Prediction) -> None:
        line = self._write(prediction) if prediction.changed or self._every_frame else ""
        if line:
            self._lines.put(line)
        else:
            self._lines.flush()

    def idle(self) -> None:
        self._lines.flush()


def _text_line(prediction: Prediction) -> str:
    if prediction.problem:  # reported on stderr
        return ""
    rate = f"{prediction.rate:.1f} photos/s, " if prediction.rate else ""
    facts = f"{prediction.label} (score = {prediction.score:.5f})  {rate}{1e3 * prediction.latency:.1f} ms"
    return f"{time.strftime('%H:%M:%S')}  {prediction.name + '  ' if prediction.name else ''}{facts}"


def _json_line(prediction: Prediction) -> str:
    return json.dumps(
        {
            "time": round(time.time(), 3),
            "frame": prediction.frame,
            "name": prediction.name or None,
            "label": prediction.label or None,
            "score": round(prediction.score, 6) if prediction.label else None,
            "unknown": prediction.unknown,
            "distance": None if prediction.distance is None else round(prediction.distance, 4),
            "problem": prediction.problem or None,
            "latency_ms": round(1e3 * prediction.latency, 3),
            "photos_per_second": round(prediction.rate, 2) or None,
        },
        ensure_ascii=False,
    )


def summary_text(summary: WatchSummary) -> str:
    """Return a line with the numbers of labeled, dropped and bad frames, the frames per second, and the latency."""
    counts = f"{summary.labeled} frames labeled"
    counts += f", {summary.dropped} dropped" if summary.dropped else ""
    counts += f", {summary.bad} bad" if summary.bad else ""
    if not summary.latencies:
        return counts
    median, slow = 1e3 * np.percentile(summary.latencies, [50, 95])
    last = f" of the last {len(summary.latencies)}" if len(summary.latencies) < summary.labeled else ""
    return f"{counts}; {summary.rate:.1f} photos/s; latency{last} {median:.1f} ms (median), {slow:.1f} ms (95 %)"
