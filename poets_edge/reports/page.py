"""HTML pages from templates. Values are escaped unless they are markup.

A page contains its style, its scripts, and a Content-Security-Policy that permits only these scripts, by their hashes,
and no external resources. Even if a bug left a file name or label unescaped, the browser would not run it as a script.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

import poets_edge
from poets_edge.core.files import existing_head, read_bytes, write_bytes, write_text
from poets_edge.core.paths import cache_folder
from poets_edge.core.wording import interval_text, percent
from poets_edge.errors import OutputError

if TYPE_CHECKING:
    from jinja2 import BytecodeCache
    from jinja2.bccache import Bucket

_TEMPLATES = Path(__file__).parent / "templates"
_GENERATOR = b'<meta name="generator" content="poets_edge'
"""Start of a tag in the head of every page, by which `check_page` recognizes pages that may be replaced."""
_HEAD_BYTES = 4096
_PARAMETER = re.compile(r"`(\w+)`")


def check_page(path: Path) -> None:
    """Raise OutputError if the file at `path` exists, is not empty, and was not written by `write_page`."""
    head = existing_head(path, _HEAD_BYTES)
    if head and _GENERATOR not in head:
        raise OutputError(
            f"{path}: not a page that poets_edge has written, and is not replaced. Move it away, or choose another"
            " name."
        )


def write_page(path: Path, template: str, **context: Any) -> None:
    """Render a template to an HTML file. An existing file is replaced only if poets_edge wrote it or it is empty.

    Args:
        path: path of the HTML file.
        template: name of a file in `poets_edge/reports/templates`.
        context: values for the variables in the template.

    Raises:
        OutputError: the file cannot be written, or another program wrote the existing file.
    """
    check_page(path)
    page = _render(template, {"version": poets_edge.__version__, **context})
    # File names may contain bytes that are not UTF-8, but a page must be valid UTF-8.
    write_text(path, page.encode("utf-8", errors="replace").decode("utf-8"))


def _render(template: str, context: dict[str, Any]) -> str:
    cache = _bytecode_cache()
    if cache is not None:
        try:
            return _rendered(template, context, cache)
        except Exception:
            pass
    return _rendered(template, context, None)


def _rendered(template: str, context: dict[str, Any], cache: BytecodeCache | None) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("poets_edge.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=cache,
    )
    environment.filters["percent"] = lambda share, digits=1: _unbroken(percent(share, digits))
    environment.filters["interval"] = lambda interval: _unbroken(f"{interval_text(interval, 0)} %")
    environment.filters["sentence"] = _sentence
    environment.globals.update(source=_source, policy=_policy)
    return environment.get_template(template).render(context)


def _unbroken(figure: str) -> str:
    """Return a formatted percentage with a no-break space before its percent sign."""
    return figure.replace(" %", "\N{NO-BREAK SPACE}%")


def _sentence(message: str) -> Markup:
    """Return a message as a sentence in HTML, in which parameters in backquotes are replaced with command-line options.

    For example, "`group_by` is needed" becomes "<code>--group-by</code> is needed."
    """
    text = f"{message[:1].upper()}{message[1:].removesuffix('.')}."
    return Markup(_PARAMETER.sub(lambda match: f"<code>--{match[1].replace('_', '-')}</code>", str(escape(text))))


def _source(script: str) -> Markup:
    """Return the text of a script file in `poets_edge/reports/templates`."""
    return Markup((_TEMPLATES / script).read_text(encoding="utf-8"))


def _policy(scripts: Sequence[str]) -> Markup:
    """Return the Content-Security-Policy of a page that contains the script files with the given names."""
    digests = (hashlib.sha256(_source(script).encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return Markup(
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )


def _bytecode_cache() -> BytecodeCache | None:
    """Return a cache for compiled templates in the user's cache folder; None if the folder cannot be created.

    Jinja's own cache leaves temporary files behind if the program is killed.
    """
    from jinja2 import BytecodeCache

    try:
        folder = cache_folder() / "pages"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return None

    class Cache(BytecodeCache):  # compiling takes longer than rendering
        def load_bytecode(self, bucket: Bucket) -> None:
            with contextlib.suppress(OSError):
                bucket.bytecode_from_string(read_bytes(folder / f"{bucket.key}.cache"))

        def dump_bytecode(self, bucket: Bucket) -> None:
            with contextlib.suppress(OutputError):
                write_bytes(folder / f"{bucket.key}.cache", bucket.bytecode_to_string())

    return Cache()
