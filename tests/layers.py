"""Layers of the package, and a parser for the imports in its modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

LAYERS = (
    ("__main__", "codelab"),
    ("cli",),
    ("studio",),
    ("api",),
    ("demo",),
    ("auditing", "sweep"),
    ("exporting",),
    ("training",),
    ("reports",),
    ("quantize",),
    ("nets",),
    ("bench",),
    ("device",),
    ("tflite",),
    ("photos",),
    ("core",),
    ("progress",),
    ("errors",),
)
"""Top-level packages and modules of `poets_edge`, by layer, highest first. Each may import only from lower layers."""

IMPORT_WHEN_CALLED = frozenset({"api", "cli"})
"""Layers that may import packages inside functions, since devices do not have the packages in layers above `bench`."""

DEFERRED = {
    "device/classifier.py": {"poets_edge.device.evaluate"},  # 30 ms of `label`; it imports the classifier
    "nets/weights.py": {"poets_edge.core.download"},  # an HTTP client: 14 ms of a cached `train`
    "photos/contents.py": {"poets_edge.photos.sources"},  # 4 % of `label`, whose photos are usually files
    "photos/remote.py": {"poets_edge.photos.http"},  # an HTTP client: 25 ms of `label`
    "sweep/training.py": {"poets_edge.sweep.training_worker"},  # only where something is left to train
    "tflite/input_range.py": {"poets_edge.tflite.graph_evidence"},  # for foreign models: as long as an inference
    "tflite/interpreter.py": {"poets_edge.tflite.runtimes"},  # only where no interpreter is installed
    "tflite/read_model.py": {"poets_edge.tflite.verify.verify"},  # for models new to this machine: 15 ms of `label`
    "tflite/scores.py": {"poets_edge.tflite.graph_evidence"},  # for foreign models, too
}
"""Modules of this project that a file imports inside functions, because loading them takes time."""


_parse = cache(ast.parse)


@dataclass(frozen=True)
class Import:
    """Import of a module of this project.

    Attributes:
        importer: path of the importing file in `poets_edge`, with `/`.
        module: dotted name of the imported module.
        at_top: whether the statement is at the top level of the file, where it runs on import.
    """

    importer: str
    module: str
    line: int
    at_top: bool

    @property
    def importer_layer(self) -> str:
        return self.importer.partition("/")[0].removesuffix(".py")

    @property
    def layer(self) -> str:
        return self.module.split(".")[1] if "." in self.module else ""

    def __str__(self) -> str:
        return f"poets_edge/{self.importer}:{self.line} imports {self.module}"


def package_imports(package: Path = ROOT / "poets_edge") -> Iterator[Import]:
    """Yield every import of a module of this project: at the top level, in functions, and under `TYPE_CHECKING`."""
    for path in sorted(package.rglob("*.py")):
        if path.parent != package or path.name != "__init__.py":  # the public names, which are loaded on first use
            yield from file_imports(path, package)


def file_imports(path: Path, package: Path = ROOT / "poets_edge") -> Iterator[Import]:
    """Yield the imports of modules of this project in a file."""
    tree = _parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    name = path.relative_to(package).as_posix()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: imports are absolute"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [module if module_path(module, package) else str(node.module) for module in modules]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            if module.split(".")[0] == "poets_edge":
                yield Import(name, module, node.lineno, id(node) in top)


def module_path(module: str, package: Path = ROOT / "poets_edge") -> Path | None:
    """Return the file of a module, or None if the module does not exist."""
    base = package.parent.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
