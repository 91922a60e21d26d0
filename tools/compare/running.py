"""Copying of two revisions into folders ("trees"), and running of the commands of test cases with each tree.

Because the files are copied, edits to the working tree during a run have no effect. Models contain the version number
of poets_edge, so it is set to the same value in both trees.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tools.compare import outputs
from tools.compare.case import Case, Line, Respelled

ROOT = Path(__file__).resolve().parents[2]
_PARTS = ("poets_edge", "android_demo")
_FOLDER_MARK = "{folder}"
"""Placeholder, in the JSON files of a fixture, for the path of the folder in which a case runs."""
_TIMEOUT_SECONDS = 600
_LIBRARIES = ("numpy", "pillow", "ai-edge-litert", "tensorflow", "tensorboard", "matplotlib", "h5py", "jinja2")
_HIDDEN = (".home", ".cache")


class ComparisonError(Exception):
    """Raised if the two revisions cannot be compared, for example because a command fails in the base revision."""


@dataclass(frozen=True)
class Tree:
    """Folder with the files of one revision of poets_edge.

    Attributes:
        folder: folder that contains the package `poets_edge`, for PYTHONPATH.
        base: whether this is the base revision, for which some command lines are written differently (see `Respelled`).
    """

    folder: Path
    base: bool

    def spelling(self, line: Line) -> str:
        """Return a command line as this revision accepts it, that is, `old` or `new` of a `Respelled`."""
        if isinstance(line, Respelled):
            return line.old if self.base else line.new
        return line


def revision_name(revision: str) -> str:
    """Return the first 12 digits of a revision's commit hash. Raises ComparisonError if the revision does not exist."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"], cwd=ROOT, capture_output=True, text=True
    )
    if found.returncode:
        raise ComparisonError(f"{revision}: git knows no such revision.")
    return found.stdout.strip()[:12]


def check_out(revision: str, folder: Path) -> None:
    """Write the files of poets_edge and its Android app at a given revision into a new folder."""
    archive = subprocess.run(["git", "archive", revision, *_PARTS], cwd=ROOT, capture_output=True, check=True).stdout
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    _set_version(folder)


def copy_working_tree(folder: Path) -> None:
    """Copy the files of poets_edge and its Android app from the working tree into a new folder."""
    for part in _PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "build"))
    _set_version(folder)


def _set_version(folder: Path) -> None:
    path = folder / "poets_edge/__init__.py"
    text, count = re.subn(r'^__version__ = ".*"$', '__version__ = "0.0.0"', path.read_text("utf-8"), flags=re.M)
    if count != 1:
        raise ComparisonError(f"{path}: no line that sets __version__, which every model would carry.")
    path.write_text(text, "utf-8")


def reference_key(case: Case, fixtures: Mapping[str, Case]) -> str:
    """Return a hash of everything that determines the outputs of a test case, except the revision.

    Args:
        case: the test case.
        fixtures: all fixtures by name.
    """
    facts = [sys.version, *(f"{name} {_version(name)}" for name in _LIBRARIES), inspect.getsource(outputs)]
    for part in _with_fixtures(case, fixtures):
        made = inspect.getsource(part.prepare) if part.prepare else ""
        lines = [line.old if isinstance(line, Respelled) else line for line in part.lines]
        facts += [part.name, *part.inputs, *part.shared, *lines, made]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def _with_fixtures(case: Case, fixtures: Mapping[str, Case]) -> list[Case]:
    parts = [case]
    for name in case.inputs:
        parts += _with_fixtures(fixtures[name], fixtures)
    return parts


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def make_fixture(fixture: Case, tree: Tree, inputs: list[Path], shared: Path, target: Path) -> None:
    """Run the command lines of a fixture, and save the resulting folder as `target`.

    Test cases copy the folder before their commands run.

    Args:
        fixture: the fixture.
        tree: the revision to run.
        inputs: folders of the fixtures on which this one is based.
        shared: folder of shared data.
        target: new folder.
    """
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:
        folder = _begin(fixture, inputs, shared, Path(scratch))
        for number, line in enumerate(fixture.lines, 1):
            _run(fixture, tree, line, folder, shared, Path(scratch) / f"{number}")
        for path in folder.rglob("*.json"):
            path.write_text(path.read_text("utf-8").replace(str(folder), _FOLDER_MARK), "utf-8")
        for name in _HIDDEN:
            shutil.rmtree(folder / name, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, target)


def run_case(case: Case, tree: Tree, inputs: list[Path], shared: Path, target: Path) -> None:
    """Run the command lines of a test case in a fresh folder, and save their outputs in the new folder `target`.

    Args:
        case: the test case.
        tree: the revision to run.
        inputs: folders of the fixtures that are copied into the fresh folder.
        shared: folder of shared data.
        target: new folder.

    Raises:
        ComparisonError: a command of the base revision fails or succeeds unexpectedly, or a command does not end.
    """
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:
        folder = _begin(case, inputs, shared, Path(scratch))
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for number, line in enumerate(case.lines, 1):
            _run(case, tree, line, folder, shared, target / f"{number:02}-{_name(line)}")
        names = {str(folder): "FOLDER", str(tree.folder): "TREE", str(shared): "SHARED"}
        outputs.take_outputs(folder, before, target, names)


def _begin(case: Case, inputs: list[Path], shared: Path, scratch: Path) -> Path:
    folder = scratch / "work"
    folder.mkdir()
    for source in inputs:
        shutil.copytree(source, folder, dirs_exist_ok=True)
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text("utf-8").replace(_FOLDER_MARK, str(folder)), "utf-8")
    if case.prepare:
        case.prepare(folder, shared)
    return folder


def _run(case: Case, tree: Tree, line: Line, folder: Path, shared: Path, output: Path) -> None:
    words = shlex.split(tree.spelling(line))
    fails = words[0] == "!"
    words = words[fails:]
    stdin = b""
    if len(words) > 1 and words[-2] == "<":
        stdin = (folder / words[-1]).read_bytes()
        words = words[:-2]
    program = [] if words[0] == "python" else ["-m", "poets_edge"]
    try:
        ended = subprocess.run(
            [sys.executable, *program, *words[not program :]],
            cwd=folder,
            env=_environment(case, tree, folder, shared),
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ComparisonError(f"{case.name}: {shlex.join(words)} does not end.") from None
    output.with_name(f"{output.name}.stdout").write_bytes(ended.stdout)
    output.with_name(f"{output.name}.stderr").write_bytes(ended.stderr)
    output.with_name(f"{output.name}.status").write_text(f"{ended.returncode}\n")
    if tree.base and bool(ended.returncode) is not fails:
        said = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ComparisonError(f"{case.name}: `{shlex.join(words)}` exits with {ended.returncode} in the base: {said}")


def _environment(case: Case, tree: Tree, folder: Path, shared: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tree.folder),
        "PYTHONHASHSEED": "0",
        "HOME": str(folder / ".home"),
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "100",
        **({"KERAS_HOME": str(shared / "keras")} if "keras" in case.shared else {}),
    }


def _name(line: Line) -> str:
    old = line.old if isinstance(line, Respelled) else line
    words = [word for word in shlex.split(old) if word not in ("!", "-m")]
    return words[1] if words[0] == "python" else words[0]
