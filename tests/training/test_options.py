"""Tests of the limits of the options of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.options import TrainOptions


@pytest.mark.parametrize(
    ("accepted", "rejected"),
    [
        ({"unknown_rate": 0.0}, {"unknown_rate": -0.1}),
        ({"unknown_rate": 50.0}, {"unknown_rate": 50.1}),
        ({"intermediate_store_frequency": 0}, {"intermediate_store_frequency": -1}),
        ({"test_batch_size": 1}, {"test_batch_size": 0}),
        ({"test_batch_size": -1}, {"test_batch_size": -2}),
        ({"folds": 2}, {"folds": 1}),
        ({"folds": 0}, {"folds": -1}),
        ({"final_tensor_name": "scores/all"}, {"final_tensor_name": ""}),
        ({"final_tensor_name": "a-b"}, {"final_tensor_name": "a:0"}),
        ({"background": Path("outside")}, {"background": Path("photos/empty")}),
        ({"strangers": Path("outside"), "unknown_rate": 1.0}, {"strangers": Path("outside"), "unknown_rate": 0.0}),
        ({"output_graph": Path("graph.pb")}, {"output_graph": Path("photos/roses/graph.pb")}),
        ({"group_by": "(a)"}, {"group_by": "(a"}),
        ({"bottleneck_dir": Path("cache")}, {"bottleneck_dir": Path("photos/cache")}),
    ],
)
def test_train_options_reject_values_beyond_their_limits(
    accepted: dict[str, Any], rejected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    TrainOptions(image_dir=Path("photos"), **accepted)
    with pytest.raises(UsageError, match=f"`{next(iter(rejected))}`"):
        TrainOptions(image_dir=Path("photos"), **rejected)


def test_fine_tuning_options_are_unchanged_if_the_architecture_has_no_defaults() -> None:
    options = FineTuning(epochs=4)
    assert options.resolved(architecture("inception_v3")) == options
