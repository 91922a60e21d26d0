"""Tests of `release_memory`, which returns unused memory to the operating system."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

import pytest

from poets_edge.core.memory import release_memory


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is not glibc")
def test_releasing_memory_returns_freed_memory_to_the_system() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    blocks = [libc.malloc(64_000) for _ in range(1500)]
    for block in blocks:
        ctypes.memset(block, 1, 64_000)
    for block in blocks[:-1]:  # the last block keeps the heap from shrinking by itself
        libc.free(block)
    before = resident_mb()
    release_memory()
    assert resident_mb() < before - 60
    libc.free(blocks[-1])


def test_releasing_memory_does_nothing_without_malloc_trim(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    release_memory()
    assert opened == [None]
    monkeypatch.setattr(sys, "platform", "win32")
    release_memory()
    assert opened == [None], "only Linux has glibc"
