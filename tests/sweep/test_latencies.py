"""Tests of warnings about latencies in a grid."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.sweep.latencies import noise_warnings


def measurement(rounds_differ: float, *warnings: str) -> Any:
    return SimpleNamespace(rounds_differ=rounds_differ, warnings=lambda: list(warnings))


@pytest.mark.parametrize(
    ("rounds_differ", "words"),
    [
        (0.12, "medians of one model's rounds differ by up to 12 %. Smaller differences may be noise."),
        (0.0, "they vary widely within rounds. Measure again on an idle machine."),
    ],
)
def test_noise_warnings_state_how_latencies_vary(rounds_differ: float, words: str) -> None:
    measured = [measurement(rounds_differ, "noisy"), measurement(0.5)]
    assert noise_warnings(measured) == [f"the times of 1 of 2 models are noisy: {words}"]


def test_noise_warnings_are_empty_without_noisy_models() -> None:
    assert noise_warnings([measurement(0.5)]) == []
