"""Tests of the files that make up the studio's page: size, content security policy, text, and colors."""

from __future__ import annotations

import gzip
import re

from tests.conftest import ROOT

PAGE = ROOT / "poets_edge/studio/page"
SOURCES = ROOT / "web/studio"
LARGEST_SCRIPT = 120_000
XML_NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML", "http://www.w3.org/1999/xhtml"}


def test_scripts_of_the_studio_page_are_small() -> None:
    """All scripts except LiteRT together have at most 120 kB when compressed."""
    scripts = [path.read_bytes() for path in PAGE.glob("*.js")]
    assert scripts
    assert sum(len(gzip.compress(script, mtime=0)) for script in scripts) <= LARGEST_SCRIPT


def test_page_has_no_inline_script_or_style() -> None:
    """The content security policy of the page allows only its own files."""
    page = (PAGE / "index.html").read_text("utf-8")
    assert re.findall(r"<script[^>]*>", page) == ['<script src="/studio.js" defer>']
    assert not re.search(r"<style|style=|\son\w+=|javascript:", page)


def test_page_refers_to_no_other_host() -> None:
    """Example addresses that begin with `mqtt:` are allowed, because browsers cannot open them."""
    for path in (PAGE / "index.html", PAGE / "studio.js", PAGE / "style.css"):
        addresses = set(
            re.findall(r"(?<!mqtt:)(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"'`)]*", path.read_text("utf-8"))
        )
        assert addresses <= XML_NAMESPACES, path


def test_studio_page_has_all_texts_in_one_file() -> None:
    """No component contains text for users, so that a translation only has to replace one file."""
    for path in SOURCES.glob("*.tsx"):
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text("utf-8"), flags=re.DOTALL)
        between_tags = re.findall(r"(?<==)?>\s*([A-Z][a-z]+[^<>{}();=]*)</", code)
        attributes = re.findall(r"\b(?:aria-label|title|alt)=\"([^\"]+)\"", code)
        assert not between_tags and not attributes, path


def test_all_error_messages_of_the_studio_page_are_in_the_text_file() -> None:
    """Code that the studio shares with the exported page takes its messages from the text file, too."""
    for path in (*SOURCES.glob("*.ts*"), *(ROOT / "web/src").glob("*.ts")):
        assert not re.search(r"new Sentence\(\s*[\"'`]", path.read_text("utf-8")), path


def test_studio_page_uses_the_colors_of_the_reports() -> None:
    """The stylesheets of the studio and of the exported page do not redefine the colors of the reports."""
    tokens = (ROOT / "poets_edge/reports/templates/tokens.css").read_text("utf-8")
    names = set(re.findall(r"(--[a-z-]+):", tokens))
    assert {"--ink", "--paper", "--accent"} <= names
    for path in (*SOURCES.glob("*.css"), ROOT / "web/src/style.css"):
        assert not names & set(re.findall(r"(--[a-z-]+):", path.read_text("utf-8"))), path
    for page in (PAGE, ROOT / "poets_edge/exporting/page"):
        assert "--accent: #5b3a9b" in (page / "style.css").read_text("utf-8")
