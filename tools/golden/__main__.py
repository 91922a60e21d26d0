"""Rewrite the golden outputs in tests/golden: `python -m tools.golden [CASE ...]`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tools.compare.running import ROOT
from tools.golden.arithmetic import arithmetic
from tools.golden.cases import GOLDEN
from tools.golden.run import Project

FOLDER = ROOT / "tests/golden"


def main(names: list[str]) -> None:
    """Rewrite the golden outputs (stored outputs of commands) of the named cases; without names, of all cases.

    Without names, outputs of cases that no longer exist are removed.

    Args:
        names: names of the cases.
    """
    chosen = [case for case in GOLDEN if not names or case.name in names]
    if unknown := set(names) - {case.name for case in GOLDEN}:
        known = ", ".join(case.name for case in GOLDEN)
        sys.exit(f"Error: no golden case is called {', '.join(sorted(unknown))}. There are: {known}.")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="golden-") as scratch:
        project = Project(Path(scratch))
        for case in chosen:
            (FOLDER / f"{case.name}.txt").write_text(project.text(case), "utf-8")
    if not names:
        for path in FOLDER.glob("*.txt"):
            if path.stem not in {case.name for case in GOLDEN}:
                path.unlink()
        (FOLDER / "machine.json").write_text(json.dumps(arithmetic(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
