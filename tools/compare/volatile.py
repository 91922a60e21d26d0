"""Rules for values that differ between two runs of one revision; see `rules.Volatile` for the fields."""

from __future__ import annotations

from tools.compare.rules import Volatile

_CACHES = ("files/.cache/*", "files/.home/*", "*/bottlenecks/*", "files/out/cache/*", "*.sqlite", "*/__pycache__/*")

_BENCHMARK = (
    "/date",
    "/warnings",
    "/results/*/latency_ms/*",
    "/results/*/rounds_differ",
    "/results/*/load_ms",
    "/results/*/first_ms",
    "/results/*/stages_ms/*",
    "/results/*/photos_per_second",
    "/results/*/peak_memory_mb",
    "/results/*/rounds/*/*_ms",
    "/results/*/rounds/*/peak_memory_mb",
    "/results/*/rounds/*/warm_up_runs",
    "/results/*/rounds/*/steady",
    "/results/*/operators/wall_us",
    "/results/*/operators/runs",
    "/results/*/operators/operators/*/us",
)
_SUSTAINED = (
    "/warnings",
    "/models/*/first_ms",
    "/models/*/last_ms",
    "/models/*/late",
    "/models/*/windows/*/seconds",
    "/models/*/windows/*/runs",
    "/models/*/windows/*/late",
    "/models/*/windows/*/*_ms",
)
_GRID = (
    "/points/*/latency_ms/*",
    "/points/*/photos_per_second",
    "/points/*/beside_best",
    "/front",
    "/choice/*",
    "/warnings",
)

VOLATILE = (
    # Files
    *(
        Volatile(reason="A cache: the program's own affair; `cache` lists it.", file=file, skipped=True)
        for file in _CACHES
    ),
    Volatile(reason="Draws measured times.", case="grid-measured*", file="*/chart.*", skipped=True),
    Volatile(
        reason="Shows measured times; `grid` has the page.", case="grid-measured*", file="*/report.html", skipped=True
    ),
    Volatile(reason="Measured times.", file="*/latency.jsonl", skipped=True),
    Volatile(reason="Draws measured times.", file="*/heat.svg", skipped=True),
    # JSON
    Volatile(reason="The time of a training run.", file="*/run*.json", json="/date"),
    Volatile(reason="As above, as `runs --json` prints it.", case="runs", json="/*/date"),
    *(Volatile(reason="Measured times.", case="benchmark*", json=path) for path in _BENCHMARK),
    *(Volatile(reason="Measured times.", case="benchmark-sustained", json=path) for path in _SUSTAINED),
    *(Volatile(reason="Measured times, and what they decide.", case="grid-measured*", json=path) for path in _GRID),
    Volatile(reason="How long each part of the grid took.", case="grid*", json="/seconds/*"),
    Volatile(reason="Measured times.", case="quickstart", json="/files/*/latency_ms"),
    Volatile(reason="Decided by times.", case="benchmark-sustained", json="/models/*/slowdown", nullable=True),
    Volatile(reason="Null at first.", case="watch", json="/*/photos_per_second", nullable=True),
    *(
        Volatile(reason="The time of an answer, and measured times.", case="watch", json=f"/*/{name}")
        for name in ("time", "latency_ms")
    ),
    # Texts
    Volatile(reason="Progress, at random moments.", file="*.stderr", text=r".*\d%(\||,).*|^.*\r", shown=""),
    Volatile(reason="The time of a training run.", case="runs", file="*.stdout", text=r"\d{4}-\d\d-\d\d \d\d:\d\d"),
    Volatile(reason="Measured times.", case="benchmark", file="*.stdout", numbers=True),
    Volatile(reason="Measured times.", case="quickstart", file="*.stdout", text=r" +\d+\.\d\d$"),
    Volatile(reason="The time of an answer.", case="watch", file="*.stdout", text=r"^\d\d:\d\d:\d\d"),
    Volatile(reason="Measured times.", case="watch", file="*.stdout", text=r"  (\d+\.\d photos/s, )?\d+\.\d ms$"),
)
