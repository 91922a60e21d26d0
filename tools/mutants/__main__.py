"""Run mutation tests on modules of poets_edge, or on lines changed since a commit, and report the results.

    python -m tools.mutants [--part 3 | --module device/metrics.py | --changed BASE | --report]

The list of modules is divided into parts that take up to 20 minutes each. --help lists further options.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from tools.mutants.copied import copied_checkout, run_in_copy
from tools.mutants.equivalents import equivalent
from tools.mutants.modules import MODULES, PARTS, module_name
from tools.mutants.mutate import Mutant, mutants
from tools.mutants.planted import plant_all
from tools.mutants.results import REPORT, ModuleResults, Result, key, load, report, save
from tools.mutants.runner import ROOT, ForkingRunner, run_mutants
from tools.mutants.sampling import draw


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Plant faults that tests must notice.")
    parser.add_argument("--part", type=int, choices=range(1, len(PARTS) + 1), help="run the modules of one part")
    parser.add_argument("--module", action="append", metavar="PATH", help="run one module")
    parser.add_argument("--survivors", action="store_true", help="run only mutants that survived the last time")
    parser.add_argument("--line", metavar="TEXT", help="run only mutants of source lines that contain TEXT")
    parser.add_argument("--sample", type=int, metavar="N", help="run up to N mutants of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="seed of that sample [default: 0]")
    parser.add_argument("--changed", metavar="BASE", help="run a sample of the mutants in lines changed since BASE")
    parser.add_argument("--most", type=int, default=60, metavar="N", help="mutants of that sample [default: 60]")
    parser.add_argument("--seconds", type=float, default=1200, metavar="S", help="start none later [default: 1200]")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time [default: 1]")
    parser.add_argument(
        "--planted", action="store_true", help="insert the hand-written faults in tools/mutants/faults instead"
    )
    parser.add_argument("--slow", action="store_true", help="run tests marked slow although there are others")
    parser.add_argument("--copy", action="store_true", help="write faults not noticed to a copy of the checkout")
    parser.add_argument("--report", action="store_true", help=f"write {REPORT.relative_to(ROOT)} and end")
    parser.add_argument("--again", action="store_true", help="run modules whose results are up to date, too")
    given = parser.parse_args()
    if not given.planted and (unknown := sorted(set(given.module or ()) - set(MODULES))):
        parser.error(f"not in tools/mutants/modules.py: {', '.join(unknown)}")
    stop_at = time.monotonic() + given.seconds
    if given.report:
        REPORT.write_text(report(REPORT.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"Wrote {REPORT.relative_to(ROOT)}.")
    elif given.planted:
        plant_all(given.module, given.jobs, slow=given.slow, copy=given.copy)
    elif given.changed:
        _run_changed(given, stop_at)
    else:
        parts = [PARTS[given.part - 1]] if given.part else PARTS
        modules = given.module or [module for part in parts for module in part]
        partly = given.survivors or given.line
        todo = [module for module in modules if given.again or partly or load(module, fresh=True) is None]
        # Each module is run in its own process, so that imports of its tests do not affect the next module.
        for module in todo:
            if len(modules) == 1 and given.survivors:
                _run_survivors(module, given, stop_at)
            elif len(modules) == 1:
                _run_module(module, given, stop_at)
            elif time.monotonic() < stop_at:
                left = f"{stop_at - time.monotonic():.0f}"
                command = [sys.executable, "-m", "tools.mutants", "--module", module, "--seconds", left]
                command += ["--jobs", str(given.jobs), "--survivors" if given.survivors else "--again"]
                command += ["--sample", str(given.sample), "--seed", str(given.seed)] if given.sample else []
                command += [f"--{name}" for name in ("slow", "copy") if getattr(given, name)]
                subprocess.run(command, cwd=ROOT, check=False)


def _run_module(module: str, given: argparse.Namespace, stop_at: float) -> None:
    """Run the tests on the mutants of a module, on a random sample of them, or on those of one line.

    The results are saved, except if there was no time for some of the mutants, or with --line.

    Args:
        module: path of the module in `poets_edge`.
        given: options of the command line.
        stop_at: value of `time.monotonic()` after which no mutant is started.
    """
    every = list(mutants((ROOT / "poets_edge" / module).read_text(encoding="utf-8")))
    chosen = [mutant for mutant in every if given.line is None or given.line in mutant.before]
    chosen = draw(chosen, given.sample or len(chosen), given.seed)
    results = tuple(_run(module, chosen, given, stop_at))
    killed = sum(result.killed for result in results)
    print(f"{module}: {killed} of {len(results)} mutants killed", flush=True)
    if len(results) < len(chosen):
        print(f"{module}: {len(chosen) - len(results)} mutants not run; nothing is kept", file=sys.stderr)
    elif given.line is None:
        seed = given.seed if len(chosen) < len(every) else None
        save(
            module,
            ModuleResults(mutants=len(every), results=results, killed_first=killed, seed=seed, key=key(module)),
        )


def _run_survivors(module: str, given: argparse.Namespace, stop_at: float) -> None:
    """Run the tests on the mutants of a module that survived the last run, and update their saved results.

    Args:
        module: path of the module in `poets_edge`.
        given: options of the command line.
        stop_at: value of `time.monotonic()` after which no mutant is started.
    """
    saved = load(module, fresh=False)
    if saved is None:
        return
    last = {(result.line, result.before, result.after): result for result in saved.results}
    alive = {place for place, result in last.items() if not result.killed}
    every = mutants((ROOT / "poets_edge" / module).read_text(encoding="utf-8"))
    again = [mutant for mutant in every if (mutant.lines[0], mutant.before, mutant.after) in alive]
    results = _run(module, again, given, stop_at)
    last |= {(result.line, result.before, result.after): result for result in results}
    print(f"{module}: {sum(result.killed for result in results)} of {len(alive)} survivors killed", flush=True)
    save(module, replace(saved, results=tuple(last.values()), key=key(module)))


def _run_changed(given: argparse.Namespace, stop_at: float) -> None:
    """Run the tests on mutants of the lines that changed since a commit, and print the mutants that survive.

    If there are more than --most mutants, they are sampled with a fixed seed.

    Args:
        given: options of the command line.
        stop_at: value of `time.monotonic()` after which no mutant is started.
    """
    base: str = given.changed
    chosen: list[tuple[str, Mutant]] = []
    for module in MODULES:
        lines = _changed_lines(base, f"poets_edge/{module}")
        if lines:
            source = (ROOT / "poets_edge" / module).read_text(encoding="utf-8")
            chosen += [(module, mutant) for mutant in mutants(source) if lines & set(range(*_range(mutant)))]
    chosen = draw(chosen, given.most, seed=0)
    killed = total = 0
    for module in MODULES:
        of_module = [mutant for owner, mutant in chosen if owner == module]
        if of_module and time.monotonic() < stop_at:
            results = _run(module, of_module, given, stop_at)
            killed, total = killed + sum(result.killed for result in results), total + len(results)
    print(f"{killed} of {total} mutants in lines changed since {base} killed ({len(chosen) - total} not run)")


def _run(module: str, chosen: Sequence[Mutant], given: argparse.Namespace, stop_at: float) -> list[Result]:
    results: dict[Mutant, Result] = {}

    def keep(mutant: Mutant, outcome: str, killer: str) -> None:
        results[mutant] = Result(
            operator=mutant.operator,
            line=mutant.lines[0],
            before=mutant.before,
            after=mutant.after,
            outcome=outcome,
            killer=killer,
        )

    runner = ForkingRunner(module_name(module), chosen, keep, stop_at, given.jobs, given.slow)
    tests = [f"tests/{test}" for test in MODULES[module]]
    problems = run_mutants(runner, tests)
    if given.copy:
        left = [
            mutant
            for mutant, result in results.items()
            if not result.killed and not equivalent(module, result.before, result.after)
        ]
        with copied_checkout() as folder:
            problems += run_in_copy(folder, module, left, tests, keep)
    for problem in problems:
        print(f"{module}: not used: {problem}", file=sys.stderr)
    for result in results.values():
        if not result.killed and not equivalent(module, result.before, result.after):
            print(f"{module}:{result.line}: {result.outcome}: {result.before}  ->  {result.after}", flush=True)
    return list(results.values())


def _range(mutant: Mutant) -> tuple[int, int]:
    return mutant.lines[0], mutant.lines[1] + 1


def _changed_lines(base: str, path: str) -> set[int]:
    """Return the numbers of the lines of a file that were added or changed since the commit `base`."""
    diff = subprocess.run(
        ["git", "diff", "--unified=0", base, "--", path], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    lines: set[int] = set()
    for start, count in re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", diff, re.MULTILINE):
        lines |= set(range(int(start), int(start) + int(count or 1)))
    return lines


if __name__ == "__main__":
    main()
