"""Tests of the changelog: the order of its sections, and that sections of released versions never change."""

from __future__ import annotations

import hashlib
import re

from tests.conftest import ROOT

_RELEASED = {
    "0.2.0 (2026-11-28)": "d6206c19255c9e371d6bbc229be666b69ffce22e211b016889ef01007941f9e6",
    "0.1.0 (2026-11-21)": "cb74967a49533d08379be84f5cd23c54a3167b3665f16f60194726f89b868a3b",
}
"""SHA-256 of the section of each released version, newest first. Entries are added by releases and never change."""


def sections() -> dict[str, str]:
    """Return the text of each section of the changelog, by title."""
    parts = re.split(r"^## (.+)\n", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_changelog_sections_of_released_versions_are_unchanged() -> None:
    released = {title: text for title, text in sections().items() if not title.endswith("(unreleased)")}
    assert {title: hashlib.sha256(text.encode()).hexdigest() for title, text in released.items()} == _RELEASED


def test_changelog_versions_and_dates_descend() -> None:
    found = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) \((\d{4}-\d\d-\d\d|unreleased)\)", title) for title in sections()]
    keys = [(tuple(map(int, match.group(1, 2, 3))), match[4]) for match in found if match]
    assert len(keys) == len(found)
    assert keys == sorted(keys, reverse=True)


def test_changelog_lists_no_entry_twice() -> None:
    entries = [
        re.sub(r"\W+", " ", entry).lower().strip()
        for text in sections().values()
        for entry in re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    ]
    assert len(entries) == len(set(entries)) > 50
