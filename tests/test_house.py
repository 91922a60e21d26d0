"""The house rules that a machine can check: a device imports only what it has, and one thing has one name."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from poets_edge.cli import COMMANDS, cli
from poets_edge.photos.draw import draw_photo
from tests.conftest import ROOT

DEVICE_COMMANDS = ("label", "watch", "evaluate", "inspect", "benchmark", "compare", "doctor", "deploy")
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


def test_labelling_loads_nothing_of_training(tmp_path: Path) -> None:
    """Seen from outside: whatever Python really imports, lazily or not."""
    (tmp_path / "labels.txt").write_text("\n".join(map(str, range(256))))  # the probe has as many outputs
    (tmp_path / "photo.jpg").write_bytes(draw_photo("daisy", 0))
    probe = ROOT / "poets_edge/edge/probe.tflite"
    arguments = ("label", probe, tmp_path / "photo.jpg", "--labels", tmp_path / "labels.txt", "--top", "1")
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "poets_edge", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0 and ended.stdout, ended.stderr[-2000:]
    loaded = set(re.findall(r"^import time: .*\|\s+(\S+)$", ended.stderr, re.MULTILINE))
    assert "poets_edge.edge.classifier" in loaded
    rooms = {path.name for path in (ROOT / "poets_edge").iterdir() if path.is_dir()} - DEVICE_ROOMS
    assert {"training", "exporting", "sweep"} <= rooms
    strays = {name for name in loaded if name.startswith("poets_edge.") and name.split(".")[1] in rooms}
    strays |= loaded & {"tensorflow", "keras", "matplotlib", "h5py", "tensorboard", "cv2", "sqlite3", "hypothesis"}
    assert not strays


SYNONYMS = {
    "form": "quantization",
    "forms": "quantization",
    "precision": "quantization",
    "precisions": "quantization",
    "reaction": "trigger",
}
"""Parts of names, in code and as JSON keys and options, for which there is one word here already."""

OWN_MEANING = {"precision": ("audit/", "cli/audit.py")}
"""Where such a word is the field's own for something else: the share of a class's answers that are right."""

PHRASES = {
    r"\b(in|of|at) (every|each|all|four|which|the other) (forms?|precisions?)\b": "quantization",
    r"\b(float32|float16|dynamic|int8) (form|precision)\b": "quantization",
    r"\bgone on with\b": "resumed, continued",
    r"\bgoes on where it was\b": "continues where it stopped",
    r"\bsuch that\b": "so that",
    r"\bfor who\b": "for those who",
    r"\b(not|cannot|nowhere) (to )?be had\b": "is not available",
    r"\bto be had\b": "available",
    r"\bof somebody's\b": "somebody's",
    r"\bmore than everything\b": "",
    r'"""What\b': "a docstring that names the thing",
}
"""Text that has a plainer or an agreed wording, each with that."""


def _sources() -> list[Path]:
    return sorted((ROOT / "poets_edge").rglob("*.py"))


def _names(tree: ast.AST) -> Iterator[str]:
    """Whatever is named in a module: variables, functions, parameters, attributes, and texts that are only one name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[\w-]+", node.value):
            yield node.value


@pytest.mark.parametrize("path", _sources(), ids=lambda path: path.relative_to(ROOT / "poets_edge").as_posix())
def test_one_thing_has_one_name(path: Path) -> None:
    name = path.relative_to(ROOT / "poets_edge").as_posix()
    parts = {
        part.lower()
        for found in _names(ast.parse(path.read_text(encoding="utf-8")))
        for part in re.split("[_-]", found)
    }
    wrong = {
        part: SYNONYMS[part]
        for part in parts & set(SYNONYMS)
        if not name.startswith(OWN_MEANING.get(part, ("nowhere",)))
    }
    assert not wrong, f"say it with the word that is used elsewhere: {wrong}"


def _texts() -> Iterator[tuple[str, str]]:
    for path in (*_sources(), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        yield f"poets-edge {name} --help", command.get_help(click.Context(command, info_name=name))


def test_texts_are_worded_as_agreed() -> None:
    found = [
        f"{where}: {' '.join(match.group().split())!r}; better {better!r}"
        for where, text in _texts()
        for phrase, better in PHRASES.items()
        for match in re.finditer(phrase.replace(" ", r"\s+"), text, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


_OWN_PROTOCOL = {
    "records.py": "the one place",
    "files.py": "its own journal, whose every path is checked",
    "benchmarking/processes.py": "between a process and its own helpers",
    "benchmarking/worker.py": "between a process and its own helpers",
    "edge/verification/trial.py": "between a process and its own helpers",
    "remote/agent.py": "runs on a device that has no poets_edge yet",
    "remote/measure.py": "what the other end of the connection asks for",
    "training/record.py": "what it has written itself, a line above",
}


def test_json_that_somebody_else_may_have_written_is_read_in_one_place() -> None:
    """`poets_edge.records` parses it strictly and checks its shape; a bare `json.loads` does neither."""
    readers = {
        path.relative_to(ROOT / "poets_edge").as_posix()
        for path in (ROOT / "poets_edge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.loads", "json.load")
    }
    assert readers == set(_OWN_PROTOCOL)


_OWN_TEMPORARIES = {
    "files.py": "the one place",
    "exporting/certificate.py": "a private file; dead ones are removed",
    "remote/agent.py": "runs on a device that has no poets_edge yet; dead ones are removed",
}


def test_temporary_files_that_have_names_are_made_where_dead_ones_are_removed() -> None:
    """Those of a program that was killed stay for good otherwise."""
    named = {"mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryDirectory"}
    makers = {
        path.relative_to(ROOT / "poets_edge").as_posix()
        for path in (ROOT / "poets_edge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in named)
        or (isinstance(node, ast.ImportFrom) and node.module == "tempfile")
    }
    assert makers == set(_OWN_TEMPORARIES)
