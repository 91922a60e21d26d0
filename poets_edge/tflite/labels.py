"""Labels files: one label per line, or the formats in which other programs write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from poets_edge.core.json_checks import parse_json
from poets_edge.errors import ModelError, RecordError

# Compiled when they are used: files of poets_edge need none of them.
_NUMBERED = r"(\d+)\s*[\s:,;=]\s*(.*\S)"
"""Pattern for a line that starts with the number of an output: `0 daisy`, `0: daisy`, `0,daisy`."""
_HEADING = r"(?i)names:|#.*|[^,;\t]*(id|index|number|class|label|name)[^,;\t]*([,;\t].*)?"
_ITEM = r"item\s*\{([^{}]*)\}"
_ITEM_ID = r"\bid\s*:\s*(\d+)"
_YAML_NAMES = r"(?m)^names:[ \t]*\n((?:[ \t]*(?:-[ \t]|\d+:).*(?:\n|\Z))+)"
"""Pattern for the names in a `data.yaml` of Ultralytics: lines with `- daisy` or `0: daisy`."""
_LIST_ITEM = r"[ \t]*-[ \t]+(.*\S)[ \t]*"
_JSON_KEYS = ("labels", "names", "classes", "class_names")
_ITEM_NAME = r"\b(display_name|name)\s*:\s*(\"[^\"]*\"|'[^']*')"


def split_labels(text: str) -> tuple[str, ...]:
    """Return the labels in the text of a labels file that poets_edge wrote: one per line, unchanged."""
    # Not splitlines(), which also splits at characters that may be part of a label.
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n").split("\n")
    return tuple(lines) if lines != [""] else ()


def join_labels(labels: Iterable[str]) -> str:
    """Return the text of a labels file that contains the given labels; the inverse of `split_labels`."""
    return "".join(f"{label}\n" for label in labels)


def parse_labels(text: str, source: str) -> tuple[str, ...]:
    """Parse a labels file from any program, and return the labels in the order of the outputs.

    Spaces around labels, empty lines and a byte-order mark are ignored. If every line starts with a number, and the
    numbers are 0, 1, ... or 1, 2, ... in any order, they are the numbers of the outputs and not part of the labels; the
    first output is number 0 or 1. In a label map (`item { id: 1 name: "daisy" }`), the numbers may start from 1, too.
    JSON is also read, as a list of labels or an object that maps numbers to labels or labels to numbers; and so are the
    names in a `data.yaml`.

    Args:
        source: name of the file, for messages.

    Raises:
        ModelError: the labels are numbered, but a number is missing or occurs twice; an item has no id or name; or JSON
            contains no labels.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if plain.lstrip()[:1] in ("{", "[") and (labels := _json_labels(plain, source)) is not None:
        return labels
    if items := re.findall(_ITEM, plain):
        return _label_map(items, source)
    if names := re.search(_YAML_NAMES, plain):
        plain = names[1]
    lines = [line.strip() for line in plain.split("\n") if line.strip()]
    if names and all(found := [re.fullmatch(_LIST_ITEM, line) for line in lines]):
        return tuple(match[1].strip("\"'") for match in found if match)
    numbered = _numbered(lines)
    if numbered is None and len(lines) > 2 and re.fullmatch(_HEADING, lines[0]):
        numbered = _numbered(lines[1:])
    return tuple(lines) if numbered is None else _in_order(numbered, source)


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
    """Return number and label of a member of a JSON object: `"daisy": 0`, `"0": "daisy"` or `"0": ["n1", "daisy"]`."""
    if isinstance(item, int) and not isinstance(item, bool):
        return item, key
    name = item[-1] if isinstance(item, list) and item else item
    return (int(key), name) if isinstance(name, str) and re.fullmatch(r"\d{1,9}", key) else None


def _numbered(lines: list[str]) -> list[tuple[int, str]] | None:
    """Return pairs of output, counted from 0, and label if all lines are numbered from 0 or 1; otherwise None.

    Numbers from 1 belong to outputs only if none is missing and the rest of the lines differs: "1 euro" and "2 euro"
    are labels.
    """
    found = [(int(match[1]), str(match[2]).strip("\"'")) for line in lines if (match := re.fullmatch(_NUMBERED, line))]
    if len(found) < len(lines) or not found:
        return None
    if min(number for number, _ in found) == 0:
        return found
    distinct = len({name for _, name in found}) == len(found)
    if distinct and sorted(number for number, _ in found) == list(range(1, len(found) + 1)):
        return [(number - 1, name) for number, name in found]
    return None


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
    if len(labels) != len(found) or sorted(labels) != list(range(len(found))):
        raise ModelError(f"{source}: its numbers are those of outputs, but one is missing or there twice.")
    return tuple(labels[number] for number in range(len(found)))
