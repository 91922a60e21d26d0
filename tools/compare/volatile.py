"""What differs between two runs of one revision; `rules.Volatile` says what an entry can express."""

from __future__ import annotations

from tools.compare.rules import Volatile

VOLATILE = (
    Volatile(
        reason="The program's own caches: their form is nobody's business, and `cache` lists them.",
        file="files/.cache/*",
        skipped=True,
    ),
    Volatile(reason="As above.", file="files/.home/*", skipped=True),
    Volatile(reason="As above.", file="*/bottlenecks/*", skipped=True),
    Volatile(reason="The time of a training run.", file="*/run*.json", json="/date"),
    Volatile(reason="As above, as `runs --json` prints it.", file="*-runs.stdout", json="/*/date"),
    Volatile(reason="As above, as `runs` prints it.", file="*-runs.stdout", text=r"\d{4}-\d\d-\d\d \d\d:\d\d"),
)
