"""Print the branch coverage of each package in poets_edge, and fail if a package is below its minimum.

    python -m tools.coverage_floors build/coverage.json

The JSON file is written by `coverage json`. Only branches taken in the measured process are counted, so code that
commands run in separate processes also needs tests that call its functions directly.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TARGET = 90
"""Branch coverage, in percent, that each package in FLOORS should reach."""
FLOORS: Mapping[str, int] = {"tflite": 96, "device": 95, "quantize": 94, "training": 96, "bench": 95}
"""Minimum branch coverage of each package in percent, when all tests are run."""


def branch_coverage(report: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return (number of executed branches, number of all branches) for each package in poets_edge, by package name.

    Args:
        report: content of a file written by `coverage json` with branch coverage.
    """
    found: dict[str, tuple[int, int]] = {}
    for name, file in report["files"].items():
        parts = Path(name).parts
        if "poets_edge" not in parts:
            continue
        package = parts[parts.index("poets_edge") + 1].removesuffix(".py")
        taken, branches = found.get(package, (0, 0))
        summary = file["summary"]
        found[package] = taken + summary["covered_branches"], branches + summary["num_branches"]
    return found


def below_floor(found: Mapping[str, tuple[int, int]], floors: Mapping[str, int] = FLOORS) -> list[str]:
    """Return the names of packages whose branch coverage is below its minimum or was not measured.

    Args:
        found: (number of executed branches, number of all branches) for each package.
        floors: minimum branch coverage of each package in percent.
    """
    return [
        package
        for package, floor in floors.items()
        if package not in found or 100 * found[package][0] < floor * found[package][1]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.coverage_floors")
    parser.add_argument("report", type=Path, help="file of `coverage json`")
    found = branch_coverage(json.loads(parser.parse_args().report.read_text(encoding="utf-8")))
    for package, (taken, branches) in sorted(found.items()):
        floor = f"floor {FLOORS[package]} %, target {TARGET} %" if package in FLOORS else ""
        print(f"{package:10} {taken:5} of {branches:5} branches  {100 * taken / max(1, branches):5.1f} %  {floor}")
    if failing := below_floor(found):
        sys.exit(f"Below their floor of branches: {', '.join(failing)}. Add tests that check what is not taken.")


if __name__ == "__main__":
    main()
