"""Tests that the outputs of commands on a small fixed project equal the golden outputs in tests/golden.

After an intended change, run `make golden` and review `git diff tests/golden`.
"""

from __future__ import annotations

import json
import shlex

import pytest

from poets_edge.cli import COMMANDS
from tests.conftest import ROOT
from tools.compare.case import Case, Respelled
from tools.golden.arithmetic import arithmetic
from tools.golden.cases import EXACT_EVERYWHERE, GOLDEN, NOT_GOLDEN
from tools.golden.check import Promise, golden_differences
from tools.golden.run import Project

FOLDER = ROOT / "tests/golden"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_outputs_equal_the_golden_outputs(project: Project, case: Case) -> None:
    stored, here = json.loads((FOLDER / "machine.json").read_text("utf-8")), arithmetic()
    promise = Promise.BITS
    if here != stored:
        promise = Promise.VALUES if case.name in EXACT_EVERYWHERE else Promise.NEAR
    text = (FOLDER / f"{case.name}.txt").read_text("utf-8")
    differences = golden_differences(text, project.text(case), promise)
    assert not differences, "\n".join(
        (
            f"tests/golden/{case.name}.txt; compared: {promise.value}. If the change is intended: make golden",
            *differences,
        )
    )


def test_every_command_has_golden_outputs() -> None:
    lines = [line.new if isinstance(line, Respelled) else line for case in GOLDEN for line in case.lines]
    run = {shlex.split(line)[0] for line in lines}
    assert set(COMMANDS) - run == set(NOT_GOLDEN)
    assert {path.stem for path in FOLDER.glob("*.txt")} == {case.name for case in GOLDEN}


@pytest.mark.parametrize(
    ("stored", "made", "agree"),
    [
        ('"score": 0.5,', '"score": 0.5,', (True, True, True)),
        ('"score": 0.5,', '"score": 0.51,', (False, False, True)),
        ('"score": 0.5,', '"score": 0.53,', (False, False, False)),
        ('"photos": 500', '"photos": 505', (False, False, True)),
        ('"photos": 500', '"photos": 515', (False, False, False)),
        ('"label": "daisy"', '"label": "roses"', (False, False, False)),
        (f"10 bytes, sha256 {'a' * 64}", f"12 bytes, sha256 {'b' * 64}", (False, True, True)),
        ('"size": 10, "labels": 2', '"size": 12, "labels": 2', (False, True, True)),
        ('"size": 10, "labels": 2', '"size": 10, "labels": 3', (False, False, False)),
        (
            "int8 [8], zero point 0, values 4040c30ca8ad",
            "int8 [8], zero point 0, values a6c9d53dfc91",
            (False, False, True),
        ),
        ("int8 [8], zero point 0", "int8 [16], zero point 0", (False, False, False)),
        ("a\nb", "a", (False, False, False)),
    ],
)
def test_golden_differences_depend_on_the_comparison_mode(
    stored: str, made: str, agree: tuple[bool, bool, bool]
) -> None:
    assert tuple(not golden_differences(stored, made, promise) for promise in Promise) == agree
