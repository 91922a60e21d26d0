"""Reporter that tests pass to library functions."""

from __future__ import annotations

from poets_edge.progress import Silent


class Recorder(Silent):
    """Reporter that collects notes and warnings."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
