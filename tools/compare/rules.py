"""Rules for the differences that a comparison of the outputs of two revisions accepts.

Volatile values differ between any two runs; intended differences result from changes of poets_edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

Path = tuple[str | int, ...]
"""Keys and indices that lead to a value inside a JSON document."""


@dataclass(frozen=True, kw_only=True)
class Volatile:
    """Rule for values that differ between two runs of one revision; their presence and types are still compared.

    Attributes:
        reason: cause of the difference.
        case: pattern of case names, as `fnmatch` reads it.
        file: pattern of output names, such as "*.stdout" or "*/report.html".
        json: pattern of a path inside a JSON document, with "/" before each step, "*" for any step, and "**" for any
            number of steps. The values at matching paths are replaced by the names of their types.
        nullable: whether the values at `json` may be null in only one of the runs.
        text: regular expression; its matches are replaced by `shown`, and lines that become empty are removed.
        shown: replacement for matches of `text`.
        numbers: whether to replace every number in a text with "#", and every run of spaces with one space.
        skipped: whether to ignore the file, even if it exists in only one run.
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
    """Rule for an intended difference from the base revision.

    If only `json` is set, any difference at or below that path is accepted. If neither `json` nor a later field is set,
    any difference in the file is accepted, including a missing or an additional file.

    Attributes:
        reason: the change and its purpose.
        case: pattern of case names, as `fnmatch` reads it.
        file: pattern of output names, as the comparison prints them.
        json: pattern of a path inside a JSON document, as in `Volatile`.
        renamed: new key of the value at `json`; without `json`, the new name of the file, in which "*" stands for the
            text that a single "*" in `file` matches.
        replaced: old text, and the text that replaces it in the base revision's texts and JSON strings. The widths of
            columns may then differ.
        figures: whether to compare only the numbers in a text, or in the visible text of a page, in order.
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
        """Whether the rule accepts every difference, instead of changing the outputs before they are compared."""
        return not (self.renamed or self.replaced[0] or self.figures)


def applies(rule: Volatile | Intended, case: str, file: str) -> bool:
    """Return whether a rule applies to the output `file` of the case named `case`."""
    return fnmatchcase(case, rule.case) and fnmatchcase(file, rule.file)


def at_path(pattern: str, path: Path) -> bool:
    """Return whether a pattern such as "/results/*/latency_ms/**" matches the whole path of a JSON value."""
    return _matches(pattern.split("/")[1:], path)


def at_or_below(pattern: str, path: Path) -> bool:
    """Return whether a pattern matches the path of a JSON value, or the path of a value that contains it."""
    return any(at_path(pattern, path[:length]) for length in range(len(path) + 1))


def _matches(steps: Sequence[str], path: Path) -> bool:
    if not steps:
        return not path
    if steps[0] == "**":
        return any(_matches(steps[1:], path[start:]) for start in range(len(path) + 1))
    return bool(path) and fnmatchcase(str(path[0]), steps[0]) and _matches(steps[1:], path[1:])
