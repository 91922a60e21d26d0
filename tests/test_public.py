"""Tests of the public interface of the library."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import poets_edge
from tests.conftest import ROOT


def test_public_names_exist_and_are_listed() -> None:
    assert dir(poets_edge) == sorted(poets_edge.__all__)
    for name in poets_edge.__all__:
        assert getattr(poets_edge, name) is not None


def test_type_checkers_see_all_public_names() -> None:
    source = ast.parse((ROOT / "poets_edge/__init__.py").read_text(encoding="utf-8"))
    imported = {
        (alias.asname, node.module)
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert imported == set(poets_edge._MODULES.items())


def _classes(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and hint.__module__.startswith("poets_edge"):
        yield hint
    for part in typing.get_args(hint):
        yield from _classes(part)


@pytest.mark.parametrize("name", [name for name in poets_edge.__all__ if name.endswith("Options")])
def test_types_of_option_fields_are_public(name: str) -> None:
    """Users can construct options and their parts from public names only."""
    options = getattr(poets_edge, name)
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        for part in _classes(hints[field.name]):
            assert part.__name__ in poets_edge.__all__, f"{name}.{field.name} needs {part}"


def test_library_messages_contain_no_command_line_options() -> None:
    """Messages name parameters in backquotes, which the command line replaces by its flags."""
    for path in sorted((ROOT / "poets_edge").rglob("*.py")):
        if "cli" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
                found = re.search(r"(?<![\w-])--[a-z][\w-]+", ast.unparse(node))
                text = ast.unparse(node)
                command_line = "poets-edge" in text or "systemctl" in text  # complete command lines may contain options
                assert not found or command_line, f"{path.name}:{node.lineno} names {found and found[0]}"


def test_public_names_differ_from_package_names() -> None:
    """Importing a subpackage sets an attribute of `poets_edge`, which would replace an equal public name."""
    packages = {path.stem for path in (ROOT / "poets_edge").iterdir() if path.name != "__init__.py"}
    assert not packages & set(poets_edge.__all__)
