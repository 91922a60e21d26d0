"""Tests of measuring times and running load in a process, with a clock that the test controls."""

from __future__ import annotations

import gc
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench import load, worker
from poets_edge.bench import reference_kernel as kernel_module
from poets_edge.bench.load import Load, LoadWindow
from poets_edge.bench.reference_kernel import reference_kernel, time_kernel
from poets_edge.bench.worker import Request, sample_photo
from poets_edge.photos.normalization import UNIT
from tests.tiny_model import color_model

TICK_MS = 1000 / 512


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Turn on garbage collection again, because `measure` turns it off."""
    yield
    gc.enable()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "colors.tflite"
    path.write_bytes(color_model(normalization=UNIT))
    return path


class TickingTime:
    """Stand-in for the module `time`, whose clock advances by 1/512 s with every reading."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1 / 512
        return self.now

    def perf_counter_ns(self) -> int:
        return round(self.perf_counter() * 1e9)


def test_inference_times_are_in_milliseconds(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "time", TickingTime())
    found = worker.measure(Request(model, threads=1, seconds=10 / 512, runs=2))
    assert (found.load_ms, found.first_ms, found.warm_up_runs, found.steady) == (TICK_MS, TICK_MS, 20, True)
    assert found.samples_ms == (TICK_MS,) * 5, "each inference takes one tick, and reading the clock another"
    assert found.decode_ms == found.resize_ms == found.inference_ms == (TICK_MS,) * 8
    assert found.peak_memory_mb is None or found.peak_memory_mb > 1


def test_at_least_the_requested_number_of_inferences_is_timed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "time", TickingTime())
    assert len(worker.measure(Request(model, threads=1, seconds=4 / 512, runs=9)).samples_ms) == 9


def test_time_spent_on_the_reference_kernel_does_not_shorten_the_measurement(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = TickingTime()

    def time_kernel(call: Callable[[], None], seconds: float) -> list[float]:
        clock.now += 1000
        return [7.0, 8.0]

    monkeypatch.setattr(worker, "time", clock)
    monkeypatch.setattr(worker, "time_kernel", time_kernel)
    found = worker.measure(Request(model, threads=1, seconds=16 / 512, runs=1))
    assert found.samples_ms == (TICK_MS,) * 8 and found.kernel_ms == (7.0, 8.0) * 4


def test_reference_kernel_is_not_timed_for_accelerators() -> None:
    assert worker._timed(lambda: None, 0.001, 1, None)[1] == []


def test_reference_kernel_is_called_at_least_once() -> None:
    calls: list[int] = []
    assert len(time_kernel(lambda: calls.append(1), 1e-9)) == len(calls) == 1
    assert min(time_kernel(reference_kernel(), 1e-9)) > 0


def test_reference_kernel_times_are_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0, 1_000_000, 3_000_000, 3_000_000, 6_500_000])  # nanoseconds
    clock = SimpleNamespace(perf_counter_ns=lambda: next(readings))
    monkeypatch.setattr(kernel_module, "time", clock)
    assert time_kernel(lambda: None, 0.005) == [2.0, 3.5]


def test_worker_reads_photos_from_files_and_archives(model: Path, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(sample_photo())
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photos/daisy/1.jpg", sample_photo())
    photos = (str(tmp_path / "1.jpg"), str(tmp_path / "photos.zip/daisy/1.jpg"))
    found = worker.measure(Request(model, threads=1, seconds=0.001, runs=1, photos=photos))
    assert found.decode_ms and len(found.decode_ms) == 8 and min(found.decode_ms) > 0


class StillTime:
    """Stand-in for the module `time`, whose clock advances only in `sleep` and `pass_by`."""

    def __init__(self) -> None:
        self.now = 64.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


Loaded = Callable[..., Load]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Return a function that creates a `Load` whose inferences take the given times in seconds, one after the other."""
    clock = StillTime()
    monkeypatch.setattr(load, "time", clock)

    def make(durations: Sequence[float], rate: float | None = None) -> Load:
        calls = 0

        def invoke() -> None:
            nonlocal calls
            clock.now += durations[calls % len(durations)]
            calls += 1

        found = Load(Path("m.tflite"), threads=1, rate=rate)
        monkeypatch.setattr(found, "_open", lambda: invoke)
        return found

    return make


def facts(window: LoadWindow) -> tuple[float, int, int]:
    return window.seconds, window.runs, window.late


def test_inferences_run_without_pauses_at_full_load(loaded: Loaded) -> None:
    full = loaded([1 / 64])
    window = full(1.0)
    assert facts(window) == (1.0, 64, 0)
    assert (window.median_ms, window.p90_ms) == (15.625, 15.625) and window.samples_ms == (15.625,) * 64
    assert facts(full(0.5)) == (0.5, 32, 0)


def test_inferences_wait_for_the_next_frame_at_a_fixed_rate(loaded: Loaded) -> None:
    """Frames arrive at 0, 1/4, 1/2, 3/4 and 1 s, and each inference takes 1/16 s."""
    assert facts(loaded([1 / 16], rate=4)(1.0)) == (1.0625, 5, 0)


def test_sustained_load_counts_the_frames_that_a_slow_model_misses(loaded: Loaded) -> None:
    """Each inference takes 3.5 frame intervals: at 0.875 s, the frames from 0.25 and 0.5 s have been missed."""
    slow = loaded([0.875], rate=4)
    assert facts(slow(1.0)) == (1.75, 2, 2)
    assert facts(slow(1.0)) == (1.75, 2, 4)


def test_time_window_under_load_contains_percentiles_and_every_nth_sample(loaded: Loaded) -> None:
    times = [(number * 8 % 21 + 1) / 1024 for number in range(21)]  # 1 to 21, out of order
    window = loaded(times)(231 / 1024)
    assert (window.runs, window.median_ms, window.p90_ms) == (21, 11_000 / 1024, 19_000 / 1024)
    window = loaded([1 / 1024, 2 / 1024, 3 / 1024])(2400 * 2 / 1024)
    assert window.runs == 2400 and window.samples_ms == (0.9766,) * 800, "the first of every three"


def test_sustained_load_opens_the_model_on_the_first_call(model: Path) -> None:
    window = Load(model, threads=1, rate=None)(0.002)
    assert window.runs >= len(window.samples_ms) >= 1 and window.median_ms > 0
    assert LoadWindow.from_json(window.to_json()).samples_ms == window.samples_ms


def test_sample_photo_is_a_jpeg_of_500_by_375_pixels() -> None:
    from PIL import Image

    with Image.open(io.BytesIO(sample_photo())) as image:
        found: Any = image.size, image.format
    assert found == ((500, 375), "JPEG")


class Steps:
    """Stand-in for a classifier whose steps take 1, 2 and 4 s."""

    def __init__(self) -> None:
        self.now = 0.0
        self.session = SimpleNamespace(interpreter=SimpleNamespace(invoke=lambda: self.step(0.25, None)))

    def step(self, seconds: float, value: Any) -> Any:
        self.now += seconds
        return value

    def read_photo(self, photo: object) -> Any:
        return self.step(1.0, ("image", photo))

    def resize(self, image: Any) -> Any:
        return self.step(2.0, ("pixels", image[1]))

    def score_pixels(self, pixels: Any) -> None:
        assert pixels[0] == "pixels"
        self.step(4.0, None)


def test_decoding_resizing_and_inference_are_timed_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, read = Steps(), []

    def read_photo(photo: Any) -> Any:
        read.append(photo)
        return steps.read_photo(photo)

    monkeypatch.setattr(worker, "time", SimpleNamespace(perf_counter=lambda: steps.now))
    monkeypatch.setattr(worker, "read_photo", read_photo)
    stages = list(worker._time_stages(steps, [b"a", b"b", b"c"]))  # type: ignore[arg-type]
    assert stages == [(1000.0,) * 8, (2000.0,) * 8, (4000.0,) * 8] and read == [b"a", b"b", b"c"] * 2 + [b"a", b"b"]


@pytest.mark.parametrize("delegate", [None, "libedgetpu.so.1"])
def test_reference_kernel_is_timed_only_if_no_delegate_is_used(
    monkeypatch: pytest.MonkeyPatch, delegate: str | None
) -> None:
    steps, opened = Steps(), []

    def open_model(model: Path, **settings: Any) -> Any:
        opened.append(settings)
        return steps

    monkeypatch.setattr(worker, "Classifier", open_model)
    monkeypatch.setattr(worker, "read_photo", steps.read_photo)
    monkeypatch.setattr(worker, "is_accelerated", lambda interpreter: interpreter is steps.session.interpreter)
    monkeypatch.setattr(worker, "warm_up", lambda invoke, clock, longest: (13, False))
    monkeypatch.setattr(worker, "reference_kernel", lambda: "kernel")
    monkeypatch.setattr(
        worker, "_timed", lambda invoke, seconds, runs, kernel: ([seconds, runs], [3.0] if kernel else [])
    )
    found = worker.measure(Request(Path("m"), threads=3, seconds=5.0, runs=7, delegate=delegate))
    assert opened == [{"threads": 3, "delegate": delegate, "unlabeled": True}]
    assert found.kernel_ms == (None if delegate else (3.0,)) and found.samples_ms == (5.0, 7)
    assert (found.warm_up_runs, found.steady, found.accelerated) == (13, False, True)
