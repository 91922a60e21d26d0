"""Rules for volatile and intended differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

Path = tuple[str | int, ...]
"""Keys and indices that lead to a value inside a JSON document."""


@dataclass(frozen=True, kw_only=True)
class Volatile:
    """Value that differs between two runs of one revision. Its presence and type are still compared.

    Attributes:
        reason: cause of the difference.
        case: pattern of case names, as `fnmatch` reads it.
        file: pattern of output names, such as "*.stdout" or "*/report.html".
        json: pattern of a path inside a JSON document: steps after "/", "*" for one step, "**" for any number.
            The values there are replaced by the names of their types.
        nullable: the values at `json` may also be null, so that their types differ, too.
        text: regular expression; its matches in a text are replaced by `shown`, and lines that become empty are
            removed.
        shown: replacement for `text`.
        numbers: replace every number in a text by "#", and every run of spaces by one space.
        skipped: ignore the file, even if it exists in one run only.
    """

    reason: str
    case: str = "*"
    file: str = "*"
    json: str = ""
    nullable: bool = False
    text: str = ""
    shown: str = "..."
    numbers: bool = False
    skipped: bool = False


@dataclass(frozen=True, kw_only=True)
class Intended:
    """Intended difference from the base revision.

    With `json` alone, any difference at or below that path is accepted. With neither `json` nor a later field, any
    difference in the file is accepted, including a missing or an additional file.

    Attributes:
        reason: the change and its purpose.
        case: pattern of case names, as `fnmatch` reads it.
        file: pattern of output names, as the comparison prints them.
        json: pattern of a path inside a JSON document, as in `Volatile`.
        renamed: the new key of the value at `json`; without `json`, the new name of the file. If `file` contains one
            "*", a "*" in the new name stands for the text that it matched.
        replaced: old and new text; the old text is replaced in the base revision's text or JSON strings. The widths
            of columns may then differ.
        figures: compare only the numbers in a text, or in the visible text of a page, in order.
    """

    reason: str
    case: str = "*"
    file: str = "*"
    json: str = ""
    renamed: str = ""
    replaced: tuple[str, str] = ("", "")
    figures: bool = False

    @property
    def accepts(self) -> bool:
        """Return whether the rule accepts every difference; other rules translate the old output for the comparison."""
        return not (self.renamed or self.replaced[0] or self.figures)


def applies(rule: Volatile | Intended, case: str, file: str) -> bool:
    """Return whether a rule applies to an output of a case."""
    return fnmatchcase(case, rule.case) and fnmatchcase(file, rule.file)


def at_path(pattern: str, path: Path) -> bool:
    """Return whether a pattern such as "/results/*/latency_ms/**" matches a whole path."""
    return _matches(pattern.split("/")[1:], path)


def at_or_below(pattern: str, path: Path) -> bool:
    """Return whether a pattern matches a path or one of its parents."""
    return any(at_path(pattern, path[:length]) for length in range(len(path) + 1))


def _matches(steps: Sequence[str], path: Path) -> bool:
    if not steps:
        return not path
    if steps[0] == "**":
        return any(_matches(steps[1:], path[start:]) for start in range(len(path) + 1))
    return bool(path) and fnmatchcase(str(path[0]), steps[0]) and _matches(steps[1:], path[1:])
