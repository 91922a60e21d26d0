"""Results of mutation testing, saved per module, and the report on all modules."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from datetime import date

from tools.mutants.equivalents import equivalent
from tools.mutants.modules import MODULES
from tools.mutants.planted import load_planted
from tools.mutants.runner import NOTICED, ROOT
from tools.mutants.sampling import Sample, killed_share

FOLDER = ROOT / "build/mutants"
REPORT = ROOT / "benchmarks/results/mutants.md"


@dataclass(frozen=True, kw_only=True)
class Result:
    """Mutant and the outcome of running the tests on it.

    Attributes:
        operator: name of the mutation operator.
        line: number of the first line of the changed statement.
        before, after: the original and the changed source lines.
        outcome: "killed", "timeout", "survived", or "not reached" if no test executes the lines.
        killer: test that detected the fault; empty if none did.
    """

    operator: str
    line: int
    before: str
    after: str
    outcome: str
    killer: str = ""

    @property
    def killed(self) -> bool:
        return self.outcome in NOTICED


@dataclass(frozen=True, kw_only=True)
class ModuleResults:
    """Results of running the tests on all mutants of a module, or on a random sample of them.

    Attributes:
        mutants: number of the module's mutants.
        results: results of the mutants that were run.
        killed_first: number of `results` killed in their first run, before tests were added for the survivors.
        seed: seed with which the sample was drawn; None if all mutants were run.
        key: digest of the module and its tests at the last run.
    """

    mutants: int
    results: tuple[Result, ...]
    killed_first: int
    seed: int | None
    key: str

    @property
    def killed(self) -> int:
        return sum(result.killed for result in self.results)

    def sample(self, equivalents: int) -> Sample | None:
        """Return the numbers of all, sampled and killed mutants, without equivalent ones; None if none are left.

        For a random sample, the mutants killed in its first run are counted. Tests that were added later kill the
        survivors of the sample, but not as large a share of the other mutants.

        Args:
            equivalents: number of mutants in the sample that no test can kill.
        """
        drawn = len(self.results) - equivalents
        killed = self.killed if self.seed is None else self.killed_first
        share = drawn / max(1, len(self.results))
        return Sample(mutants=self.mutants * share, drawn=drawn, killed=killed) if drawn else None


def key(module: str) -> str:
    """Return a digest of the source of a module and of its tests.

    Saved results of mutation tests are up to date while the digest is unchanged.
    """
    digest = hashlib.sha256()
    for path in (ROOT / "poets_edge" / module, *(ROOT / "tests" / test for test in MODULES[module])):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def save(module: str, found: ModuleResults) -> None:
    """Write the results of a module to `build/mutants`."""
    path = FOLDER / f"{module}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")


def load(module: str, *, fresh: bool) -> ModuleResults | None:
    """Return the saved mutation test results of a module; None if there are none.

    Args:
        module: path of the module in `poets_edge`.
        fresh: whether to return None, too, if the module or its tests have changed since.
    """
    path = FOLDER / f"{module}.json"
    if not path.exists():
        return None
    saved = json.loads(path.read_text(encoding="utf-8"))
    if fresh and saved["key"] != key(module):
        return None
    return ModuleResults(**{**saved, "results": tuple(Result(**row) for row in saved["results"])})


def report(page: str) -> str:
    """Return a new report as Markdown: a row for each module, the surviving mutants, and the faults planted by hand.

    Args:
        page: text of the previous report. Those of its sections that are written by hand, recognized by titles that do
            not occur in the new report, are appended to the new report.
    """
    written = "\n".join([*_generated(), *_planted(), ""])
    titles = re.findall(r"^## .*$", written, re.MULTILINE)
    sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    kept = [section for section in sections if section.partition("\n")[0] not in titles]
    return "".join([written, "\n" if kept else "", *kept])


def _generated() -> list[str]:
    """Return the lines of the report on mutants that mutation operators have generated."""
    found = {module: results for module in MODULES if (results := load(module, fresh=False))}
    rows, reviewed, survivors, every, others = [], [], [], [], []
    for module in MODULES:
        if module not in found:
            rows.append(f"| `{module}` | not run | | | | | |")
            continue
        results = found[module]
        known = [(r, equivalent(module, r.before, r.after)) for r in results.results if not r.killed]
        same = sum(entry is not None for _, entry in known)
        every += [sample] if (sample := results.sample(0)) else []
        others += [other] if (other := results.sample(same)) else []
        share = f"{100 * other.killed / other.drawn:.0f} %" if other else ""
        drawn = f"{len(results.results)}" + ("" if results.seed is None else f", seed {results.seed}")
        age = "" if results.key == key(module) else " (changed since)"
        numbers = f"{results.mutants} | {drawn} | {results.killed_first} | {results.killed} | {same} | {share}"
        rows.append(f"| `{module}`{age} | {numbers} |")
        reviewed += [
            f"| `{module}` | {_code(r.before)} | {_code(r.after)} | {entry.reason} |" for r, entry in known if entry
        ]
        survivors += [
            f"| `{module}:{r.line}` | {_code(r.before)} | {_code(r.after)} | {r.outcome} |"
            for r, entry in known
            if not entry
        ]
    sizes = [len(results.results) for results in found.values() if results.seed is not None]
    return [
        "# Mutation testing",
        "",
        "`make mutants` plants one fault at a time in the modules of `tools/mutants/modules.py` (mathematics and",
        "guards) and runs the fast tests in the files that belong to the module. Operators of cosmic-ray make the",
        "faults, and three of `tools/mutants/operators.py`: skip a check, remove a statement, add one to a number.",
        "A mutant is killed when a test fails. Modules marked as changed were run before their last change, or that",
        "of their tests: `make mutants` runs them again.",
        "",
        "With `--sample`, mutants of each module are drawn at random. The first number of killed mutants is from the",
        "first run of the sample, the second from a run with the tests that were added for its survivors. Shares use",
        "the first number, because the added tests say little about mutants outside the sample.",
        "",
        _origin(f"python -m tools.mutants --sample {max(sizes)}" if sizes else "python -m tools.mutants"),
        "",
        f"**{len(found)} of {len(MODULES)} modules, {sum(len(results.results) for results in found.values())} of"
        f" {sum(results.mutants for results in found.values())} mutants run."
        f" Killed: {_percent(every)} of all, {_percent(others)} of those that are not equivalent.**",
        "",
        "| module | mutants | run | killed first | killed | equivalent | share of others killed |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *rows,
        *_table("Equivalent mutants", ("module", "source", "mutant", "reason"), reviewed),
        *_table("Survivors", ("where", "source", "mutant", "outcome"), survivors),
    ]


def _percent(samples: list[Sample]) -> str:
    if not samples:
        return "none"
    share, low, high = (100 * value for value in killed_share(samples))
    return f"{share:.1f} %" if low == high else f"{share:.1f} % ({low:.1f} to {high:.1f} %)"


def _planted() -> list[str]:
    """Return the lines of the report's section on hand-written faults."""
    found = load_planted()
    if not found:
        return []
    planted, noticed = (
        sum(len(rows) for rows in found.values()),
        sum(row.noticed for rows in found.values() for row in rows),
    )
    rows = [f"| `{name}` | {len(rows)} | {sum(row.noticed for row in rows)} |" for name, rows in found.items()]
    missed = [
        f"| `{name}` | {_code(row.before)} | {_code(row.after)} | {row.outcome} |".replace("\n", " ")
        for name, rows in found.items()
        for row in rows
        if not row.noticed
    ]
    return [
        "",
        "## Faults planted by hand",
        "",
        "`python -m tools.mutants --planted` plants the faults of `tools/mutants/faults` one at a time and runs",
        "the fast tests that belong to the module. One that is not reached is in code that only slow tests run.",
        "",
        _origin("python -m tools.mutants --planted"),
        "",
        f"**{noticed} of {planted} faults in {len(found)} modules noticed.**",
        *_table("Planted", ("module", "planted", "noticed"), rows),
        *_table("Not noticed", ("module", "source", "fault", "outcome"), missed),
    ]


def _origin(command: str) -> str:
    """Return a line with a command and the current commit, date and machine.

    Every page in benchmarks/results has such a line.
    """
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], check=True, capture_output=True, text=True).stdout
    status = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True, text=True).stdout
    machine = f"{os.cpu_count()}-core {platform.machine()} machine, Python {platform.python_version()}"
    changes = " and changes" if status else ""
    return f"`{command}`, commit {commit.strip()}{changes}, {date.today().isoformat()}, {machine}"


def _table(title: str, columns: tuple[str, ...], rows: list[str]) -> list[str]:
    if not rows:
        return []
    return ["", f"**{title}**", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows]


def _code(text: str) -> str:
    """Return source code formatted as a cell of a Markdown table."""
    return f"`{text}`".replace("|", "\\|")
