"""Tests of `GridOptions`: conversion of arguments, validation, and derived options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import UsageError, WrongTypeError
from poets_edge.exporting.microcontroller.boards import board
from poets_edge.nets.architectures import architecture
from poets_edge.photos.split import SplitConfig
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.options import GridOptions
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions


def options(**fields: Any) -> GridOptions:
    """Return options with the given fields, whose types may differ from the annotated ones."""
    return GridOptions(**{"image_dir": "photos", **fields})


@pytest.mark.parametrize("names", ["mobilenet_0.25_128", ["mobilenet_0.25_128"], (architecture("mobilenet_0.25_128"),)])
def test_grid_options_accept_names_of_architectures(names: Any) -> None:
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
def test_grid_options_reject_invalid_values(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        options(**fields)


def test_grid_with_fine_tuning_uses_the_test_set_instead_of_folds() -> None:
    assert options().uses_folds
    assert not options(folds=0).uses_folds
    assert not options(fine_tuning=FineTuning(blocks=1)).uses_folds


def test_grid_trains_each_architecture_with_separate_output_paths() -> None:
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


def test_train_options_have_the_settings_of_the_grid() -> None:
    wanted = options(
        recursive=True, exclude=Path("list.json"), group_by="parent", head=HeadOptions(steps=7), weights="w",
        percentages=SplitConfig(testing=30), fine_tuning=FineTuning(blocks=2), bottleneck_dir=Path("cache"),
        model_dir=Path("models"), output_dir=Path("out"),
    )  # fmt: skip
    entry = architecture("mobilenet_0.25_128")
    found = wanted.train_options(entry)
    names = (
        "recursive",
        "exclude",
        "group_by",
        "head",
        "weights",
        "percentages",
        "fine_tuning",
        "bottleneck_dir",
        "model_dir",
    )
    assert [getattr(found, name) for name in names] == [getattr(wanted, name) for name in names]
    assert (found.folds, found.runs_dir, found.with_report, found.architecture) == (0, None, False, entry)
    folder = Path("out/mobilenet_0.25_128")
    assert wanted.folder(entry) == folder and found.output_labels == folder / "retrained_labels.txt"
    assert found.summaries == folder / "training_summaries"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ship": True, "target": "ethos-u55-128"}, "`ship` copies int8 models"),
        ({"ship": True, "budget": Budget(board=board("nano33"))}, "`ship` copies int8 models"),
        ({"calibration_count": 0}, "`calibration_count`"),
        ({"percentages": SplitConfig(testing=0)}, "`testing`=0"),
        ({"target": "ethos-u1"}, "unknown `target`"),
        ({"on": "pi", "target": "ethos-u55-128"}, "give one"),
        ({"latency": "t.json", "target": "ethos-u55-128"}, "give one"),
        (
            {"architectures": ("mobilenet_0.25_128", "inception_v3"), "fine_tuning": FineTuning(blocks=1)},
            "inception_v3",
        ),
        ({"strangers": "photos/strangers"}, "`strangers`"),
    ],
)
def test_grid_options_refuse_combinations_that_cannot_work(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options(**fields)


def test_grid_options_accept_valid_combinations_and_minimum_values() -> None:
    assert options(calibration_count=1, percentages=SplitConfig(testing=1, validation=0)).calibration_count == 1
    assert options(on="pi").on == "pi" and options(target="ethos-u55-128").target == "ethos-u55-128"
    assert options(ship=True).ship and options(budget=Budget(board=board("nano33"))).budget.board is not None
