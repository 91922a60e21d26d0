"""Replacements for stdout and stderr that can print any text safely.

Names of files and classes are not trusted: a control character could clear the screen or change earlier output. Control
characters, characters that the stream's encoding lacks, and bytes that are not UTF-8 are written as JSON escapes, such
as `\\u001b`, both in text and in JSON.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from poets_edge.core.credentials import without_user_info

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ERRORS = "poets_edge.escape"
_OURS = "\x1b[33mwarning: \x1b[0m"
"""Start of a warning on stderr, the only colored text that poets_edge prints."""


def escaped(text: str, *, line: bool = False) -> str:
    """Replace control characters in a text with escapes; if `line` is True, this includes newlines and tabs."""
    if line:
        text = re.sub("[\t\n]", _escape, text)
    return _CONTROLS.sub(_escape, text)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Context manager that replaces stdout and stderr with streams that escape control characters."""
    _open_closed()
    codecs.register_error(_ERRORS, _replace)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _wrapped(sys.stdout, _Screen), _wrapped(sys.stderr, _ErrorScreen)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Screen):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
                with contextlib.suppress(OSError, ValueError):
                    stream.detach()
        sys.stdout, sys.stderr = before


class _Screen(io.TextIOWrapper):
    ascii_only = False

    def write(self, text: str) -> int:
        self._put(escaped(text))
        return len(text)

    def _put(self, text: str) -> None:
        if self.ascii_only:
            text = text.encode("ascii", _ERRORS).decode("ascii")
        super().write(text)


class _ErrorScreen(_Screen):
    """Stream for stderr that escapes control characters, except those of progress bars and colored warnings.

    User names and passwords are removed from URLs, because an error message may quote an argument.
    """

    def write(self, text: str) -> int:
        text = without_user_info(text)
        start = next((ours for ours in (_OURS, "\r", "\x1b[A") if text.startswith(ours)), "")
        end = "\r" if text.endswith("\r") and len(text) > 1 else ""
        self._put(start + escaped(text[len(start) : len(text) - len(end)]) + end)
        return len(text)


def _wrapped(stream: TextIO, kind: type[_Screen]) -> TextIO:
    buffer = getattr(stream, "buffer", None)
    if buffer is None:  # closed, or not a real stream, as in a test
        return stream
    stream.flush()
    # click treats an ASCII stream as a mistake, and writes UTF-8 to its buffer.
    ascii_only = codecs.lookup(stream.encoding).name == "ascii"
    encoding = "utf-8" if ascii_only else stream.encoding
    screen = kind(buffer, encoding, _ERRORS, line_buffering=True, write_through=kind is _ErrorScreen)
    screen.ascii_only = ascii_only
    return screen


def _open_closed() -> None:
    """Open the null device for each closed standard stream, so that no other file gets the stream's descriptor."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end
