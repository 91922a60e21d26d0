"""Labels files: one label per line, or the formats in which other programs write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from poets_edge.errors import ModelError

# Compiled when they are used: files of poets_edge need none of them.
_NUMBERED = r"(\d+)\s*[\s:,;=]\s*(.*\S)"
"""Pattern for a line that starts with the number of an output: `0 daisy`, `0: daisy`, `0,daisy`."""
_HEADING = r"(?i)names:|#.*|[^,;\t]*(id|index|number|class|label|name)[^,;\t]*([,;\t].*)?"
_ITEM = r"item\s*\{([^{}]*)\}"
_ITEM_ID = r"\bid\s*:\s*(\d+)"
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
    numbers are 0, 1, ... in any order, they are the numbers of the outputs and not part of the labels. In a label map
    (`item { id: 1 name: "daisy" }`), the numbers may start from 1.

    Args:
        source: name of the file, for messages.

    Raises:
        ModelError: the labels are numbered, but a number is missing or occurs twice, or an item has no id or name.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if items := re.findall(_ITEM, plain):
        return _label_map(items, source)
    lines = [line.strip() for line in plain.split("\n") if line.strip()]
    numbered = _numbered(lines)
    if numbered is None and len(lines) > 2 and re.fullmatch(_HEADING, lines[0]):
        numbered = _numbered(lines[1:])
    return tuple(lines) if numbered is None else _in_order(numbered, source)


def _numbered(lines: list[str]) -> list[tuple[int, str]] | None:
    """Return pairs of number and label if all lines are numbered and the lowest number is 0; otherwise None."""
    found = [(int(match[1]), str(match[2]).strip("\"'")) for line in lines if (match := re.fullmatch(_NUMBERED, line))]
    if len(found) < len(lines) or not found or min(number for number, _ in found) != 0:
        return None
    return found


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
