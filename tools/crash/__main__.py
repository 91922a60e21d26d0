"""Kill commands at random moments, and at every file rename and database commit.

    python -m tools.crash --kills 200 --points all

After each kill, every file must equal the previous file or the output of a complete run, no file may be missing, and
graph, labels and training record must come from the same run. The next run must produce the files of an uninterrupted
run, bit for bit. Only files that are equal in two uninterrupted runs are compared. This excludes reports, which contain
times.

With --writers, two or three commands run concurrently in one folder (training runs on different photos, exports
or downloads); the final files must all be the outputs of a single command.

Ctrl-C ends the current part and prints its results.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import tempfile
import time
from pathlib import Path

from tests.photos.server import Files, serving
from tools.crash.commands import COMMANDS
from tools.crash.kills import every_point, random_kills
from tools.crash.runner import Runner, archive_of, draw_photos
from tools.crash.trial import Trial
from tools.crash.writers import run_writers


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="at random moments")
    parser.add_argument("--writers", type=int, default=0, help="rounds of two and three at once")
    parser.add_argument("--points", default="", help="commands to kill at renames and commits: train,export or all")
    parser.add_argument("--most", type=int, default=0, help="kills of each of these, if not as many as usual")
    parser.add_argument("--commands", default="", help="those to kill at random, if not all")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="time for the random kills, without preparation"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = given.commands.split(",") if given.commands else [command.name for command in COMMANDS]
    points = [command.name for command in COMMANDS] if given.points == "all" else given.points.split(",")
    wrong = []
    with tempfile.TemporaryDirectory() as name, serving(Files()) as server:
        work = Path(name)
        photos = draw_photos(work)
        content = archive_of(photos[0])
        server.content["/flowers.tgz"] = content
        runner = Runner(work, photos, f"{server.url}/flowers.tgz {len(content)} {hashlib.sha256(content).hexdigest()}")
        wanted = {*(random if given.kills else ()), *points}
        trials = []
        for command in (command for command in COMMANDS if command.name in wanted):
            started = time.monotonic()
            trials.append(Trial(command, runner))
            spent = time.monotonic() - started
            print(f"{command.name}: prepared in {spent:.0f} s; a run takes {trials[-1].seconds:.1f} s", flush=True)
        for trial in (trial for trial in trials if trial.command.name in points):
            there, count, found = every_point(trial, given.most)
            print(
                f"{trial.command.name}: killed {count} times before or after its {there} renames and commits;"
                f" {len(found)} faults",
                flush=True,
            )
            wrong += found
        if given.kills:
            killed, found = random_kills(
                [t for t in trials if t.command.name in random], given.kills, given.seed, given.seconds
            )
            by_name = ", ".join(f"{count} {name}" for name, count in sorted(killed.items()))
            print(f"killed at random {killed.total()} times ({by_name}); {len(found)} faults", flush=True)
            wrong += found
        if given.writers:
            rounds, found = run_writers(given.writers, runner)
            print(f"{rounds} rounds of two and three at once; {len(found)} faults", flush=True)
            wrong += found
    print("\n".join(wrong) or f"nothing lost, nothing mixed, nothing left behind (seed {given.seed})")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
