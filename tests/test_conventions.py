"""Tests of conventions: modules that parse external JSON, and modules that create temporary files."""

from __future__ import annotations

import ast

from tests.conftest import ROOT

_OWN_PROTOCOL = {
    "core/json_checks.py": "the one place",
    "core/files.py": "its own journal, whose every path is checked",
    "bench/remote/on_device/agent.py": "runs on a device that has no poets_edge yet",
    "bench/remote/on_device/own_files.py": "runs on a device that has no poets_edge yet",
    "bench/remote/measure.py": "what the other end of the connection asks for",
}


def test_external_json_is_parsed_only_by_json_checks() -> None:
    """Unlike a bare `json.loads`, `poets_edge.core.json_checks` parses strictly and checks the structure."""
    readers = {
        path.relative_to(ROOT / "poets_edge").as_posix()
        for path in (ROOT / "poets_edge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.loads", "json.load")
    }
    assert readers == set(_OWN_PROTOCOL)


_OWN_TEMPORARIES = {
    "core/files.py": "the one place",
    "exporting/certificate.py": "a private file; dead ones are removed",
}


def test_named_temporary_files_are_created_only_by_listed_modules() -> None:
    """Only the listed modules remove the temporary files that a killed program has left."""
    named = {"mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryDirectory"}
    makers = {
        path.relative_to(ROOT / "poets_edge").as_posix()
        for path in (ROOT / "poets_edge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in named)
        or (isinstance(node, ast.ImportFrom) and node.module == "tempfile")
    }
    assert makers == set(_OWN_TEMPORARIES)


_PLAIN_SKIPS = {
    "needs.py": "the one place: it fails on CI",
    "device/watch/test_cameras.py": "a machine with a camera lacks nothing",
}


def test_skips_for_missing_requirements_fail_on_ci() -> None:
    """Tests must skip through `tests.needs`, which fails on CI, instead of `pytest.skip` or `pytest.importorskip`."""
    skips = {
        path.relative_to(ROOT / "tests").as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("pytest.skip", "pytest.importorskip")
    }
    assert skips == set(_PLAIN_SKIPS)
