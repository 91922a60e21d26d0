"""Templates -> pages. Everything that goes into one is escaped unless it says itself that it is markup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import poets_edge
from poets_edge.core.files import write_text
from poets_edge.core.wording import percent
from poets_edge.reports.compiled import CompiledTemplates


def write_page(path: Path, template: str, **context: Any) -> None:
    """Write a page.

    Args:
        template: name of a file in `poets_edge/reports/templates`.
        context: what it shows.

    Raises:
        OutputError: it cannot be written.
    """
    # Names in file systems may hold bytes that are no characters; a page must be UTF-8 all the same.
    page = _environment().get_template(template).render(version=poets_edge.__version__, **context)
    write_text(path, page.encode("utf-8", errors="replace").decode("utf-8"))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("poets_edge.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=CompiledTemplates(),
    )
    environment.filters["percent"] = percent
    return environment
