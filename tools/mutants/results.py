"""Results of mutation testing, saved per module, and the report on all modules."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date

from tools.mutants.equivalents import equivalent
from tools.mutants.modules import MODULES
from tools.mutants.planted import load_planted
from tools.mutants.runner import NOTICED, ROOT

FOLDER = ROOT / "build/mutants"
REPORT = ROOT / "benchmarks/results/mutants.md"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A mutant and its outcome: "killed", "timeout", "survived", or "not reached" if no test executes its lines."""

    operator: str
    line: int
    before: str
    after: str
    outcome: str
    killer: str = ""

    @property
    def killed(self) -> bool:
        return self.outcome in NOTICED


def key(module: str) -> str:
    """Return a digest of a module and its tests; saved results are up to date while the digest is unchanged."""
    digest = hashlib.sha256()
    for path in (ROOT / "poets_edge" / module, *(ROOT / "tests" / test for test in MODULES[module])):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def save(module: str, results: Iterable[Result]) -> None:
    """Write the results of a module to `build/mutants`."""
    path = FOLDER / f"{module}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"key": key(module), "results": [asdict(result) for result in results]}
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def load(module: str, *, fresh: bool) -> list[Result] | None:
    """Return the saved results of a module; None if there are none, or if they are out of date and `fresh` is set."""
    path = FOLDER / f"{module}.json"
    if not path.exists():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    if fresh and rows["key"] != key(module):
        return None
    return [Result(**row) for row in rows["results"]]


def report() -> str:
    """Return the report as Markdown: a table with a row per module, and lists of the surviving mutants."""
    rows, reviewed, open_ones = [], [], []
    total = killed = equivalents = run = 0
    for module in MODULES:
        results = load(module, fresh=False)
        if results is None:
            rows.append(f"| `{module}` | not run | | | |")
            continue
        run += 1
        alive = [result for result in results if not result.killed]
        known = [(result, equivalent(module, result.before, result.after)) for result in alive]
        same = [(result, entry) for result, entry in known if entry]
        total, killed, equivalents = total + len(results), killed + len(results) - len(alive), equivalents + len(same)
        share = f"{100 * (len(results) - len(alive)) / max(1, len(results) - len(same)):.0f} %"
        age = "" if load(module, fresh=True) is not None else " (changed since)"
        rows.append(f"| `{module}`{age} | {len(results)} | {len(results) - len(alive)} | {len(same)} | {share} |")
        reviewed += [f"| `{module}` | `{r.before}` | `{r.after}` | {e.reason} |" for r, e in same if e]
        open_ones += [f"| `{module}:{r.line}` | `{r.before}` | `{r.after}` | {r.outcome} |" for r, e in known if not e]
    percent = 100 * killed / max(1, total - equivalents)
    return "\n".join(
        [
            "# Mutation testing",
            "",
            "`make mutants` plants one fault at a time in the modules of `tools/mutants/modules.py` (mathematics and",
            "guards) and runs the test files that belong to the module. Operators of cosmic-ray make the faults, and",
            "three of `tools/mutants/operators.py`: skip a check, remove a statement, add one to a number. A mutant is",
            "killed when a test fails. Modules marked as changed were run before their last change, or that of their",
            "tests: `make mutants` runs them again.",
            "",
            _origin(),
            "",
            f"**{run} of {len(MODULES)} modules run: {killed} of {total} mutants killed, {equivalents} equivalent;"
            f" {percent:.1f} % of the others.**",
            "",
            "| module | mutants | killed | equivalent | killed of the others |",
            "|---|--:|--:|--:|--:|",
            *rows,
            *_table("Equivalent mutants", ("module", "source", "mutant", "reason"), reviewed),
            *_table("Survivors", ("where", "source", "mutant", "outcome"), open_ones),
            *_planted(),
            "",
        ]
    )


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
        f"| `{name}` | `{row.before}` | `{row.after}` | {row.outcome} |".replace("\n", " ")
        for name, rows in found.items()
        for row in rows
        if not row.noticed
    ]
    return [
        "",
        "## Faults planted by hand",
        "",
        "`python -m tools.mutants --planted` plants the faults of `tools/mutants/planted.txt` one at a time and runs",
        "the fast tests that belong to the module. One that is not reached is in code that only slow tests run.",
        "",
        f"**{noticed} of {planted} faults in {len(found)} modules noticed.**",
        *_table("Planted", ("module", "planted", "noticed"), rows),
        *_table("Not noticed", ("module", "source", "fault", "outcome"), missed),
    ]


def _origin() -> str:
    """Return the line with the command, commit, date and machine, as on every page in benchmarks/results."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], check=True, capture_output=True, text=True).stdout
    status = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True, text=True).stdout
    machine = f"{os.cpu_count()}-core {platform.machine()} machine, Python {platform.python_version()}"
    changes = " and changes" if status else ""
    return f"`python -m tools.mutants`, commit {commit.strip()}{changes}, {date.today().isoformat()}, {machine}"


def _table(title: str, columns: tuple[str, ...], rows: list[str]) -> list[str]:
    if not rows:
        return []
    rows = [row.replace("||", "\\|\\|") for row in rows]
    return ["", f"**{title}**", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows]
