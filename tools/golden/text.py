"""Text form of the outputs of a test case ("golden text"): exit statuses, standard output, and the written files.

The text contains JSON with short values on one line, the visible text of pages, and a summary of the operators of
models. Other files are represented by their size and SHA-256. Values that differ between any two runs are replaced.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from poets_edge.exporting.generated_files import LIST
from poets_edge.tflite.flatbuffer import schema, unpack_model
from tools.compare.case import Case, Respelled
from tools.compare.differences import settle
from tools.compare.documents import Document, Number, read_content
from tools.compare.rules import Volatile, applies

_WIDTH, _ROW_WIDTH = 140, 280
"""Maximum length of a line that contains a key and its JSON value, and of one that contains an entry of a list. Longer
values are split into several lines."""
_DIGITS, _PER_LINE = 7, 5
"""Number of significant digits of decimal fractions, and number of values in each line of a long list."""
_FRACTION = re.compile(r"\d+\.\d+(e-\d+)?")
_LONGEST_TEXT = 5000
"""Number of bytes above which a golden text contains the hash of a text file instead of its lines."""
_COPY = "model.tflite"
"""Name of the files that are copies of an exported model; only the original is summarized."""


def golden_text(case: Case, outputs: Path, volatile: Sequence[Volatile]) -> str:
    """Return the outputs of a test case as text, without the values that differ between any two runs.

    Args:
        case: the test case.
        outputs: folder written by `tools.compare.running.run_case`.
        volatile: rules for the values that differ between any two runs.
    """
    lines: list[str] = []
    shown: dict[str, str] = {}
    for number, line in enumerate(case.lines, 1):
        words = line.new if isinstance(line, Respelled) else line
        output = next(outputs.glob(f"{number:02}-*.stdout"))
        status = output.with_suffix(".status").read_text().strip()
        lines += [
            "",
            f"$ poets-edge {words.removeprefix('! ')}",
            *(() if status == "0" else (f"exit status {status}",)),
        ]
        lines += _unless_shown(shown, "the output of a command", _content(case, output, output.name, volatile))
    files = outputs / "files"
    for path in sorted(path for path in files.rglob("*") if path.is_file() and path.name != LIST):
        name = path.relative_to(outputs).as_posix()
        if not any(rule.skipped and applies(rule, case.name, name) for rule in volatile):
            file = path.relative_to(files).as_posix()
            lines += ["", f"file {file}", *_unless_shown(shown, file, _file(case, path, name, volatile))]
    return "\n".join(lines[1:]) + "\n"


def _unless_shown(shown: dict[str, str], name: str, lines: Iterable[str]) -> list[str]:
    """Return the given lines or, if an earlier output has the same lines, one line that refers to it.

    Args:
        shown: name of the first output for each text, to which this one is added if its text is new.
        name: name of this output.
        lines: lines of this output.
    """
    listed = list(lines)
    before = shown.setdefault("\n".join(listed), name)
    return listed if before == name else [f"equals {before}"]


def _file(case: Case, path: Path, name: str, volatile: Sequence[Volatile]) -> Iterator[str]:
    content = path.read_bytes()
    if path.suffix in (".html", ".json") or (path.suffix in (".txt", ".csv") and len(content) <= _LONGEST_TEXT):
        yield from _content(case, path, name, volatile)
        return
    if path.suffix in (".png", ".jpg"):
        with Image.open(path) as image:
            yield f"{image.width} x {image.height} pixels"
        if path.suffix == ".png":  # charts: fonts differ between machines
            return
    if "tfevents" in path.name:  # times inside
        events = read_content(path)
        yield f"{len(events) if isinstance(events, list) else 0} events"
        return
    yield f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"
    if path.suffix == ".tflite" and path.name != _COPY:
        yield from model_summary(content)


def _content(case: Case, path: Path, name: str, volatile: Sequence[Volatile]) -> list[str]:
    """Return the lines of a JSON document, a page or a text, without the values that differ between any two runs."""
    content = settle(read_content(path), [rule for rule in volatile if applies(rule, case.name, name)])
    if isinstance(content, Document):
        return list(json_lines(content.value))
    if isinstance(content, bytes):
        return [f"{len(content)} bytes"]
    return list(_visible(content)) if path.suffix == ".html" else content


def _visible(lines: Sequence[str]) -> Iterator[str]:
    """Yield the visible texts of an HTML page.

    Args:
        lines: the page, split into lines of one tag or one text each.
    """
    hidden = False
    for line in lines:
        if line.startswith("<"):
            hidden = line.startswith(("<style", "<script")) or (hidden and not line.startswith(("</style", "</script")))
        elif not hidden:
            yield line


def json_lines(value: Any, indent: str = "", before: str = "", after: str = "") -> Iterator[str]:
    """Yield the lines of a JSON value as indented text.

    A value that is short enough for a line is written on one line. Any other value has one entry per line or, in a list
    of scalars, five.

    Args:
        value: the value.
        indent: spaces at the start of each line.
        before, after: text to write before and after the value, such as its key and a comma.
    """
    short = f"{indent}{before}{_compact(value)}{after}"
    if _width(short) <= (_WIDTH if before else _ROW_WIDTH) or not isinstance(value, (dict, list)) or not value:
        yield short
        return
    keys = isinstance(value, dict)
    yield f"{indent}{before}{'{' if keys else '['}"
    if isinstance(value, dict):
        entries = [(f"{json.dumps(key)}: ", inner) for key, inner in value.items()]
    elif any(isinstance(inner, (dict, list)) for inner in value):
        entries = [("", inner) for inner in value]
    else:
        scalars = list(map(_compact, value))
        for start in range(0, len(scalars), _PER_LINE):
            end = "," if start + _PER_LINE < len(scalars) else ""
            yield f"{indent} {', '.join(scalars[start : start + _PER_LINE])}{end}"
        entries = []
    for number, (name, inner) in enumerate(entries, 1):
        yield from json_lines(inner, f"{indent} ", name, "," if number < len(entries) else "")
    yield f"{indent}{'}' if keys else ']'}{after}"


def _width(line: str) -> int:
    """Return the length that a line would have if all its decimal fractions had the maximum number of digits."""
    return len(_FRACTION.sub("0." + "0" * _DIGITS, line))


def _compact(value: Any) -> str:
    if isinstance(value, Number):
        return value if len(value) <= _DIGITS or "." not in value else f"{float(value):.{_DIGITS}g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_compact(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def model_summary(content: bytes) -> Iterator[str]:
    """Yield a line for each operator in a `.tflite` model, followed by a line with a hash for each of its constants."""
    model = unpack_model(content)
    (graph,) = model.subgraphs
    operators = _names(schema().BuiltinOperator)
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        yield f" {operators[code].lower()} -> {_tensor(graph.tensors[operator.outputs[0]])}"
        for index in operator.inputs:
            data = model.buffers[graph.tensors[index].buffer].data if index >= 0 else None
            if data is not None and len(data):
                digest = hashlib.sha256(np.asarray(data, np.uint8).tobytes()).hexdigest()[:12]
                yield f"  {_tensor(graph.tensors[index])}, values {digest}"
    yield f" metadata: {', '.join(entry.name.decode() for entry in model.metadata or ()) or 'none'}"


def _tensor(tensor: Any) -> str:
    shape = [] if tensor.shape is None else list(map(int, tensor.shape))
    scales = None if tensor.quantization is None else tensor.quantization.scale
    quantized = ""
    if scales is not None and len(scales):
        low, high = f"{min(scales):.6g}", f"{max(scales):.6g}"
        zero = sorted({int(point) for point in tensor.quantization.zeroPoint})
        quantized = f", scale {low if low == high else f'{low} to {high}'}, zero point {' '.join(map(str, zero))}"
    return f"{_names(schema().TensorType)[tensor.type].lower()} {shape}{quantized}"


def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
