"""Measure the inference times of a model with a given number of threads.

Each measurement runs in a new helper process, so it inherits no memory, caches or threads from an earlier measurement.
"""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from poets_edge.bench.machine import machine_state, resident_peak_mb
from poets_edge.bench.reference_kernel import reference_kernel, time_kernel
from poets_edge.bench.samples import warm_up
from poets_edge.bench.timing import Timing
from poets_edge.device.classifier import Classifier
from poets_edge.photos.address import photo_path
from poets_edge.photos.contents import contents_at
from poets_edge.photos.image import read_photo
from poets_edge.tflite.interpreter import find_runtime, is_accelerated

_LONGEST_WARM_UP = 5.0
_STAGE_RUNS = 8
_SAMPLE_SIZE = (500, 375)
_PARTS = 4
"""Number of parts into which a measurement is divided; the reference kernel is timed after each part."""
_KERNEL_SECONDS = 0.005
"""Minimum time for which the reference kernel runs after each part of a measurement, in seconds."""


@dataclass(frozen=True)
class Request:
    """Request for the measurement of one model.

    Attributes:
        model: path of a `.tflite` file.
        threads: CPU threads per inference.
        seconds: minimum duration of the timed inferences, in seconds.
        runs: minimum number of timed inferences.
        photos: paths of photos for timing decoding and resizing; by default a generated photo of 500 x 375 pixels.
        delegate: shared library of the delegate that runs the model; None for the CPU.
    """

    model: Path
    threads: int
    seconds: float
    runs: int
    photos: tuple[str, ...] = ()
    delegate: str | None = None


def measure(request: Request) -> Timing:
    """Measure all times in `Timing` for one model. Call this function in a new process.

    Raises:
        ModelError, RuntimeMissingError: the model cannot be run.
        PhotoError: a photo cannot be read.
    """
    find_runtime()  # importing the interpreter is not part of loading a model
    before = time.perf_counter()
    classifier = Classifier(request.model, threads=request.threads, delegate=request.delegate, unlabeled=True)
    load = _since(before)
    interpreter = classifier.session.interpreter
    pixels = classifier.resize(read_photo(sample_photo()))
    before = time.perf_counter()
    classifier.score_pixels(pixels)
    first = _since(before)
    # The image remains in the input tensor; the following calls run the inference only.
    invoke: Callable[[], object] = interpreter.invoke
    gc.collect()
    gc.disable()
    calls, steady = warm_up(invoke, time.perf_counter, _LONGEST_WARM_UP)
    # The speed of the processor has no influence on an accelerator behind a delegate.
    kernel = None if request.delegate else reference_kernel()
    samples, kernel_samples = _timed(invoke, request.seconds, request.runs, kernel)
    photos = [_photo(photo) for photo in request.photos] or [sample_photo()]
    decode, resize, inference = _time_stages(classifier, photos)
    return Timing(
        load_ms=load,
        first_ms=first,
        warm_up_runs=calls,
        steady=steady,
        samples_ms=tuple(samples),
        kernel_ms=tuple(kernel_samples) or None,
        decode_ms=decode,
        resize_ms=resize,
        inference_ms=inference,
        peak_memory_mb=resident_peak_mb(),
        accelerated=is_accelerated(interpreter),
        state=machine_state(),
    )


def sample_photo() -> bytes:
    """Return the content of a generated JPEG file of 500 x 375 pixels, about as detailed as a typical photo."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize(_SAMPLE_SIZE, Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()


def _timed(
    call: Callable[[], object], seconds: float, runs: int, kernel: Callable[[], None] | None
) -> tuple[list[float], list[float]]:
    """Call a function until it was called `runs` times and `seconds` seconds have passed; time each call.

    If `kernel` is given, calls of this reference kernel are timed in between, which does not count as passed time.

    Returns:
        The times of the calls of the function, and those of the calls of the kernel, in milliseconds.
    """
    clock = time.perf_counter_ns
    samples: list[float] = []
    kernel_samples: list[float] = []
    part = int(seconds * 1e9) // _PARTS
    begin = clock()
    end, after, next_kernel = begin + int(seconds * 1e9), 0, begin + part
    while after < end or len(samples) < runs:
        before = clock()
        call()
        after = clock()
        samples.append((after - before) / 1e6)
        if kernel and after >= next_kernel:
            kernel_samples += time_kernel(kernel, _KERNEL_SECONDS)
            resumed = clock()
            end, after, next_kernel = end + resumed - after, resumed, resumed + part
    return samples, kernel_samples


def _photo(path: str) -> Path | bytes:
    """Return the path of a photo or, if it is in an archive or at a web address, its content."""
    return Path(path) if Path(path).is_file() else contents_at(photo_path(path))


def _time_stages(classifier: Classifier, photos: Sequence[Path | bytes]) -> Iterator[tuple[float, ...]]:
    """Return the times to decode each photo, to resize it and to run the model on it: three tuples, in milliseconds."""
    rows = []
    for turn in range(_STAGE_RUNS):
        start = time.perf_counter()
        image = read_photo(photos[turn % len(photos)])
        decoded = time.perf_counter()
        pixels = classifier.resize(image)
        resized = time.perf_counter()
        classifier.score_pixels(pixels)
        done = time.perf_counter()
        rows.append([seconds * 1e3 for seconds in (decoded - start, resized - decoded, done - resized)])
    return zip(*rows, strict=True)


def _since(before: float) -> float:
    return (time.perf_counter() - before) * 1e3
