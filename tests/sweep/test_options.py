"""Tests of `GridOptions`: conversion of arguments, validation, and derived options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import UsageError, WrongTypeError
from poets_edge.nets.architectures import architecture
from poets_edge.sweep.options import GridOptions
from poets_edge.training.fine_tuning.options import FineTuning


def options(**fields: Any) -> GridOptions:
    """Return options with the given fields, whose types may differ from the annotated ones."""
    return GridOptions(**{"image_dir": "photos", **fields})


@pytest.mark.parametrize("names", ["mobilenet_0.25_128", ["mobilenet_0.25_128"], (architecture("mobilenet_0.25_128"),)])
def test_grid_options_accepts_names_of_architectures(names: Any) -> None:
    assert options(architectures=names).architectures == (architecture("mobilenet_0.25_128"),)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"architectures": ()}, UsageError, "`architectures` must name at least one"),
        ({"architectures": "mobilenet_0.3_128"}, UsageError, "mobilenet_0.3_128"),
        ({"architectures": 3}, WrongTypeError, "`architectures`"),
        ({"folds": 1}, UsageError, "`folds`"),
        ({"threads": 0}, UsageError, "`threads`"),
        ({"on": "pi@host", "latency": "times.json"}, UsageError, "`on`, `latency` and `target`"),
        ({"output_dir": "photos/grid"}, UsageError, "inside the photo folder"),
        ({"cluster": "local:none"}, UsageError, "`cluster`"),
    ],
)
def test_grid_options_rejects_invalid_values(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        options(**fields)


def test_grid_options_uses_test_set_with_fine_tuning() -> None:
    assert options().uses_folds
    assert not options(folds=0).uses_folds
    assert not options(fine_tuning=FineTuning(blocks=1)).uses_folds


def test_train_options_has_separate_outputs_for_each_architecture() -> None:
    wanted = options(architectures=("mobilenet_0.25_128", "mobilenet_0.50_128"), output_dir=Path("out"))
    first, second = (wanted.train_options(architecture) for architecture in wanted.architectures)
    assert first.output_graph == Path("out/mobilenet_0.25_128/retrained_graph.pb")
    differing = replace(
        first,
        architecture=second.architecture,
        output_graph=second.output_graph,
        output_labels=second.output_labels,
        summaries_dir=second.summaries_dir,
    )
    assert differing == second and first.output_labels != second.output_labels
