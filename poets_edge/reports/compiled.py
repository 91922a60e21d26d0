"""The byte code of page templates, kept as Python keeps that of modules: compiling takes longer than writing a page.

One file a template in the user's cache folder ($XDG_CACHE_HOME/poets_edge/pages), made again when the template, Python
or Jinja's compiler is another, and when it is damaged. Where the folder cannot be written, each run compiles.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from poets_edge.core.files import read_bytes, write_bytes
from poets_edge.core.paths import cache_folder
from poets_edge.errors import OutputError

_MOST = 1 << 20
"""Bytes of a file; they have some 20,000."""


class CompiledTemplates(BytecodeCache):
    """Jinja's hooks for it. Each file begins with the SHA-256 of the rest."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill the bucket, if there is a file for it that is whole."""
        with contextlib.suppress(OSError, RuntimeError):
            content = read_bytes(_file(bucket), _MOST)
            if hashlib.sha256(content[32:]).digest() == content[:32]:
                bucket.load_bytecode(io.BytesIO(content[32:]))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what the bucket holds, where there is room for it."""
        with contextlib.suppress(OSError, OutputError, RuntimeError):
            file, code = _file(bucket), bucket.bytecode_to_string()
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(file, hashlib.sha256(code).digest() + code)


def _file(bucket: Bucket) -> Path:
    return cache_folder() / "pages" / f"{bucket.key}.jinja"
