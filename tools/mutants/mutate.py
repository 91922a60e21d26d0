"""Generation of the mutants of a module, that is, of copies of its source with one small fault each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast

from tools.mutants.operators import operators


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A module with one fault.

    Attributes:
        operator: name of the mutation operator.
        lines: first and last line number of the statement with the fault, without the body of a compound statement.
        before, after: the changed source lines in the original and in the mutant, stripped and joined.
        source: the source of the whole mutated module.
        on_import: whether the statement runs when the module is imported.
    """

    operator: str
    lines: tuple[int, int]
    before: str
    after: str
    source: str
    on_import: bool


def mutants(source: str) -> Iterator[Mutant]:
    """Yield the mutants of a module, given its source, without duplicates and without invalid code."""
    statements, skipped = _statements(source), _skipped(source)
    original, seen, start = source.splitlines(), set[str](), 0
    for block in get_ast(source).children:
        code = block.get_code()
        for name, (line, column), mutated in _mutations(block):
            statement = _innermost(statements, line)
            whole = f"{source[:start]}{mutated}{source[start + len(code) :]}"
            if whole in seen or statement is None or _within(skipped, line, column) or not _compiles(mutated):
                continue
            seen.add(whole)
            before, after = _changed(original, whole.splitlines())
            yield Mutant(
                operator=name,
                lines=(statement.first, statement.last),
                before=before,
                after=after,
                source=whole,
                on_import=statement.on_import,
            )
        start += len(code)


def planted(source: str, before: str, after: str) -> Mutant | None:
    """Return the mutant of a module in which the text `before` is replaced by `after`.

    The result is None if `before` does not occur exactly once, or if the code of the mutant is invalid.
    """
    if source.count(before) != 1:
        return None
    start = source.index(before)
    mutated = source.replace(before, after)
    changed = next(
        (place for place in range(len(before) - 1) if before[place] != after[place : place + 1]), len(before) - 1
    )
    statement = _innermost(_statements(source), source.count("\n", 0, start + changed) + 1)
    if statement is None or not _compiles(mutated):
        return None
    was, becomes = _changed(source.splitlines(), mutated.splitlines())
    return Mutant(
        operator="planted",
        lines=(statement.first, statement.last),
        before=was,
        after=becomes,
        source=mutated,
        on_import=statement.on_import,
    )


def _mutations(block: Any) -> Iterator[tuple[str, tuple[int, int], str]]:
    """Yield (operator name, (line, column), mutated code) for every mutation of a top-level block of a syntax tree.

    The block itself is restored after each mutation.
    """
    for node in list(ast_nodes(block)):
        for name, operator in operators().items():
            for index, (position, _) in enumerate(list(operator.mutation_positions(node))):
                undo = _snapshot(node)
                try:
                    whole, mutated = node.parent is not None, operator.mutate(node, index)
                except AttributeError:  # cosmic-ray's ExceptionReplacer cannot replace a.B in `except (a.B, C):`
                    continue
                if whole:
                    siblings = node.parent.children
                    place = siblings.index(node)
                    siblings[place] = mutated
                    code = block.get_code()
                    siblings[place] = node
                else:
                    code = mutated.get_code()
                for restored, attribute, value in undo:
                    setattr(restored, attribute, value)
                yield name, position, code


def _snapshot(node: Any, depth: int = 4) -> list[tuple[Any, str, Any]]:
    """Return (node, attribute name, value) for each attribute that a mutation operator may change in a syntax tree.

    Args:
        node: the root of the tree.
        depth: number of levels of children whose attributes are included.
    """
    found = [(node, "value", node.value)] if hasattr(node, "value") else []
    if hasattr(node, "children"):
        found.append((node, "children", list(node.children)))
        if depth:
            found += [entry for child in node.children for entry in _snapshot(child, depth - 1)]
    return found


@dataclass(frozen=True, kw_only=True)
class _Statement:
    first: int
    last: int
    on_import: bool


def _statements(source: str) -> list[_Statement]:
    """Return the line range of each statement in a module, without its decorators and nested statements."""
    found = []

    def walk(node: ast.AST, on_import: bool) -> None:
        for child in ast.iter_child_nodes(node):
            inner = on_import
            if isinstance(child, ast.stmt):
                body = [part.lineno for part in ast.walk(child) if isinstance(part, ast.stmt) and part is not child]
                last = max(child.lineno, min(body) - 1) if body else child.end_lineno or child.lineno
                found.append(_Statement(first=child.lineno, last=last, on_import=on_import))
                inner = on_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            elif isinstance(child, ast.ExceptHandler):
                found.append(_Statement(first=child.lineno, last=child.body[0].lineno - 1, on_import=on_import))
            walk(child, inner)

    walk(ast.parse(source), True)
    return found


def _innermost(statements: list[_Statement], line: int) -> _Statement | None:
    holders = [statement for statement in statements if statement.first <= line <= statement.last]
    return max(holders, key=lambda statement: statement.first, default=None)


_Span = tuple[tuple[int, int], tuple[int, int]]


def _skipped(source: str) -> list[_Span]:
    """Return the source spans in which faults have no effect on tests.

    These are annotations, and blocks under `TYPE_CHECKING`.
    """
    spans: list[ast.expr | ast.stmt | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign):
            spans.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            spans.append(node.returns)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            spans.append(node)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0))
        for node in spans
        if node
    ]


def _within(spans: list[_Span], line: int, column: int) -> bool:
    return any(first <= (line, column) < last for first, last in spans)


def _compiles(code: str) -> bool:
    try:
        compile(code, "<mutant>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _changed(before: list[str], after: list[str]) -> tuple[str, str]:
    """Return the lines that differ between two sources, from the first to the last difference.

    Args:
        before, after: lines of the two sources.

    Returns:
        The lines of each source, joined into one line.
    """
    first = next(index for index, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
    tail = 0
    while before[-1 - tail] == after[-1 - tail] and min(len(before), len(after)) - tail > first + 1:
        tail += 1
    return _one_line(before[first : len(before) - tail]), _one_line(after[first : len(after) - tail])


def _one_line(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)
