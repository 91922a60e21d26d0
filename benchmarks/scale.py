"""Time and memory of `train` on many generated photos, and bitwise comparison of its results (`results/scale.md`).

    python -m benchmarks.scale                          # all parts, in the default sizes: an hour
    python -m benchmarks.scale cold --photos 2000 4000  # some parts, or other sizes

- small: 1,000 photos with everything cached, alternating with another checkout if `--against` is given.
- unchanged: a second run over 100,000 unchanged photos, until the first training step of the head.
- cold: 20,000 and 200,000 small JPEGs with nothing cached: memory, and photos per second until the first step.
- cluster: 20,000 photos with only checksums cached: `--cluster local:2`, alternating with the threads of one process.
- killed: 40,000 photos on `--cluster local:2`, whose workers are killed at random 20 times; compares the graph with
  that of one process bit by bit, and counts the photos that were computed twice. Requires Linux.
- cached: 1,000,000 photos with everything cached.

Each run of `train` is a separate process, whose peak memory the system reports at its end. A million photos take 4 GB
on most file systems; `--dir` sets their folder. The cached vectors in the part `cached` are random numbers.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.scale_runs import NOTE, ROOT, Run, fill_cache, forget_bottlenecks, make_photos, train
from benchmarks.tables import load, machine
from poets_edge.training.vector_task import PHOTOS_PER_TASK

_ROUNDS = 7
_KILLS = 20


def small(folder: Path, counts: Sequence[int], options: argparse.Namespace) -> None:
    """Measure training runs with everything cached, alternating with another checkout if `options.against` is set."""
    checkouts = [ROOT, *([options.against.resolve()] if options.against else [])]
    for count in counts:
        photos = _photos(folder, count)
        for checkout in checkouts:
            train(photos, folder / checkout.name, checkout=checkout)
        runs: dict[Path, list[Run]] = {checkout: [] for checkout in checkouts}
        for _ in range(options.rounds):
            for checkout in checkouts:
                runs[checkout].append(train(photos, folder / checkout.name, checkout=checkout)[0])
        for checkout in checkouts:
            seconds, processor = (_median(runs[checkout], kind) for kind in ("seconds", "processor"))
            memory = _median(runs[checkout], "memory")
            _say(f"small {count:,}", f"{seconds:.2f} s, processor {processor:.2f} s, {memory:.0f} MB ({checkout})")
        if options.against:
            mine, other = (_median(runs[checkout], "seconds") for checkout in checkouts)
            same = runs[checkouts[0]][0].graph == runs[checkouts[1]][0].graph
            _say(f"small {count:,}", f"{mine / other:.3f} of its time; the graph is {_same(same)}")


def unchanged(folder: Path, counts: Sequence[int], options: argparse.Namespace) -> None:
    """Measure the time from the start of `train` to its first step in repeated runs over the same unchanged photos.

    It is printed next to the limit for 100,000 photos, 5 s.
    """
    for count in counts:
        photos = _photos(folder, count)
        train(photos, folder)
        firsts = [train(photos, folder)[0].first_step for _ in range(3)]
        _say(f"unchanged {count:,}", f"first step after {min(firsts):.1f} to {max(firsts):.1f} s (required: 5)")


def cold(folder: Path, counts: Sequence[int], options: argparse.Namespace) -> None:
    """Measure training runs with nothing cached.

    From the smallest to the largest number of photos, memory may grow by at most 20 %, and speed drop by at most 5 %.
    """
    runs = []
    for count in counts:
        run, _ = train(_photos(folder, count), folder / "work")
        runs.append(run)
        rate = count / run.first_step
        _say(
            f"cold {count:,}",
            f"{run.memory:.0f} MB, {rate:.0f} photos/s until the first step after {run.first_step:.0f} s,"
            f" {run.seconds:.0f} s in all, processor {run.processor:.0f} s",
        )
        shutil.rmtree(folder)
    if len(runs) > 1:
        memory = runs[-1].memory / runs[0].memory
        rates = [count / run.first_step for count, run in zip(counts, runs, strict=True)]
        _say(
            "cold", f"memory {memory:.2f} times (required: 1.2), rate {rates[-1] / rates[0]:.3f} times (required: 0.95)"
        )


def cluster(folder: Path, counts: Sequence[int], options: argparse.Namespace) -> None:
    """Compare the training speed with two worker processes and with the threads of one process.

    The worker processes must reach at least 90 % of the speed of the threads.
    """
    for count in counts:
        photos = _photos(folder, count)
        train(photos, folder)  # from here on, checksums are cached
        known = train(photos, folder)[0].first_step  # time without the computation of bottlenecks
        threads, processes = [], []
        for _ in range(3):
            forget_bottlenecks(folder)
            threads.append(train(photos, folder)[0])
            forget_bottlenecks(folder)
            processes.append(train(photos, folder, "--cluster", "local:2")[0])
        of_threads = statistics.median(count / (run.first_step - known) for run in threads)
        of_processes = statistics.median(count / (run.first_step - known) for run in processes)
        once_there = statistics.median(count / (run.first_step - run.connected) for run in processes)
        same = len({run.graph for run in [*threads, *processes]}) == 1
        _say(
            f"cluster {count:,}",
            f"local:2 {of_processes:.0f} photos/s with its start, {once_there:.0f} once the workers are there; threads"
            f" {of_threads:.0f}; {of_processes / of_threads:.2f} and {once_there / of_threads:.2f} times"
            f" (required: 0.9); the graphs are {_same(same)}",
        )


def killed(folder: Path, counts: Sequence[int], options: argparse.Namespace) -> None:
    """Kill workers during training; print whether the graph is unchanged, and how many vectors were computed twice."""
    for count in counts:
        photos = _photos(folder, count)
        alone, _ = train(photos, folder / "alone")
        tally = folder / "computed"
        run, kills = train(photos, folder / "killed", "--cluster", "local:2", kills=_KILLS, counted=tally)
        twice = tally.stat().st_size // NOTE - count
        _say(
            f"killed {count:,}",
            f"{kills} workers killed (of {_KILLS}); the graph is {_same(run.graph == alone.graph)}; {twice:,}"
            f" photos computed twice, at most {kills * PHOTOS_PER_TASK:,} were in flight ({PHOTOS_PER_TASK} a task)",
        )


def cached(folder: Path, counts: Sequence[int], options: argparse.Namespace) -> None:
    """Measure training runs with everything cached.

    The limits are 60 s and 1 GB for 1,000,000 photos, and 10 s and 400 MB for 100,000 photos.
    """
    for count in counts:
        photos = _photos(folder, count)
        fill_cache(photos, folder / "tf_files/bottlenecks")
        run, _ = train(photos, folder)
        _say(
            f"cached {count:,}",
            f"{run.seconds:.1f} s in all, first step after {run.first_step:.1f} s, processor"
            f" {run.processor:.1f} s, {run.memory:.0f} MB",
        )


_Part = Callable[[Path, Sequence[int], argparse.Namespace], None]
PARTS: dict[str, tuple[_Part, tuple[int, ...]]] = {
    "small": (small, (1_000,)),
    "unchanged": (unchanged, (100_000,)),
    "cluster": (cluster, (20_000,)),
    "killed": (killed, (40_000,)),
    "cold": (cold, (20_000, 200_000)),
    "cached": (cached, (1_000_000,)),
}


def _photos(folder: Path, count: int) -> Path:
    photos = folder / f"photos-{count}"
    make_photos(photos, count)
    return photos


def _median(runs: Sequence[Run], kind: str) -> float:
    return float(statistics.median(getattr(run, kind) for run in runs))


def _same(same: bool) -> str:
    return "the same, bit for bit" if same else "NOT the same"


def _say(what: str, text: str) -> None:
    print(f"{what}: {text}. Load {load():.1f}.", flush=True)


def main() -> None:
    """Run the parts named on the command line; by default, all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; by default all")
    parser.add_argument("--photos", nargs="+", type=int, metavar="N", help="how many, in place of the sizes above")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, for `small`")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="of `small`")
    parser.add_argument("--dir", type=Path, help="where photos and caches go; removed afterwards")
    options = parser.parse_intermixed_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}.")
    if options.dir:
        options.dir.mkdir(parents=True, exist_ok=True)
    print(machine(), flush=True)
    for name in options.parts or PARTS:
        part, counts = PARTS[name]
        with tempfile.TemporaryDirectory(prefix="poets_edge-scale-", dir=options.dir) as folder:
            part(Path(folder).resolve(), options.photos or counts, options)


if __name__ == "__main__":
    main()
