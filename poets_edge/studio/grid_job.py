"""Job that compares the accuracy and latency of several networks on the photos of a project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poets_edge.api.data import grid
from poets_edge.studio import messages
from poets_edge.studio.choices import compared_networks, weights_folder
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.results import GridResult


def run_grid(request: JobRequest, send: Callable[[object], None]) -> dict[str, Any]:
    """Train and measure several networks; return accuracies, latencies and the recommendation as in `grid_json`.

    Args:
        request: the job to run.
        send: function that sends a `JobProgress` to the server.
    """
    places = Places(request.root)
    reporter = JobReporter(send)
    networks, weights, left_out = compared_networks(request.architecture)
    if left_out:
        names = ", ".join(network.name for network in left_out)
        reporter.warn(messages.NOT_COMPARED.format(names=names))
    options = GridOptions(
        image_dir=request.root,
        architectures=networks,
        weights=weights,
        output_dir=places.models / "grid",
        bottleneck_dir=places.models / "bottlenecks",
        model_dir=weights_folder(),
        on=request.on,
        exclude=places.excluded if places.excluded.exists() else None,
    )
    result = grid(options, max_latency=request.max_latency_ms, min_accuracy=request.min_accuracy, reporter=reporter)
    return grid_json(result, reporter.warnings)


def grid_json(result: GridResult, warnings: list[str]) -> dict[str, Any]:
    """Return the result of a comparison of networks as a JSON-compatible dictionary.

    It contains the accuracy, latency and size of each network in each quantization, and marks the recommended one.

    Args:
        result: result of the comparison.
        warnings: warnings to include in addition to those in `result`.
    """
    return {
        "points": [
            {
                "architecture": point.architecture.name,
                "form": point.quantization,
                "accuracy": point.accuracy,
                "interval": list(point.interval),
                "latency_ms": point.latency.median,
                "bytes": point.size,
                "ship": point == result.best,
            }
            for point in result.points
        ],
        "reason": result.choice.reason,
        "photos": result.photos_text,
        "warnings": [*result.warnings, *warnings],
    }
