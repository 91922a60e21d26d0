"""Tests of tools/soak.py, with damaged frames and a camera that is unplugged."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools.soak import MOST_GROWTH, Sample, judge

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")


def test_soak_test_finds_no_resource_growth_with_damaged_frames_and_lost_cameras() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tools.soak", "--frames", "4000", "--losses", "50"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("flat: memory, files, threads, children\n")
    assert "camera: 200 labeled, 50 bad" in ended.stdout


@pytest.mark.parametrize("what", ["megabytes", "files", "threads", "children"])
def test_soak_test_reports_growing_resource_usage(what: str) -> None:
    flat = [Sample(100 * number, 50.0, 6, 3, number % 2) for number in range(1, 51)]
    assert judge("it", flat) == []
    step = MOST_GROWTH / 40 if what == "megabytes" else 1
    grown = [dataclasses.replace(one, **{what: getattr(one, what) + step * n}) for n, one in enumerate(flat)]
    [wrong] = judge("it", grown)
    assert wrong.startswith("it: ")
