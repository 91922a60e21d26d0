"""Reference kernel: a fixed computation, whose running time indicates the current speed of the processor.

Separate runs of `benchmark` differ by 1 % or more, because the clock frequency and the load from other virtual
machines differ between them. The time of the kernel, measured alternately with a model in one process, differs in the
same way, so the ratio of the two times is more stable than either time.

The kernel does not use the TFLite interpreter, so that the ratio shows differences between versions of the
interpreter. The matrices are small: NumPy multiplies them on a single thread, and they take less space in the caches
(48 KiB) than the activations of a model. After a call of the kernel, the next inference of
mobilenet_0.25_128 is up to 1.8 % slower; for mobilenet_0.50_224, no slowdown was measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

_SIDE = 64
_PRODUCTS = 100
"""Number of matrix products per call of the kernel. A call should take about as long as an inference, so that a short
disturbance has the same effect on both."""


def reference_kernel() -> Callable[[], None]:
    """Return the reference kernel, a function that multiplies two float32 matrices of shape [64, 64] 100 times."""
    left, right = np.random.default_rng(0).standard_normal((2, _SIDE, _SIDE)).astype(np.float32)
    product = np.empty((_SIDE, _SIDE), np.float32)

    def call() -> None:
        for _ in range(_PRODUCTS):
            np.matmul(left, right, out=product)

    return call


def time_kernel(call: Callable[[], None], seconds: float) -> list[float]:
    """Call the reference kernel for the given time, at least once; return the time of each call in milliseconds."""
    clock = time.perf_counter_ns
    samples: list[float] = []
    after, end = 0, clock() + int(seconds * 1e9)
    while after < end:
        before = clock()
        call()
        after = clock()
        samples.append((after - before) / 1e6)
    return samples
