"""Replacement of an imported module by a mutant, so that existing references to its functions run the mutant."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Swap:
    """A loaded module whose functions and values can be replaced in place.

    A forked process keeps all imported modules. Functions get new code objects, so that modules that have imported them
    by name, classes that inherit them and decorators that wrap them all call the mutant.
    """

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self._path = str(Path(str(module.__file__)))
        self._original = dict(
            _codes(compile(Path(self._path).read_text(encoding="utf-8"), self._path, "exec", dont_inherit=True))
        )
        self._functions: dict[types.CodeType, list[types.FunctionType]] = {}
        for function in gc.get_objects():
            if isinstance(function, types.FunctionType) and function.__code__.co_filename == self._path:
                self._functions.setdefault(function.__code__, []).append(function)

    def apply(self, source: str, *, on_import: bool) -> None:
        """Replace the functions of the module by those in `source`, the source of a mutant.

        Args:
            source: source of the whole module.
            on_import: whether to run the statements outside functions, too, and replace the module's values.
        """
        mutated = compile(source, self._path, "exec", dont_inherit=True)
        codes = dict(_codes(mutated))
        for key, before in self._original.items():
            if key in codes and codes[key] != before:
                for function in self._functions.get(before, ()):
                    function.__code__ = codes[key]
        if on_import:
            loaded = {name: value for name, value in vars(self._module).items() if name.startswith("__")}
            exec(mutated, loaded)
            self._replace_values(loaded)

    def _replace_values(self, loaded: dict[str, Any]) -> None:
        """Replace the values of the module's variables, including those that other modules have imported by name.

        A variable in another module is recognized as imported if it has the same name and refers to the same object.
        Equal small numbers are always the same object in Python, so the object alone would not suffice.

        Args:
            loaded: the new values by name.
        """
        spaces = [
            vars(module)
            for name, module in list(sys.modules.items())
            if name.split(".")[0] in ("poets_edge", "tests") or module is self._module
        ]
        for name, value in loaded.items():
            before = vars(self._module).get(name)
            if name.startswith("__") or isinstance(value, types.ModuleType) or before is None:
                continue
            if isinstance(value, type):
                if value.__module__ == self._module.__name__:
                    _replace_members(before, value)
            elif isinstance(before, types.FunctionType):
                _replace_defaults(before, value)
            elif type(before) is not type(value) or repr(before) != repr(value):
                for space in spaces if not name.startswith("_") else [vars(self._module)]:
                    if space.get(name) is before:
                        space[name] = value


def _codes(code: types.CodeType, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], types.CodeType]]:
    """Yield (key, code object) for each function and class that a code object defines, including nested ones.

    A key is the path of names to the nested code object; after each name in the path, a number distinguishes siblings
    with equal names.
    """
    counts: dict[str, int] = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            counts[constant.co_name] = counts.get(constant.co_name, 0) + 1
            key = (*path, constant.co_name, counts[constant.co_name])
            yield key, constant
            yield from _codes(constant, key)


def _replace_defaults(before: types.FunctionType, after: Any) -> None:
    if isinstance(after, types.FunctionType):
        before.__defaults__, before.__kwdefaults__ = after.__defaults__, after.__kwdefaults__


def _replace_members(before: Any, after: type) -> None:
    for name, value in vars(after).items():
        old = vars(before).get(name)
        if isinstance(old, types.FunctionType):
            _replace_defaults(old, value)
        elif isinstance(old, staticmethod | classmethod):
            _replace_defaults(old.__func__, value.__func__)  # type: ignore[arg-type]
        elif not name.startswith("__") and isinstance(old, int | float | str | tuple) and old != value:
            setattr(before, name, value)
