"""The house rules that a machine can check: what runs on a Raspberry Pi imports only what a Raspberry Pi has."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

DEVICE_COMMANDS = ("label", "watch", "evaluate", "inspect", "benchmark", "compare", "doctor")
"""What a plain install, without extras, can do."""

DEVICE_ROOMS = frozenset({"edge", "photos", "watching", "benchmarking", "remote", "cli"})
"""The folders that a plain install runs. Beside them it may use modules at the top of the package."""


def _module_path(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@functools.cache
def _imports_of(path: Path) -> tuple[str, ...]:
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8")).body))


def _imports(body: list[ast.stmt]) -> Iterator[str]:
    """Modules of this package that are imported when the code runs, as against when a function of it is called."""
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("poets_edge"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _module_path(inner) else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("poets_edge"))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from _imports([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _imports(node.body)


def _closure(module: str) -> dict[str, str]:
    """Every module that importing one brings along, each with the module that imports it."""
    found = {module: ""}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        path = _module_path(current)
        assert path is not None, current
        for name in _imports_of(path):
            if name not in found:
                found[name] = current
                waiting.append(name)
    return found


def _room(module: str) -> str:
    """The folder that a module lies in; "" at the top of the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (ROOT / "poets_edge" / parts[-1]).is_dir() else ""


@pytest.mark.parametrize("command", DEVICE_COMMANDS)
def test_a_plain_install_imports_only_the_rooms_of_the_device(command: str) -> None:
    strays = {
        module: importer
        for module, importer in _closure(f"poets_edge.cli.{command}").items()
        if _room(module) not in DEVICE_ROOMS | {""}
    }
    assert not strays, f"{command} imports what a Raspberry Pi does not have (module: imported by): {strays}"


@pytest.mark.parametrize("room", sorted(DEVICE_ROOMS - {"cli"}))
def test_rooms_of_the_device_import_only_each_other(room: str) -> None:
    for path in sorted((ROOT / "poets_edge" / room).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for imported in _imports_of(path):
            assert _room(imported) in DEVICE_ROOMS | {""}, f"{module} imports {imported}"
