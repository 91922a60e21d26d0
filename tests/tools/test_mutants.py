"""Tests of mutation testing: the mutants of a source file, and the replacement of a loaded module by a mutant."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from poets_edge.device.metrics import wilson_interval
from tests.conftest import ROOT
from tools.mutants.copied import run_in_copy
from tools.mutants.equivalents import EQUIVALENTS, equivalent
from tools.mutants.modules import MODULES
from tools.mutants.mutate import Mutant, mutants, planted
from tools.mutants.planted import ModuleFaults, all_faults, read_faults
from tools.mutants.results import ModuleResults, Result, key, load, report, save
from tools.mutants.sampling import Sample, draw, killed_share
from tools.mutants.swap import Swap

SOURCE = """
from dataclasses import dataclass

LIMIT = 3


@dataclass(frozen=True)
class Box:
    size: int | None = 4

    @property
    def double(self) -> int | None:
        return 2 * self.size


def check(value: int, most: int = 10) -> int:
    if value > most:
        raise ValueError(value)
    return value + LIMIT
"""


def changes(source: str) -> set[tuple[str, str]]:
    return {(mutant.before, mutant.after) for mutant in mutants(source)}


def test_mutants_of_a_module_contain_one_fault_each() -> None:
    assert changes(SOURCE) == {
        ("LIMIT = 3", "LIMIT = 4"),
        ("size: int | None = 4", "size: int | None = 5"),
        ("return 2 * self.size", "return 3 * self.size"),
        ("return 2 * self.size", "return 2 / self.size"),
        (
            "def check(value: int, most: int = 10) -> int:",
            "def check(value: int, most: int = 11) -> int:",
        ),
        ("if value > most:", "if value >= most:"),
        ("if value > most:", "if not value > most:"),
        ("if value > most:", "if False:"),
        ("raise ValueError(value)", "pass"),
        ("return value + LIMIT", "return value - LIMIT"),
    }


def test_mutants_replace_one_exception_in_an_except_clause() -> None:
    source = "import json\n\ntry:\n    x = 1\nexcept (json.JSONDecodeError, OSError):\n    x = 2\n"
    assert ("except (json.JSONDecodeError, OSError):", "except (json.JSONDecodeError, CosmicRayTestingException):") in (
        changes(source)
    )


def test_mutants_differ_from_the_source_in_their_reported_lines() -> None:
    for mutant in mutants(SOURCE):
        pairs = zip(SOURCE.splitlines(), mutant.source.splitlines(), strict=True)
        differing = [number for number, (before, after) in enumerate(pairs, 1) if before != after]
        assert mutant.lines[0] <= differing[0] <= mutant.lines[1]
        compile(mutant.source, "mutant", "exec")


@pytest.mark.parametrize(
    ("source", "line", "on_import"), [("x = 1\n", 1, True), ("def f():\n    return (\n        1\n    )\n", 2, False)]
)
def test_mutants_record_whether_their_statement_runs_on_import(source: str, line: int, on_import: bool) -> None:
    (mutant,) = mutants(source)
    assert (mutant.lines[0], mutant.on_import) == (line, on_import)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "mutated_module.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("mutated_module")
    sys.modules.pop("mutated_module", None)


def apply(module: ModuleType, after: str) -> None:
    chosen: Mutant = next(mutant for mutant in mutants(SOURCE) if mutant.after == after)
    Swap(module).apply(chosen.source, on_import=chosen.on_import)


def test_applying_a_mutant_changes_functions_imported_by_other_modules(module: ModuleType) -> None:
    check = module.check
    apply(module, "return value - LIMIT")
    assert check(5) == 2


def test_applying_a_mutant_changes_constants_defaults_and_properties(module: ModuleType) -> None:
    check, box = module.check, module.Box
    apply(module, "LIMIT = 4")
    assert check(5) == 9
    apply(module, "def check(value: int, most: int = 11) -> int:")
    assert check(11) == 14  # the other constants of that mutant are those of the source
    apply(module, "size: int | None = 5")
    assert box().size == 5
    apply(module, "return 3 * self.size")
    assert box(7).double == 21


def test_applying_a_mutant_does_not_change_equal_constants_of_other_modules(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ModuleType("tests.other")
    vars(other).update(LIMIT=module.LIMIT, SIZE=3)
    monkeypatch.setitem(sys.modules, "tests.other", other)
    apply(module, "LIMIT = 4")
    assert (vars(other)["LIMIT"], vars(other)["SIZE"]) == (4, 3)


def test_listed_modules_and_tests_exist() -> None:
    assert not [module for module in MODULES if not (ROOT / "poets_edge" / module).is_file()]
    assert not [test for tests in MODULES.values() for test in tests if not (ROOT / "tests" / test).is_file()]


def test_listed_equivalent_mutants_occur_in_their_modules() -> None:
    stale = [
        entry
        for module in {entry.module for entry in EQUIVALENTS}
        for found in [changes((ROOT / "poets_edge" / module).read_text(encoding="utf-8"))]
        for entry in EQUIVALENTS
        if entry.module == module and (entry.before, entry.after) not in found
    ]
    assert not stale


def test_patterns_of_equivalent_mutants_match_exactly_one_place() -> None:
    before = "pairs = zip(a, b.reshape(-1), strict=True), zip(a, c, strict=True)"
    second = "pairs = zip(a, b.reshape(-1), strict=True), zip(a, c, strict=False)"
    assert (found := equivalent("x.py", before, second)) and "by construction" in found.reason
    assert (found := equivalent("x.py", before, before.replace("-1", "-2"))) and "infers" in found.reason
    assert equivalent("x.py", before, second.replace("-1", "-2")) is None
    assert equivalent("x.py", before, before.replace("a,", "b,")) is None


def test_fault_is_planted_only_if_the_text_to_replace_occurs_once() -> None:
    found = planted(SOURCE, "value > most", "value >= most")
    assert found is not None and found.source == SOURCE.replace("value > most", "value >= most")
    assert (found.before, found.after, found.on_import) == ("if value > most:", "if value >= most:", False)
    assert planted(SOURCE, "value", "other") is None, "occurs several times"
    assert planted(SOURCE, "nothing", "something") is None
    assert planted(SOURCE, "value > most:", "value >") is None, "is no Python"


def test_read_faults_parses_modules_tests_and_multiline_texts() -> None:
    text = "@ device/metrics.py\n- a = 1\n    b\n+ a = 2\n    b\n@ x.py: t/test_x.py t/test_y.py\n- c\n+ \n"
    assert read_faults(text) == [
        ModuleFaults("device/metrics.py", MODULES["device/metrics.py"], (("a = 1\n    b", "a = 2\n    b"),)),
        ModuleFaults("x.py", ("t/test_x.py", "t/test_y.py"), (("c", ""),)),
    ]


def test_read_faults_combines_several_sections_for_one_module() -> None:
    first, second = "@ x.py: t/test_x.py t/test_y.py\n- a\n+ b\n", "@ x.py: t/test_y.py t/test_z.py\n- e\n+ f\n"
    text = f"{first}\n@ y.py: t/test_y.py\n- c\n+ d\n\n{second}"
    assert read_faults(text) == [
        ModuleFaults("x.py", ("t/test_x.py", "t/test_y.py", "t/test_z.py"), (("a", "b"), ("e", "f"))),
        ModuleFaults("y.py", ("t/test_y.py",), (("c", "d"),)),
    ]


def test_hand_written_faults_name_existing_test_files() -> None:
    entries = all_faults()
    assert sum(len(entry.faults) for entry in entries) > 500
    assert all((ROOT / "tests" / test).is_file() for entry in entries for test in entry.tests)


def test_hand_written_faults_occur_once_in_their_modules() -> None:
    for entry in all_faults():
        source = (ROOT / "poets_edge" / entry.module).read_text(encoding="utf-8")
        found = {before: source.count(before) for before, _ in entry.faults}
        assert {before: count for before, count in found.items() if count != 1} == {}, entry.module


def test_mutants_in_a_copy_affect_processes_that_tests_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # most of the time is that for plugins
    (tmp_path / "poets_edge").mkdir()
    module, test = tmp_path / "poets_edge/limits.py", tmp_path / "test_limits.py"
    module.write_text(SOURCE + "\nif __name__ == '__main__':\n    print(check(5))\n")
    test.write_text(
        "import subprocess, sys\n\n\ndef test_check() -> None:\n"
        "    run = subprocess.run([sys.executable, 'poets_edge/limits.py'], capture_output=True, text=True)\n"
        "    assert run.stdout == '8\\n'\n"
    )
    chosen = [planted(module.read_text(), "LIMIT = 3", "LIMIT = 4"), planted(module.read_text(), "> most", ">= most")]
    found: list[tuple[str, str]] = []
    problems = run_in_copy(
        tmp_path, "limits.py", [one for one in chosen if one], ["test_limits.py"],
        lambda mutant, outcome, killer: found.append((outcome, killer)),
    )  # fmt: skip
    assert problems == [] and found == [("killed", "test_limits.py::test_check"), ("survived", "")]
    assert module.read_text().startswith(SOURCE), "restored"
    module.write_text(SOURCE)
    assert run_in_copy(tmp_path, "limits.py", [chosen[0]] if chosen[0] else [], ["test_limits.py"], print) == [
        "test_limits.py::test_check"
    ]


def test_drawn_mutants_are_a_reproducible_random_subset_in_order() -> None:
    items = list(range(40))
    drawn = draw(items, 10, seed=1)
    assert drawn == draw(items, 10, seed=1) == sorted(set(drawn)) and len(drawn) == 10
    assert drawn != draw(items, 10, seed=2)
    assert draw(items, 50, seed=1) == items
    counts = [sum(item in draw(items, 10, seed=seed) for seed in range(400)) for item in items]
    assert min(counts) > 60 and max(counts) < 140, "each item is drawn in about 100 of 400 samples"


def test_share_of_killed_mutants_is_the_mean_over_modules_weighted_by_their_mutants() -> None:
    share, low, high = killed_share([Sample(mutants=300, drawn=20, killed=18), Sample(mutants=100, drawn=10, killed=5)])
    assert share == pytest.approx(0.75 * 0.9 + 0.25 * 0.5)
    variance = 0.75**2 * (14 / 15) / 20 + 0.25**2 * (9 / 10) / 10  # in units of p (1 - p)
    assert (low, high) == pytest.approx(wilson_interval(share / variance, 1 / variance))
    assert 0.6 < low < share < high < 0.92


def test_share_of_killed_mutants_is_exact_if_all_mutants_were_run() -> None:
    exact = killed_share([Sample(mutants=30, drawn=30, killed=27), Sample(mutants=10, drawn=10, killed=5)])
    assert exact == pytest.approx((0.8, 0.8, 0.8))


def outcomes(*, killed: int, survived: int, killed_first: int, seed: int | None, mutants: int) -> ModuleResults:
    results = tuple(
        Result(operator="Increment", line=number, before="a | b", after=str(number), outcome=outcome)
        for number, outcome in enumerate(["killed"] * killed + ["survived"] * survived)
    )
    return ModuleResults(mutants=mutants, results=results, killed_first=killed_first, seed=seed, key="")


def test_sampled_mutants_count_as_killed_only_if_the_original_tests_killed_them() -> None:
    found = outcomes(killed=9, survived=1, killed_first=6, seed=0, mutants=50)
    assert found.sample(0) == Sample(mutants=50, drawn=10, killed=6)
    assert found.sample(1) == Sample(mutants=45, drawn=9, killed=6), "one of ten is equivalent, so five of fifty are"
    every = outcomes(killed=9, survived=1, killed_first=6, seed=None, mutants=10)
    assert every.sample(1) == Sample(mutants=9, drawn=9, killed=9)
    assert outcomes(killed=0, survived=1, killed_first=0, seed=0, mutants=5).sample(1) is None


def test_saved_results_are_read_back_while_module_and_tests_are_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.mutants.results.FOLDER", tmp_path)
    found = outcomes(killed=1, survived=1, killed_first=1, seed=3, mutants=7)
    current = replace(found, key=key("device/metrics.py"))
    save("device/metrics.py", current)
    assert load("device/metrics.py", fresh=True) == current
    save("device/metrics.py", found)
    assert load("device/metrics.py", fresh=True) is None and load("device/metrics.py", fresh=False) == found
    assert load("device/paired.py", fresh=False) is None


def test_report_keeps_other_sections_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.mutants.results.FOLDER", tmp_path)
    monkeypatch.setattr("tools.mutants.planted.RESULTS", tmp_path / "none.json")
    save("device/metrics.py", outcomes(killed=8, survived=2, killed_first=7, seed=3, mutants=40))
    page = report("# Mutation testing\n\nobsolete\n\n## Notes\n\nkept\n")
    assert page.startswith("# Mutation testing\n") and "obsolete" not in page and page.endswith("\n## Notes\n\nkept\n")
    assert f"**1 of {len(MODULES)} modules, 10 of 40 mutants run. Killed: 70.0 %" in page
    assert "| `device/metrics.py` (changed since) | 40 | 10, seed 3 | 7 | 8 | 0 | 70 % |" in page
    assert "| `device/metrics.py:9` | `a \\| b` | `9` | survived |" in page
