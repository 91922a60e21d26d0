"""Find the worker processes that a run with `--cluster local:N` has started, for tests that kill them."""

from __future__ import annotations

from pathlib import Path


def workers_of(parent: int) -> list[int]:
    """Return the IDs of the cluster worker processes that the process `parent` (an ID) has started, found in /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            above = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if above == parent and b"import serve" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # the process has ended meanwhile
            continue
    return found
