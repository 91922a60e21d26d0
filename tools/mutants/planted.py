"""Insert hand-written faults into modules, one at a time, and run the tests: `python -m tools.mutants --planted`.

The faults are in the folder `faults`, in a file for each package. A line `@ MODULE: TESTS` starts the faults of a
module; without TESTS, the tests that `tools.mutants.modules` lists for the module are run. A fault consists of a text
after `- `, which must occur exactly once in the module, and its replacement after `+ `; both may continue on the
following lines. Tests with the marker `slow` are run only with `--slow`. With `--copy`, each fault that no test has
detected so far is written to a copy of the checkout, so it also affects processes that tests start.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.mutants.copied import copied_checkout, run_in_copy
from tools.mutants.modules import MODULES, module_name
from tools.mutants.mutate import Mutant, planted
from tools.mutants.runner import NOTICED, ROOT, ForkingRunner, run_mutants

FAULTS = Path(__file__).with_name("faults")
RESULTS = ROOT / "build/planted.json"


@dataclass(frozen=True)
class ModuleFaults:
    """Hand-written faults to insert into one module, one at a time.

    Attributes:
        module: path of the module in `poets_edge`.
        tests: test files that must detect the faults.
        faults: pairs (text in the module, replacement).
    """

    module: str
    tests: tuple[str, ...]
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PlantedResult:
    """Outcome of inserting a hand-written fault into a module and running the tests.

    Attributes:
        before, after: source code without and with the fault.
        outcome: one of the outcomes of `ForkingRunner`, or "does not apply" if the source does not contain `before`.
        killer: test that detected the fault; empty if none did.
    """

    before: str
    after: str
    outcome: str
    killer: str = ""

    @property
    def noticed(self) -> bool:
        return self.outcome in NOTICED


def read_faults(text: str) -> list[ModuleFaults]:
    """Return the faults for each module, given the text of a fault file, in which a module may occur several times.

    The format is described in the documentation of this module.
    """
    tests_of: dict[str, list[str]] = {}
    pairs_of: dict[str, list[list[str]]] = {}
    pairs: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("@ "):
            module, _, tests = line[2:].partition(":")
            tests_of.setdefault(module, []).extend(tests.split() or MODULES.get(module, ()))
            pairs = pairs_of.setdefault(module, [])
        elif line.startswith("- "):
            pairs.append([line[2:]])
        elif line.startswith("+ "):
            pairs[-1].append(line[2:])
        elif line:
            pairs[-1][-1] += f"\n{line}"
    return [
        ModuleFaults(module, tuple(dict.fromkeys(tests)), tuple((before, after) for before, after in pairs_of[module]))
        for module, tests in tests_of.items()
    ]


def all_faults() -> list[ModuleFaults]:
    """Return the hand-written faults for all modules."""
    return [entry for file in sorted(FAULTS.iterdir()) for entry in read_faults(file.read_text(encoding="utf-8"))]


def plant_all(only: Iterable[str] | None, jobs: int, *, slow: bool = False, copy: bool = False) -> None:
    """Run the tests on each hand-written fault, and save and print the results.

    The tests for each module run in a process of their own.

    Args:
        only: prefixes of the names of the modules to test; None for all modules.
        jobs: number of concurrent processes.
        slow: whether to run tests with the marker `slow`, too.
        copy: whether to test only the faults that no test has detected so far, each in a copy of the checkout.
    """
    for entry in all_faults():
        if only is None or entry.module.startswith(tuple(only)):
            command = [
                sys.executable,
                "-m",
                "tools.mutants.planted",
                entry.module,
                str(jobs),
                *(["slow"] if slow else []),
                *(["copy"] if copy else []),
            ]
            subprocess.run(command, cwd=ROOT, check=False)


def load_planted() -> dict[str, list[PlantedResult]]:
    """Return the saved results of inserting hand-written faults, as lists keyed by module name."""
    if not RESULTS.exists():
        return {}
    saved = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {module: [PlantedResult(**row) for row in rows] for module, rows in saved.items()}


def _plant(entry: ModuleFaults, jobs: int, *, slow: bool, copy: bool) -> None:
    source = (ROOT / "poets_edge" / entry.module).read_text(encoding="utf-8")
    last = load_planted().get(entry.module, ()) if copy else ()
    results = [result for result in last if result.noticed]
    noticed_before = {(result.before, result.after) for result in results}
    mutants = []
    for before, after in entry.faults:
        mutant = planted(source, before, after)
        if mutant is None:
            results.append(PlantedResult(before, after, "does not apply"))
        elif (mutant.before, mutant.after) not in noticed_before:
            mutants.append(mutant)

    def keep(mutant: Mutant, outcome: str, killer: str) -> None:
        results.append(PlantedResult(mutant.before, mutant.after, outcome, killer))

    tests = [*([] if slow else ["-m", "not slow"]), *(f"tests/{test}" for test in entry.tests)]
    if copy:
        with copied_checkout() as folder:
            problems = run_in_copy(folder, entry.module, mutants, tests, keep)
    else:
        runner = ForkingRunner(module_name(entry.module), mutants, keep, time.monotonic() + 3600, jobs, slow)
        problems = run_mutants(runner, tests)
    for problem in problems:
        print(f"{entry.module}: not used: {problem}", file=sys.stderr)
    noticed = sum(result.noticed for result in results)
    print(f"{entry.module}: {noticed} of {len(entry.faults)} planted faults noticed", flush=True)
    for result in results:
        if not result.noticed:
            print(f"{entry.module}: {result.outcome}: {result.before}  ->  {result.after}", flush=True)
    saved = {module: [asdict(row) for row in rows] for module, rows in load_planted().items()}
    saved[entry.module] = [asdict(row) for row in results]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(saved, indent=1), encoding="utf-8")


if __name__ == "__main__":
    chosen = next(entry for entry in all_faults() if entry.module == sys.argv[1])
    _plant(chosen, int(sys.argv[2]), slow="slow" in sys.argv[3:], copy="copy" in sys.argv[3:])
