"""Parse and write labels files, which have one label per line or the format of another program."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Any

from poets_edge.core.json_checks import parse_json
from poets_edge.errors import ModelError, RecordError

# Compiled when they are used: files of poets_edge need none of them.
_NUMBERED = r"(\d+)\s*(?:[:,;=|]\s*|[.)-]\s+|\s)(.*\S)|\[(\d+)\]\s*(.*\S)"
"""Pattern for a line that starts with the number of an output: `0 daisy`, `0: daisy`, `0,daisy`, `[0] daisy`."""
_HEADING = r"(?i)names:|#.*|[^,;\t]*(id|index|number|class|label|name)[^,;\t]*([,;\t].*)?"
_ITEM = r"item\s*\{([^{}]*)\}"
_ITEM_ID = r"\bid\s*:\s*(\d+)"
_ITEM_NAME = r"\b(display_name|name)\s*:\s*(\"[^\"]*\"|'[^']*')"
_YAML_NAMES = r"(?m)^names:[ \t]*(?:#.*)?\n((?:[ \t]*(?:-[ \t]+|\d+:[ \t]).*(?:\n|\Z)|[ \t]*(?:#.*)?\n)+)"
"""Pattern for the class names in an Ultralytics `data.yaml`: lines with `- daisy` or `0: daisy`."""
_NAMES = r"(?m)(?:^names|['\"]names['\"]):\s*(\[[^\]]*\]|\{[^}]*\})"
"""Pattern for the class names in a Roboflow `data.yaml`, `names: ['daisy', 'roses']`, or in Ultralytics metadata."""
_YAML_ITEM = r"[ \t]*(?:-|(\d+):)[ \t]+(\"[^\"]*\"|'[^']*'|.*?)[ \t]*(?:[ \t]#.*)?"
_LIST_ITEM = r"\s*(?:(\d+)\s*:\s*)?(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[^\s,\"'\[\]{}][^,\[\]{}\n]*)\s*(?:,|\Z)"
"""Pattern for an item in a Python or YAML list or dictionary, with or without quotation marks."""
_NAMED_ITEM = (
    r"\s*(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[^\s,:\"'\[\]{}][^,:\[\]{}\n]*)\s*:\s*(\d{1,9})\s*(?:,|\Z)"
)
"""Pattern for an item in a Python or YAML dictionary that maps labels to numbers, such as Keras's `class_indices`."""
_JSON_KEYS = ("labels", "names", "classes", "class_names", "id2label")
_DELIMITERS = ",;\t|:"
_QUOTED = r"\"([^\"]*)\",?|'([^']*)',?"


def split_labels(text: str) -> tuple[str, ...]:
    """Return the labels in the text of a labels file that poets_edge wrote: one per line, unchanged."""
    # Not splitlines(), which also splits at characters that may be part of a label.
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n").split("\n")
    return tuple(lines) if lines != [""] else ()


def join_labels(labels: Iterable[str]) -> str:
    """Return the text of a labels file that contains the given labels; the inverse of `split_labels`."""
    return "".join(f"{label}\n" for label in labels)


def decode_labels(content: bytes) -> str:
    """Decode a labels file: UTF-8, or UTF-16 with a byte-order mark, as Windows writes it.

    Raises:
        UnicodeDecodeError: the content is not text in one of these encodings.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if wide else "utf-8")
    if "\0" in text:
        raise UnicodeDecodeError("utf-8", content, 0, 1, "not text")
    return text


def parse_labels(text: str, source: str) -> tuple[str, ...]:
    """Parse a labels file from any program, and return the labels in the order of the outputs.

    Spaces around labels, empty lines and a byte-order mark are ignored. If every line starts with a number, and the
    numbers are 0, 1, ... or 1, 2, ... in any order, they are the numbers of the outputs and not part of the labels; the
    first output has number 0 or 1. Numbers in a label map (`item { id: 1 name: "daisy" }`) may also start from 1. Other
    supported formats are a JSON, Python or YAML list of labels; a JSON, Python or YAML dictionary that maps numbers to
    labels or labels to numbers; the names in a `data.yaml`; a table with a column of numbers; and a single line of
    labels separated by commas.

    Args:
        source: name of the file, for messages.

    Raises:
        ModelError: the labels are numbered, but a number is missing or occurs twice; an item has no id or name; or JSON
            contains no labels.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").strip()
    if plain[:1] in ("{", "["):
        if (labels := _json_labels(plain, source)) is not None:
            return labels
        if found := _list_items(plain[1:-1]):
            return _labels_of(found, source)
    if items := re.findall(_ITEM, plain):
        return _label_map(items, source)
    if names := re.search(_YAML_NAMES, f"{plain}\n"):
        entries = [re.fullmatch(_YAML_ITEM, line) for line in names[1].split("\n")]
        return _labels_of([(match[1], _unquoted(match[2])) for match in entries if match], source)
    if (names := re.search(_NAMES, plain)) and (found := _list_items(names[1][1:-1])):
        return _labels_of(found, source)
    if plain.startswith("{"):
        raise ModelError(f"{source}: a dictionary, but not of numbers and labels. Give one label per line.")
    lines = [line.strip() for line in plain.split("\n") if line.strip()]
    if len(lines) == 1 and "," in plain and (found := _list_items(plain)):
        return _labels_of(found, source)
    if (numbered := _table(lines) or _numbered(lines) or _numbered_at_end(lines)) is not None:
        return _in_order(numbered, source)
    if len(lines) > 2 and re.fullmatch(_HEADING, lines[0]) and (numbered := _numbered(lines[1:])) is not None:
        return _in_order(numbered, source)
    if all(line.startswith("- ") for line in lines):
        lines = [line[2:].strip() for line in lines]
    if len(lines) > 1 and all(line.endswith(",") for line in lines[:-1]):
        lines = [line.removesuffix(",").strip() for line in lines]
    quoted = [re.fullmatch(_QUOTED, line) for line in lines]
    return tuple(match[1] or match[2] or "" for match in quoted if match) if all(quoted) else tuple(lines)


def _json_labels(text: str, source: str) -> tuple[str, ...] | None:
    """Return the labels in a JSON file; None if the text is not JSON. Raises ModelError if it contains no labels."""
    try:
        value = parse_json(text)
    except RecordError:
        return None
    if isinstance(value, dict):
        value = next((value[key] for key in _JSON_KEYS if isinstance(value.get(key), (dict, list))), value)
    if isinstance(value, list):
        value = {str(number): name for number, name in enumerate(value)}
    pairs = [_numbered_pair(key, item) for key, item in value.items()] if isinstance(value, dict) else []
    found = [pair for pair in pairs if pair is not None and len(pair[1].splitlines()) == 1]
    if not found or len(found) < len(pairs):
        raise ModelError(
            f"{source}: JSON without labels. Wanted is a list of labels, or numbers of outputs with labels."
        )
    return _in_order(found, source)


def _numbered_pair(key: str, item: Any) -> tuple[int, str] | None:
    """Return the output number and the label from a member of a JSON object; None if the member has another form.

    Supported members are `"daisy": 0`, `"0": "daisy"` and `"0": ["n1", "daisy"]`.
    """
    if isinstance(item, int) and not isinstance(item, bool):
        return item, key
    name = item[-1] if isinstance(item, list) and item else item
    return (int(key), name) if isinstance(name, str) and re.fullmatch(r"\d{1,9}", key) else None


def _list_items(text: str) -> list[tuple[str | None, str]] | None:
    """Parse a list or dictionary of labels without its brackets; return a pair (number, label) for each item.

    The number is a string of digits; None if the item has no number. None is returned instead of pairs if the text
    cannot be parsed or has fewer than two items.
    """
    text = text.strip().removesuffix(",")
    for pattern, number, label in ((_NAMED_ITEM, 2, 1), (_LIST_ITEM, 1, 2)):
        matches = _matches(pattern, text)
        if len(matches) > 1:
            return [(match[number], _unquoted(match[label])) for match in matches]
    return None


def _matches(pattern: str, text: str) -> list[re.Match[str]]:
    """Split a text into consecutive matches of a pattern; return an empty list if they do not cover the whole text."""
    compiled, found, end = re.compile(pattern), [], 0
    while end < len(text):
        if (match := compiled.match(text, end)) is None:
            return []
        found.append(match)
        end = match.end()
    return found


def _labels_of(items: list[tuple[str | None, str]], source: str) -> tuple[str, ...]:
    """Return the labels from pairs of an output number and a label, sorted by output number.

    Args:
        items: pairs (output number as digits, or None if the file states none; label). If no label has a number, the
            order is kept.
        source: name of the labels file in error messages.
    """
    numbered = [(int(number), label) for number, label in items if number is not None]
    return _in_order(numbered, source) if numbered else tuple(label for _, label in items)


def _unquoted(text: str) -> str:
    plain = text.strip()
    if plain[:1] in ("'", '"') and plain[-1:] == plain[:1] and len(plain) > 1:
        return re.sub(r"\\(.)", r"\1", plain[1:-1])
    return plain


def _table(lines: list[str]) -> list[tuple[int, str]] | None:
    """Return pairs (output index, label) if the lines form a table; otherwise None.

    A table has a column with the numbers of the outputs. It has a heading line, or exactly two columns, the first of
    which contains the labels.
    """
    for delimiter in _DELIMITERS:
        rows = [[_unquoted(cell) for cell in line.split(delimiter)] for line in lines]
        width = len(rows[0]) if rows else 0
        if width < 2 or any(len(row) != width for row in rows):
            continue
        columns = [list(column) for column in zip(*rows, strict=True)]
        if width == 2 and (numbers := _outputs(columns[1])) and _distinct(columns[0]) and not _outputs(columns[0]):
            return list(zip(numbers, columns[0], strict=True))
        found = next(
            ((number, start) for number, column in enumerate(columns) if (start := _outputs(column[1:]))), None
        )
        if found is None or any(cell.isdecimal() for cell in rows[0]):
            continue
        others = [column[1:] for number, column in enumerate(columns) if number != found[0]]
        labels = next((column for column in others if not all(map(str.isdecimal, column))), others[-1])
        return list(zip(found[1], labels, strict=True))
    return None


def _outputs(column: list[str]) -> list[int] | None:
    """Convert a column that holds 0, 1, ... or 1, 2, ... in any order to output indices; None for any other column."""
    if len(column) < 2 or not all(re.fullmatch(r"\d{1,9}", cell) for cell in column):
        return None
    numbers = list(map(int, column))
    first = min(min(numbers), 1)
    return (
        [number - first for number in numbers] if sorted(numbers) == list(range(first, first + len(numbers))) else None
    )


def _distinct(labels: list[str]) -> bool:
    return len(set(labels)) == len(labels)


def _numbered(lines: list[str]) -> list[tuple[int, str]] | None:
    """Return pairs (output index, label) if all lines start with numbers that count from 0 or 1; otherwise None.

    The numbers are considered parts of the labels, and None is returned, if the same text follows several numbers, as
    in "0 stars" and "2 stars", or if the numbers start at 1 and one is missing. If they start at 0 and one occurs
    twice, the pairs are returned, so that the caller can report the error.
    """
    matches = [match for line in lines if (match := re.fullmatch(_NUMBERED, line))]
    found = [(int(match[1] or match[3]), str(match[2] or match[4]).strip("\"'")) for match in matches]
    if len(found) < len(lines) or not found:
        return None
    numbers, distinct = [number for number, _ in found], _distinct([name for _, name in found])
    if min(numbers) == 0:
        return found if distinct or len(set(numbers)) < len(numbers) else None
    if distinct and sorted(numbers) == list(range(1, len(found) + 1)):
        return [(number - 1, name) for number, name in found]
    return None


def _numbered_at_end(lines: list[str]) -> list[tuple[int, str]] | None:
    """Return pairs (output index, label) if all lines end with the numbers 0, 1, ... in any order, as in `daisy 0`.

    Return None otherwise, and also if the same text precedes several numbers: lines such as "level 0" and "level 1" are
    complete labels.
    """
    matches = [match for line in lines if (match := re.fullmatch(r"(.*\S)\s+(\d{1,9})", line))]
    numbers = [int(match[2]) for match in matches]
    if len(matches) < max(len(lines), 2) or sorted(numbers) != list(range(len(lines))):
        return None
    names = [str(match[1]) for match in matches]
    return list(zip(numbers, names, strict=True)) if _distinct(names) else None


def _label_map(items: list[str], source: str) -> tuple[str, ...]:
    found = []
    for item in items:
        number, names = re.search(_ITEM_ID, item), {str(key): str(name) for key, name in re.findall(_ITEM_NAME, item)}
        if number is None or not names:
            raise ModelError(f"{source}: an item of this label map has no id or no name.")
        found.append((int(number[1]), (names.get("display_name") or names["name"])[1:-1]))
    first = min(number for number, _ in found)
    return _in_order([(number - min(first, 1), name) for number, name in found], source)


def _in_order(numbered: Iterable[tuple[int, str]], source: str) -> tuple[str, ...]:
    found = list(numbered)
    labels = dict(found)
    if len(labels) != len(found):
        twice = next(number for number, _ in found if [one for one, _ in found].count(number) > 1)
        raise ModelError(f"{source}: its numbers are those of outputs, but {twice} occurs twice.")
    if missing := set(range(len(found))) - labels.keys():
        raise ModelError(
            f"{source}: its numbers are those of outputs, but {min(missing)} is missing. Give a line for each output."
        )
    return tuple(labels[number] for number in range(len(found)))
