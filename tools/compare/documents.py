"""Read output files as values for comparisons: JSON documents, lines of text, or bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any


class Number(str):
    """A JSON number that preserves its spelling, so that 1.0 differs from 1 and no digit is lost."""

    def __repr__(self) -> str:
        return str(self)


class Document:
    """A parsed JSON document. A JSON Lines file is parsed as a list."""

    def __init__(self, value: Any) -> None:
        self.value = value


Content = Document | list[str] | bytes
"""Content to compare: a JSON document, lines of text, or the bytes of any other file."""


def read_content(path: Path) -> Content:
    """Return the content of an output file as a value for comparisons: a JSON document, lines of text, or bytes.

    HTML pages are split into one line per tag or text, TensorBoard files into one line per event or graph node.
    """
    content = path.read_bytes()
    if "tfevents" in path.name:
        return _events(content)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    if "\0" in text:
        return content
    if path.suffix in (".json", ".jsonl", ".stdout") and text.lstrip()[:1] in ("{", "["):
        try:
            return Document(_parse(text))
        except ValueError:
            pass
    if path.suffix in (".html", ".svg"):
        text = text.replace("<", "\n<").replace(">", ">\n")
        return [line for line in map(str.strip, text.splitlines()) if line]
    if path.suffix == ".stderr":  # progress bars end in empty lines
        return [line for line in text.splitlines() if line]
    return text.splitlines()


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Number, parse_int=Number)
    except ValueError:
        return [json.loads(line, parse_float=Number, parse_int=Number) for line in text.splitlines()]


def _events(content: bytes) -> list[str]:
    """Return the events in a TensorBoard file as lines of text, without their times.

    Each event and each graph node results in one line.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    lines, start = [], 0
    while start < len(content):
        # Format of a record: length (8 bytes), its checksum (4), the event, its checksum (4).
        (length,) = struct.unpack_from("<Q", content, start)
        event = Event.FromString(content[start + 12 : start + 12 + length])
        event.ClearField("wall_time")
        # As text, since attributes are sorted in it; their order in the bytes is random.
        lines += [" ".join(str(node).split()) for node in GraphDef.FromString(event.graph_def).node]
        event.ClearField("graph_def")
        lines.append(" ".join(str(event).split()))
        start += length + 16
    return lines


def nodes(graph: bytes) -> dict[str, str] | None:
    """Return the text form of each node of a frozen graph, by node name; None if the bytes are not a graph."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    try:
        return {node.name: str(node) for node in GraphDef.FromString(graph).node}
    except DecodeError:
        return None
