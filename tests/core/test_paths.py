"""Tests of the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from poets_edge.core.paths import cache_folder


@pytest.mark.parametrize(
    ("own", "xdg", "expected"),
    [
        ("", "", Path.home() / ".cache/poets_edge"),
        ("", "/x", Path("/x/poets_edge")),
        ("/own", "", Path("/own")),
        ("/own", "/x", Path("/own")),
    ],
)
def test_cache_folder_prefers_poets_edge_cache_to_xdg_cache_home(
    own: str, xdg: str, expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POETS_EDGE_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache_folder() == expected
