"""Benchmark of a complete `grid` run with empty caches, compared with the lower bound from `benchmarks.bare_parts`."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import load, publish

ROOT = Path(__file__).parents[1]


def _run(*arguments: str | Path, cwd: Path) -> tuple[str, float, float]:
    """Run a Python process; return its output, and its wall time and processor time in seconds."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        text=True,
        capture_output=True,
    )
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begin
    return ended.stdout, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.timeout(3600)
@pytest.mark.benchmark(group="grid")
def test_whole_grid_cold(benchmark: Any, flowers: Path, keras_home: Path, tmp_path: Path) -> None:
    output = "tf_files/grid"

    def whole() -> tuple[str, float, float]:
        # The shortest measurement; its time is subtracted below.
        short = ("--rounds", "1", "--min-seconds", "0.05", "--min-runs", "5", "-q")
        return _run("poets_edge", "grid", "--image_dir", flowers, "--output_dir", output, *short, cwd=tmp_path)

    _, seconds, core_seconds = benchmark.pedantic(whole, rounds=1, iterations=1)
    noted = json.loads((tmp_path / output / "grid.json").read_text())["seconds"]
    measuring, judging = noted["measuring"], noted["judging"]
    printed, _, _ = _run("benchmarks.bare_parts", output, "tf_files/bottlenecks", cwd=tmp_path)
    bare = json.loads(printed.splitlines()[-1])
    parts = bare["forward"]["seconds"] + bare["convert"]["seconds"]
    files, whole_grid = seconds - measuring - judging, seconds - measuring
    benchmark.extra_info.update({"files": files / parts, "whole": whole_grid / parts, **noted, **bare})
    publish(
        "grid",
        "The whole grid on 1,000 photos: 16 architectures trained, exported as float32 and int8",
        "python -m pytest benchmarks/test_grid.py --benchmark-only -s",
        [
            ["", "ratio", "seconds", "seconds of all cores"],
            ["poets-edge grid, cold: files made and scored over the test photos", f"**{files / parts:.2f}**",
             f"{files:.0f}", ""],
            ["the same, and every photo judged by cross-validation, as float32 and int8",
             f"**{whole_grid / parts:.2f}**", f"{whole_grid:.0f}", f"{core_seconds:.0f} with measuring"],
            ["two bare parts", "1", f"{parts:.0f}",
             f"{bare['forward']['core_seconds'] + bare['convert']['core_seconds']:.0f}"],
            ["- forward passes of 16 float models, all cores", "", f"{bare['forward']['seconds']:.0f}",
             f"{bare['forward']['core_seconds']:.0f}"],
            ["- 32 converter calls", "", f"{bare['convert']['seconds']:.0f}", f"{bare['convert']['core_seconds']:.0f}"],
        ],
        [
            "The grid's time holds everything from starting Python to the finished report: writing the backbones,"
            " decoding each photo, the bottlenecks, the heads, both exports with their rounding, scoring every file"
            " over the test photos, chart and report. Judging runs each int8 network over all photos, which nothing in"
            " the bare parts does. These start with photos decoded and TensorFlow loaded. Measuring latency took"
            f" another {measuring:.0f} s at its shortest setting.",
            f"Load average at the end: {load():.1f}.",
        ],
    )  # fmt: skip
