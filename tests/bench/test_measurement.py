"""Tests of the statistics of a measurement, and of the order in which variants are measured."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench import measurement
from poets_edge.bench.benchmark import BenchmarkResult, thread_counts
from poets_edge.bench.machine import MachineState
from poets_edge.bench.measurement import Measurement, ModelFacts, measure_variants
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, Variant
from poets_edge.bench.samples import describe, warm_up
from poets_edge.bench.timing import Timing

VARIANTS = [Variant(Path(f"{number}.tflite"), 1, f"{number:064}") for number in range(5)]


def timing(*samples: float, **fields: Any) -> Timing:
    """Return the timing of a process with the given inference times in milliseconds."""
    known: dict[str, Any] = {"load_ms": 1.0, "first_ms": 1.0, "warm_up_runs": 20, "steady": True, "accelerated": True}
    return Timing(samples_ms=samples, state=MachineState(), **{**known, **fields})


def measured(*timings: Timing, name: str = "m.tflite", threads: int = 1) -> Measurement:
    facts = ModelFacts(name, 1000, "0" * 64, "", "")
    return Measurement(Variant(Path(name), threads, "0" * 64), facts, timings)


def test_spread_and_percentiles_are_computed_from_all_samples() -> None:
    found = describe([10.0, 1.0, 4.0, 2.0, 3.0])
    assert found.spread == pytest.approx((4 - 2) / 3)
    assert (found.p90, found.p99) == pytest.approx((7.6, 9.76))


def test_measurement_statistics_agree_with_manual_computation() -> None:
    stages: list[dict[str, Any]] = [{"decode_ms": (1, 2), "resize_ms": (5, 1), "inference_ms": (3, 1)}]
    stages += [{"decode_ms": (a,), "resize_ms": (b,), "inference_ms": (c,)} for a, b, c in ((9, 2, 1), (3, 0, 7))]
    found = measured(
        timing(2, 2, 9, load_ms=2, first_ms=1, peak_memory_mb=90, **stages[2]),
        timing(1, 1, 4, load_ms=5, first_ms=9, peak_memory_mb=70, **stages[0]),
        timing(2, 3, 3, load_ms=1, first_ms=8, peak_memory_mb=None, **stages[1]),
    )
    assert found.process_medians == (2, 1, 3)
    assert found.rounds_differ == pytest.approx(2.0)
    assert found.latency.median == 2 and found.latency.count == 9
    assert (found.load, found.first, found.peak_memory) == (2, 8, 90)
    assert found.stages == {"decode": 2.5, "resize": 1.5, "inference": 2}
    # Photo by photo 9, 4, 12 and 10 ms: their median is 9.5. The sum of the medians of the stages is 6.
    assert found.photos_per_second == pytest.approx(1000 / 9.5)


def test_photos_per_second_is_none_if_a_round_has_no_photo_timings() -> None:
    staged = timing(1, decode_ms=(1,), resize_ms=(1,), inference_ms=(1,))
    assert measured(staged, timing(1)).photos_per_second is None


def test_stages_are_empty_if_no_round_timed_photos() -> None:
    assert measured(timing(1), timing(2)).stages == {}


def test_measurement_counts_as_accelerated_only_if_every_round_was_accelerated() -> None:
    assert measured(timing(1), timing(1)).accelerated
    assert not measured(timing(1), timing(1, accelerated=False)).accelerated


@pytest.mark.parametrize(
    ("timings", "said"),
    [
        ((timing(100), timing(104)), None),
        ((timing(100), timing(106)), "noisy"),
        ((timing(90, 100, 104), timing(92, 100, 105)), None),
        ((timing(80, 100, 110), timing(80, 100, 110)), "vary by"),
        ((timing(100), timing(100, steady=False)), "had not settled"),
    ],
)
def test_measurement_warns_about_unreliable_times(timings: tuple[Timing, ...], said: str | None) -> None:
    warnings = measured(*timings).warnings()
    assert len(warnings) == (said is not None)
    assert said is None or said in warnings[0]


def test_benchmark_latency_uses_the_fastest_thread_count_of_the_first_model() -> None:
    models = (
        measured(timing(5), name="a", threads=1),
        measured(timing(3), name="a", threads=2),
        measured(timing(4), name="a", threads=4),
        measured(timing(1), name="b", threads=1),
    )
    assert BenchmarkResult(machine={}, measurements=models).latency.median == 3


@pytest.mark.parametrize(
    ("wanted", "cores", "threads"), [((), 4, (1, 2, 4)), ((), 3, (1, 2)), ((), 1, (1,)), ((8,), 1, (8,)), ((), 0, (1,))]
)
def test_default_thread_counts_do_not_exceed_the_number_of_cores(
    wanted: tuple[int, ...], cores: int, threads: tuple[int, ...]
) -> None:
    assert thread_counts(wanted, {"cores": cores}) == threads


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Variant, TimingConfig]]:
    """Replace the measuring process; return a list to which the measured variants are added in order."""
    order: list[tuple[Variant, TimingConfig]] = []

    def once(variant: Variant, config: TimingConfig, photos: object) -> Timing:
        order.append((variant, config))
        return timing(1.0)

    monkeypatch.setattr(measurement, "_measure_once", once)
    monkeypatch.setattr(measurement, "machine_state", MachineState)
    return order


def rounds_of(timed: list[tuple[Variant, TimingConfig]], size: int) -> list[list[Variant]]:
    variants = [variant for variant, _ in timed]
    return [variants[start : start + size] for start in range(0, len(variants), size)]


def test_variants_are_measured_in_a_new_random_order_in_each_round(timed: list[tuple[Variant, TimingConfig]]) -> None:
    measure_variants(VARIANTS, TimingConfig(rounds=8))
    rounds = rounds_of(timed, len(VARIANTS))
    assert len(rounds) == 8
    assert all(sorted(order, key=VARIANTS.index) == VARIANTS for order in rounds), "each variant once per round"
    assert len({tuple(order) for order in rounds}) >= 6
    assert len({order[0] for order in rounds}) >= 3


def test_rounds_that_are_already_in_the_log_are_not_repeated(timed: list[tuple[Variant, TimingConfig]]) -> None:
    done = [
        Round(stamp=stamp, sha256=VARIANTS[1].sha256, threads=1, number=number, timing=timing(7.0))
        for stamp, number in (("s", 0), ("s", 2), ("other", 1))
    ]
    log = RoundLog.of(done)
    measure_variants(VARIANTS[:2], TimingConfig(rounds=3), log=log, stamp="s")
    assert [variant for variant, _ in timed].count(VARIANTS[1]) == 1
    assert {number: one.samples_ms for number, one in log.timings("s", VARIANTS[1], 3).items()} == {
        0: (7.0,), 1: (1.0,), 2: (7.0,),
    }  # fmt: skip
    assert sorted(log.timings("s", VARIANTS[0], 3)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("seconds_per_round", "rounds"),
    [(14.0, 8), (20.0, 7), (30.0, 5), (41.0, 3), (200.0, 3)],  # two variants, a minute each; at least three rounds
)
def test_measurement_ends_early_on_slow_devices(
    timed: list[tuple[Variant, TimingConfig]], monkeypatch: pytest.MonkeyPatch, seconds_per_round: float, rounds: int
) -> None:
    monkeypatch.setattr("poets_edge.bench.measurement.time.monotonic", lambda: len(timed) / 2 * seconds_per_round)
    measure_variants(VARIANTS[:2], TimingConfig(rounds=8, enough=3), log=RoundLog())
    assert len(timed) == 2 * rounds


def test_measuring_time_and_runs_are_divided_among_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    class Process:
        def __init__(self, function: object) -> None:
            pass

        def __enter__(self) -> Process:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def ask(self, request: Any, name: str, seconds: float) -> Timing:
            requests.append(request)
            return timing(1.0)

    monkeypatch.setattr(measurement, "Helper", Process)
    measure_variants(VARIANTS[:1], TimingConfig(seconds=12, runs=50, rounds=4))
    assert [(request.seconds, request.runs) for request in requests] == [(3, 13)] * 4, "13 * 4 is 50 or more"


def test_disturbances_recorded_in_an_earlier_run_are_reported(timed: list[tuple[Variant, TimingConfig]]) -> None:
    hot = replace(timing(1.0), state=MachineState(throttled=("throttled",)))
    log = RoundLog.of([Round(stamp="", sha256=VARIANTS[0].sha256, threads=1, number=0, timing=hot)])
    assert "throttled" in " ".join(measure_variants(VARIANTS[:1], TimingConfig(rounds=1), log=log))
    assert timed == []


def test_variants_are_measured_in_the_same_random_order_in_every_run(timed: list[tuple[Variant, TimingConfig]]) -> None:
    """A continued run times the missing rounds in the order of the first run."""
    measure_variants(VARIANTS, TimingConfig(rounds=4))
    measure_variants(VARIANTS, TimingConfig(rounds=4))
    half = len(timed) // 2
    assert timed[:half] == timed[half:]


@pytest.mark.parametrize(
    ("later", "calls"),
    [(1.0, 20), (1.029, 20), (0.971, 20), (1.04, 30), (0.96, 30)],
)
def test_warm_up_compares_medians_of_successive_groups_of_ten_calls(later: float, calls: int) -> None:
    times = list(itertools.accumulate([1.0] * 10 + [later] * 1000, initial=0.0))
    made = 0

    def call() -> None:
        nonlocal made
        made += 1

    assert warm_up(call, lambda: times[made], longest=1e9) == (calls, True)


def test_measurement_warns_once_about_times_that_vary_within_and_between_rounds() -> None:
    found = measured(timing(1.0, 2.0, 3.0), timing(3.0, 4.0, 5.0)).warnings()
    assert len(found) == 1 and "noisy" in found[0] and "differ by 100 %" in found[0]
    assert measured(timing(1.0, 2.0, 3.0), timing(1.0, 2.0, 3.0)).warnings() == [
        "m.tflite, 1 thread: its times vary by 75 % of the median (interquartile range)."
    ]
    assert (
        "m.tflite, 2 threads: the times had not settled" in measured(timing(1.0, steady=False), threads=2).warnings()[0]
    )
