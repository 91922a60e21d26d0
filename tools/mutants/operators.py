"""Mutation operators: those of the package cosmic-ray that imitate plausible mistakes, and some for input checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cosmic_ray.operators.number_replacer import NumberReplacer
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Name

_BINARY = (
    ("Add", "Sub"), ("Sub", "Add"), ("Mul", "Div"), ("Div", "Mul"), ("FloorDiv", "Div"), ("FloorDiv", "Mul"),
    ("Mod", "FloorDiv"), ("Pow", "Mul"), ("LShift", "RShift"), ("RShift", "LShift"), ("BitOr", "BitAnd"),
    ("BitAnd", "BitOr"), ("BitXor", "BitAnd"),
)  # fmt: skip
_COMPARISON = (
    ("Eq", "NotEq"), ("NotEq", "Eq"), ("Lt", "LtE"), ("LtE", "Lt"), ("Gt", "GtE"), ("GtE", "Gt"), ("Is", "IsNot"),
    ("IsNot", "Is"),
)  # fmt: skip
_OTHERS = (
    "ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Delete_Not", "AddNot", "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak", "ExceptionReplacer", "ZeroIterationForLoop",
)  # fmt: skip


class NeverTrue(Operator):  # type: ignore[misc]
    """Mutation operator that replaces the condition of an `if` statement with False, as if the check were missing."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "if_stmt":
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[1] = Name("False", node.children[1].start_pos, " ")
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()


class Increment(NumberReplacer):  # type: ignore[misc]
    """Mutation operator that adds one to a number. Unlike cosmic-ray's operator, it does not also subtract one."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        yield from list(super().mutation_positions(node))[:1]

    def mutate(self, node: Any, index: int) -> Any:
        mutated = super().mutate(node, 0)
        mutated.value, mutated.prefix = mutated.value.strip(), node.prefix
        return mutated


class RemoveStatement(Operator):  # type: ignore[misc]
    """Mutation operator that replaces a `raise`, an augmented assignment, or a call with an unused result by `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "simple_stmt" and _removable(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        removed = node.children[0]
        node.children[0] = Name("pass", removed.start_pos, removed.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()


def _removable(statement: Any) -> bool:
    if statement.type in ("atom_expr", "power"):  # a call, not a docstring or a name
        return bool(statement.children[-1].type == "trailer" and statement.children[-1].children[0].value == "(")
    if statement.type == "expr_stmt":
        return statement.children[1].get_code().strip() in ("+=", "-=", "*=", "|=")
    return bool(statement.type == "raise_stmt")


def operators() -> dict[str, Any]:
    """Return all mutation operators, keyed by name."""
    names = [f"ReplaceBinaryOperator_{before}_{after}" for before, after in _BINARY]
    names += [f"ReplaceComparisonOperator_{before}_{after}" for before, after in _COMPARISON]
    found = {name: get_operator(f"core/{name}")() for name in (*names, *_OTHERS)}
    return {**found, "Increment": Increment(), "NeverTrue": NeverTrue(), "RemoveStatement": RemoveStatement()}
