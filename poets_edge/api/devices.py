"""Entry point for measurements on devices: `benchmark`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from poets_edge.api.given import given
from poets_edge.bench.benchmark import BenchmarkOptions, BenchmarkResult
from poets_edge.bench.benchmark import benchmark as benchmark_here
from poets_edge.bench.remote.benchmark import benchmark_on
from poets_edge.core.arguments import StrPath
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
    """Measure the latency, and optionally the accuracy, of models on this machine or on another.

    Args:
        models: a `.tflite` file or several; or a `BenchmarkOptions`, whose fields the other arguments replace.
        on: a device that ssh can log in to, for example "pi@raspberrypi.local"; by default this machine.
        threads: CPU threads of one inference, one number or several; by default 1, 2 and 4, as far as there are cores.
        image_dir: folder of labelled photos that the models are evaluated on.
        labels: labels file, for models without labels.
        remote_dir: folder for the program on the device; by default in the user's cache folder there.
        reporter: receives progress and warnings.

    Returns:
        The measurements: `result.latency.median` is that of the first model, in milliseconds.

    Raises:
        ModelError: a file is not a model of images.
        DatasetError: no photo can be read, or a class is not among a model's labels.
        RemoteError: the device cannot be reached or set up, or the connection is lost.
        UsageError, RuntimeMissingError: an argument is out of range, or no interpreter is installed.
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
