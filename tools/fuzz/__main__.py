"""Fuzzer: run commands on hostile files, which must be accepted, or rejected with a one-line error message.

    python -m tools.fuzz --seconds 60 --seed 1 --kinds models,photos
    python -m tools.fuzz --tries models=10000,photos=2000 --report fuzzing.md

Files are generated from a seed, so runs with equal seeds try equal files. Files that cause a fault (a signal, a hang, a
traceback, more than a gigabyte, a score that is not a number, a failure without a message, a change to an unrelated
file) are saved under --keep. The command that reproduces the fault is printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.decoy import Decoy
from tools.fuzz.cases import KINDS
from tools.fuzz.preparation import draw_folder, prepare
from tools.fuzz.server import ROOT, STRICT, USUAL, Outcome, run

_TRIES_A_REPORT = 100
_LARGE = 32_000_000
"""Size in bytes above which a file is given to a process of its own. After generating such files, the memory of this
process is fragmented, and a fork needs up to 100 MB more than a new process for the same work."""
_STRICT_KINDS = ("servers", "archives", "exclude", "devices", "options")


def fuzz(kind: str, number: int, seed: int, seeds: Path, keep: Path | None) -> Outcome:
    """Generate a hostile file, run a command of poets_edge on it, and return the outcome.

    Args:
        kind: kind of file, a key of `KINDS`.
        number: number of the file, which determines the file together with `seed` and `kind`.
        seed: seed of the random number generator.
        seeds: folder of the valid files that are mutated.
        keep: folder in which files of less than 100 kB are saved if there is a fault; None to save nothing.
    """
    rng = Random(f"{seed} {kind} {number}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        work = Path(name)
        draw_folder(work)
        shutil.copy(work / "folder/daisy/0.png", work / "photo.png")
        command, files = KINDS[kind](seeds, work, rng)
        decoys = Decoy()
        decoys.plant(work / "beside")
        decoys.plant_everywhere(work)
        if kind != "caches":  # training repairs its own cache
            decoys.watch(work)
        apart = kind == "run-graphs" or any(file.stat().st_size > _LARGE for file in files)
        outcome = run(command, work, apart=apart, limits=STRICT if kind in _STRICT_KINDS else USUAL)
        given = {work / word.partition("=")[2] for word in command} | {work / word for word in command}
        if changed := [path for path in decoys.changed() if Path(path) not in given]:  # an output may replace a file
            outcome = replace(outcome, kind="touched", detail=changed[0])
        if outcome.is_fault and keep:
            keep.mkdir(parents=True, exist_ok=True)
            for file in files:
                if file.stat().st_size < 100_000:
                    shutil.copy(file, keep / f"{kind}-{seed}-{number}{file.suffix}")
            line = " ".join(command).replace(name, "").replace(str(ROOT), "")
            print(ascii(f"{kind} {number}: {outcome.kind}: {outcome.detail[-300:]} | {line[:1000]}"), flush=True)
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, over all kinds; without --tries")
    parser.add_argument("--tries", default="", help="how many of each kind instead: models=10000,photos=2000")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which kinds, %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where faults are kept, %(default)s")
    parser.add_argument("--report", type=Path, help="write the table there as Markdown")
    given = parser.parse_args()
    tries = {name: int(count) for name, count in (part.split("=") for part in given.tries.split(",") if part)}
    kinds = list(tries) or given.kinds.split(",")
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as name:
        seeds = prepare(Path(name), kinds)
        for kind in kinds:
            end = time.monotonic() + given.seconds / len(kinds)
            number = 0
            while number < tries[kind] if tries else time.monotonic() < end:
                outcomes[kind].append(fuzz(kind, number, given.seed, seeds, given.keep))
                number += 1
                if given.report and number % _TRIES_A_REPORT == 0:  # an interrupted run has printed its results so far
                    given.report.write_text(table(outcomes, given.seed))
    text = table(outcomes, given.seed)
    print(text)
    if given.report:
        given.report.write_text(text)
    return int(any(outcome.is_fault for several in outcomes.values() for outcome in several))


def table(outcomes: dict[str, list[Outcome]], seed: int) -> str:
    """Return a Markdown table that shows, for each kind of file, how often each outcome occurred."""
    kinds = ("answered", "one line", "signal", "hang", "traceback", "memory", "no number", "silent", "touched")
    lines = [
        f"| files (seed {seed}) | tries | {' | '.join(kinds)} | largest MB | slowest s |",
        f"|---|{'--:|' * (len(kinds) + 3)}",
    ]
    for name, several in outcomes.items():
        counts = Counter(outcome.kind for outcome in several)
        cells = " | ".join(str(counts[kind]) for kind in kinds)
        largest = max(outcome.megabytes for outcome in several)
        slowest = max(outcome.seconds for outcome in several)
        lines.append(f"| {name} | {len(several)} | {cells} | {largest} | {slowest:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
