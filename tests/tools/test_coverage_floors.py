"""Tests of the minimum branch coverage of each package."""

from __future__ import annotations

from tests.conftest import ROOT
from tools.coverage_floors import FLOORS, below_floor, branch_coverage


def report(**files: tuple[int, int]) -> dict[str, object]:
    return {
        "files": {
            f"poets_edge/{name.replace('__', '/')}.py": {"summary": {"covered_branches": taken, "num_branches": all_of}}
            for name, (taken, all_of) in files.items()
        }
    }


def test_branch_coverage_of_a_package_is_summed_over_its_files() -> None:
    found = branch_coverage(report(tflite__a=(3, 4), tflite__verify__b=(1, 6), device__c=(2, 2), progress=(0, 1)))
    assert found == {"tflite": (4, 10), "device": (2, 2), "progress": (0, 1)}


def test_packages_that_are_missing_or_below_their_coverage_floor_are_listed() -> None:
    found = {"a": (90, 100), "b": (899, 1000), "c": (0, 0)}
    assert below_floor(found, {"a": 90, "b": 90, "c": 90, "d": 1}) == ["b", "d"]


def test_every_coverage_floor_names_an_existing_package() -> None:
    assert all((ROOT / "poets_edge" / package).is_dir() for package in FLOORS)
