"""Markdown tables of benchmark results, with the command, commit, date and machine."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from poets_edge.core.parallel import cores

RESULTS = Path(__file__).parent / "results"

STAND_INS = frozenset({"mobilenet_1.0_128", "mobilenet_1.0_160", "mobilenet_1.0_192"})
"""Architectures whose weights next to the checkout are for a different input size, so their accuracies are invalid."""


def accuracy(architecture: str, share: float) -> str:
    """Return an accuracy as a percentage for a table, such as "87.5".

    The result is a dash if the only available weights of the architecture are for a different input size, which makes
    the accuracy invalid (see `STAND_INS`).

    Args:
        architecture: name of the architecture.
        share: accuracy, 0 to 1.
    """
    return "-" if architecture in STAND_INS else f"{100 * share:.1f}"


def machine() -> str:
    """Return a description of this machine for the results."""
    try:
        facts = Path("/proc/cpuinfo").read_text()
    except OSError:
        facts = ""
    kind = "virtual machine" if " hypervisor" in facts else "machine"
    extras = ", AVX-512" if "avx512f" in facts else ""
    return f"{cores()}-core {platform.machine().replace('_', '-')} {kind}{extras}"


def load() -> float:
    """Return the load average of this machine over the last minute."""
    return os.getloadavg()[0]


def commit() -> str:
    """Return the short hash of the checked-out commit, with "and changes" if the working tree differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=RESULTS.parent, check=True, text=True, capture_output=True
        ).stdout

    changed = git("status", "--porcelain", "--", "../poets_edge", ".")
    return git("rev-parse", "--short=7", "HEAD").strip() + (" and changes" if changed else "")


def origin(command: str) -> str:
    """Return a line that states how results were measured: command, commit, date and machine."""
    made = f"commit {commit()}, {datetime.date.today().isoformat()}, {machine()}, Python {platform.python_version()}"
    return f"`{command}`, {made}"


def publish(name: str, title: str, command: str, rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """Write `results/<name>.md` and print it. The first row is the heading; columns after the first are right-aligned.

    Args:
        command: command line that repeats the measurement when run in the checkout.
    """
    heading, *body = rows
    lines = [
        f"# {title}",
        "",
        origin(command),
        "",
        "| " + " | ".join(heading) + " |",
        "|---|" + "--:|" * (len(heading) - 1),
        *("| " + " | ".join(row) + " |" for row in body),
        *(line for note in notes for line in ("", note)),
    ]
    RESULTS.mkdir(exist_ok=True)
    text = "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(f"\n{text}")
