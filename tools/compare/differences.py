"""Find the differences between the outputs of two revisions of poets_edge.

Two kinds of differences are accepted: those that occur between any two runs (volatile values), and intended ones.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.compare import rules
from tools.compare.documents import Content, Document, Number, nodes, read_content
from tools.compare.rules import Intended, Volatile, applies, at_or_below, at_path

_SHOWN = 120
"""Maximum number of characters of a value that a report shows; longer values are shortened."""
_LONG = 5000
"""Maximum number of lines in a text at which frequent lines are also matched, because this takes quadratic time."""
_NUMBER = re.compile(r"(?<!\w)\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_ABSENT = "(none)"


@dataclass(frozen=True)
class Difference:
    """A difference between the outputs of two revisions.

    Attributes:
        file: name of the output.
        place: path inside a JSON document, or line number in a text; empty if the difference concerns the whole file.
        old: value in the output of the base revision, shortened if long.
        new: value in the output of the revision compared with it, shortened if long.
    """

    file: str
    place: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}{' ' if self.place else ''}{self.place}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class Rules:
    """Rules for accepting differences between outputs.

    Attributes:
        volatile: rules for values that differ between any two runs.
        intended: rules for intended differences.
        used: the rules in `intended` that have been applied, updated by the comparison.
    """

    volatile: Sequence[Volatile]
    intended: Sequence[Intended]
    used: set[Intended]


def compare_outputs(case: str, old: Path, new: Path, found: Rules, *, stderr: bool = False) -> list[Difference]:
    """Return the differences between the outputs of two runs of a test case, except those that a rule accepts.

    Args:
        case: name of the case.
        old: folder with the outputs of the base revision, as written by `running.run_case`.
        new: folder with the outputs of the revision compared with it.
        found: the rules.
        stderr: whether to compare the standard error output of the commands, too.
    """
    before, after = _files(case, old, found, stderr), _files(case, new, found, stderr)
    before = {_new_name(case, name, found): path for name, path in before.items()}
    differences: list[Difference] = []
    for name in sorted(before.keys() | after.keys()):
        here = [rule for rule in found.intended if applies(rule, case, name)]
        whole = [rule for rule in here if rule.accepts and not rule.json]
        if name not in before or name not in after:
            missing = Difference(name, "", *(("there", _ABSENT) if name in before else (_ABSENT, "there")))
            differences += _unless(whole, [missing], found)
        elif before[name].read_bytes() != after[name].read_bytes():
            quiet = [rule for rule in found.volatile if applies(rule, case, name)]
            pair = [settle(read_content(files[name]), quiet) for files in (before, after)]
            differences += _unless(whole, list(_different(name, pair[0], pair[1], here, found)), found)
    return differences


def _files(case: str, outputs: Path, found: Rules, stderr: bool) -> dict[str, Path]:
    names = {path.relative_to(outputs).as_posix(): path for path in sorted(outputs.rglob("*")) if path.is_file()}
    skipped = [rule for rule in found.volatile if rule.skipped]
    return {
        name: path
        for name, path in names.items()
        if not any(applies(rule, case, name) for rule in skipped) and (stderr or not name.endswith(".stderr"))
    }


def _new_name(case: str, name: str, found: Rules) -> str:
    for rule in found.intended:
        if rule.renamed and not rule.json and applies(rule, case, name):
            found.used.add(rule)
            front, _, end = rule.file.partition("*")
            return rule.renamed.replace("*", name[len(front) : len(name) - len(end)])
    return name


def _unless(accepting: list[Intended], differences: list[Difference], found: Rules) -> list[Difference]:
    if accepting and differences:
        found.used.update(accepting)
        return []
    return differences


def settle(content: Content, quiet: Sequence[Volatile]) -> Content:
    """Return a copy of an output in which the parts that differ between any two runs are replaced by placeholders.

    Args:
        content: the output.
        quiet: rules for these parts.
    """
    if isinstance(content, Document):
        for rule in quiet:
            if rule.json:
                content = Document(_map(content.value, rule.json, _any if rule.nullable else _type_name))
        return content
    if isinstance(content, bytes):
        return content
    lines = content
    for rule in quiet:
        if rule.text:
            replaced = [(line, re.sub(rule.text, rule.shown, line)) for line in lines]
            lines = [new for line, new in replaced if new or not line]
        if rule.numbers:
            lines = [re.sub(r"[ ]+", " ", _NUMBER.sub("#", line)) for line in lines]
    return lines


def _type_name(value: Any) -> str:
    return f"<{'number' if isinstance(value, Number) else type(value).__name__}>"


def _any(_: Any) -> str:
    return "<any>"


def _map(value: Any, pattern: str, change: Any, path: rules.Path = ()) -> Any:
    """Return a copy of a JSON value in which a function is applied to all values whose paths match a pattern."""
    if at_path(pattern, path):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(inner, pattern, change, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_map(inner, pattern, change, (*path, index)) for index, inner in enumerate(value)]
    return value


def _different(name: str, old: Content, new: Content, here: list[Intended], found: Rules) -> Iterator[Difference]:
    translated = old
    for rule in here:
        before, translated = translated, _translated(translated, rule)
        if translated is not before:
            found.used.add(rule)
    if isinstance(translated, list) and isinstance(new, list) and translated is not old:
        # Changed words change the widths of columns.
        translated, new = ([re.sub(" +", " ", line) for line in lines] for lines in (translated, new))
    old = translated
    if isinstance(old, Document) and isinstance(new, Document):
        accepting = [rule for rule in here if rule.accepts and rule.json]
        for path, one, other in _json_differences(old.value, new.value):
            reasons = [rule for rule in accepting if at_or_below(rule.json, path)]
            found.used.update(reasons)
            if not reasons:
                yield Difference(name, "/" + "/".join(map(str, path)), _short(one), _short(other))
    elif isinstance(old, list) and isinstance(new, list):
        figures = [rule for rule in here if rule.figures]
        found.used.update(figures)
        yield from _line_differences(name, *(_figures(old), _figures(new)) if figures else (old, new))
    elif isinstance(old, bytes) and isinstance(new, bytes):
        if old != new:
            yield Difference(name, "", *_bytes(name, old, new))
    else:
        yield Difference(name, "", _kind(old), _kind(new))


def _translated(content: Content, rule: Intended) -> Content:
    """Return a copy of an output of the base revision, changed as the rule for an intended difference specifies.

    If the rule changes nothing, the same object is returned, not a copy.
    """
    before, after = rule.replaced
    if before:
        if isinstance(content, Document):
            value = _strings(content.value, before, after)
            return content if value == content.value else Document(value)
        if isinstance(content, list):
            lines = [line.replace(before, after) for line in content]
            return content if lines == content else lines
    if rule.json and rule.renamed and isinstance(content, Document):
        value = _renamed(content.value, rule.json, rule.renamed)
        return content if value == content.value else Document(value)
    return content


def _strings(value: Any, before: str, after: str) -> Any:
    if isinstance(value, dict):
        return {_strings(key, before, after): _strings(inner, before, after) for key, inner in value.items()}
    if isinstance(value, list):
        return [_strings(inner, before, after) for inner in value]
    return value.replace(before, after) if isinstance(value, str) and not isinstance(value, Number) else value


def _renamed(value: Any, pattern: str, name: str, path: rules.Path = ()) -> Any:
    if isinstance(value, dict):
        return {
            name if at_path(pattern, (*path, key)) else key: _renamed(inner, pattern, name, (*path, key))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_renamed(inner, pattern, name, (*path, index)) for index, inner in enumerate(value)]
    return value


def _json_differences(old: Any, new: Any, path: rules.Path = ()) -> Iterator[tuple[rules.Path, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in old or key not in new:
                yield (*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT)
            else:
                yield from _json_differences(old[key], new[key], (*path, key))
        if list(old) != list(new) and old.keys() == new.keys():
            yield path, f"keys in the order {', '.join(old)}", ", ".join(new)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield path, f"{len(old)} items", f"{len(new)} items"
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _json_differences(one, other, (*path, index))
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _line_differences(name: str, old: list[str], new: list[str]) -> Iterator[Difference]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=len(old) > _LONG)
    for kind, start, end, begin, stop in matcher.get_opcodes():
        if kind != "equal":
            pairs = max(end - start, stop - begin)
            for offset in range(pairs):
                one = old[start + offset] if start + offset < end else _ABSENT
                other = new[begin + offset] if begin + offset < stop else _ABSENT
                yield Difference(name, f"line {begin + offset + 1}", *_apart(one, other))


def _apart(old: str, new: str) -> tuple[str, str]:
    """Return two different lines, shortened at both ends so that their first difference remains visible."""
    same = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), 0)
    start = max(0, same - _SHOWN // 3)
    return tuple(("…" if start else "") + _short(line[start:]) for line in (old, new))  # type: ignore[return-value]


def _figures(lines: list[str]) -> list[str]:
    """Return all numbers in lines of text, or in the visible text of an HTML page, in their original spelling."""
    shown, styles = [], False
    for line in lines:
        if line.startswith("<"):
            styles = line.startswith("<style") or (styles and not line.startswith("</style"))
        elif not styles:
            shown += _NUMBER.findall(line)
    return shown


def _bytes(name: str, old: bytes, new: bytes) -> tuple[str, str]:
    differ = [at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other]
    where = f", {len(differ)} differ, the first at {differ[0]}" if differ else ""
    if name.endswith(".pb") and (before := nodes(old)) is not None and (after := nodes(new)) is not None:
        changed = [node for node in {**before, **after} if before.get(node) != after.get(node)]
        where += f", in the nodes {', '.join(changed)}" if changed else ", in no node"
    return f"{len(old)} bytes", _short(f"{len(new)} bytes{where}")


def _kind(content: Content) -> str:
    return {Document: "JSON", list: "text", bytes: "binary"}[type(content)]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
