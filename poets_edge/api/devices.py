"""Entry point for measurements on devices: `benchmark`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from poets_edge.bench.benchmark import BenchmarkOptions, BenchmarkResult
from poets_edge.bench.benchmark import benchmark as benchmark_here
from poets_edge.bench.remote.benchmark import benchmark_on
from poets_edge.core.arguments import StrPath, given
from poets_edge.progress import Reporter


def benchmark(
    models: StrPath | Sequence[StrPath] | BenchmarkOptions,
    *,
    on: str | None = None,
    threads: int | Sequence[int] | None = None,
    image_dir: StrPath | None = None,
    labels: StrPath | None = None,
    remote_dir: str = "",
    reporter: Reporter | None = None,
) -> BenchmarkResult:
    """Measure the latency, and optionally the accuracy, of models on this machine or on another device.

    Args:
        models: one or more `.tflite` files; or a `BenchmarkOptions`, whose fields the other arguments override.
        on: SSH destination of a device, for example "pi@raspberrypi.local"; by default this machine.
        threads: numbers of CPU threads with which to measure; by default 1, 2 and 4, up to the number of cores.
        image_dir: folder of labeled photos on which the accuracy is measured; by default it is not measured.
        labels: labels file for models without labels.
        remote_dir: folder on the device in which the program's folder is created; by default the remote user's cache
            folder.
        reporter: receives progress and warnings.

    Returns:
        The result, in which `result.latency.median` is the median latency of the first model, in milliseconds.

    Raises:
        ModelError: a file is not an image classification model.
        DatasetError: no photo can be read, or a class is not among the labels of a model.
        RemoteError: the device cannot be reached or set up, or the connection is lost.
        UsageError: an argument is out of range.
        RuntimeMissingError: no interpreter is installed.
    """
    changes: dict[str, Any] = given(threads=threads, image_dir=image_dir, labels=labels)
    if isinstance(models, BenchmarkOptions):
        options = replace(models, **changes)
    else:
        options = BenchmarkOptions(**{"models": models, **changes})
    if on is None:
        return benchmark_here(options, reporter)
    measured, failures = benchmark_on(options, [on], folder=remote_dir, reporter=reporter)
    if failures:
        raise failures[0]
    return measured[0]
