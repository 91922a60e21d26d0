"""Search of all tests for missing assertions, for assertions that always hold, and for those that only check a mock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from tests.conftest import ROOT

_FAIL = frozenset({"raises", "warns", "fail", "missing"})
"""Names of functions that can fail a test."""
_METHODS = frozenset({"ok", "failed", "refused", "check_returncode", "wait_for_selector", "wait_for", "run_job"})
"""Names of methods that raise an error unless their object is in the expected state."""
_MOCKS = frozenset({"called", "call_count", "call_args", "call_args_list", "mock_calls", "method_calls"})
_MOCK_ASSERTIONS = ("assert_called", "assert_not_called", "assert_has_calls", "assert_any_call")
_parse = cache(ast.parse)


def _called(function: ast.AST) -> set[str]:
    """Return the names of the plain functions that a function calls."""
    return {
        node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _asserts(function: ast.AST) -> bool:
    """Return whether a function contains an assertion."""
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and _fails(node)) for node in ast.walk(function)
    )


def _fails(call: ast.Call) -> bool:
    """Return whether a call fails the test unless a condition holds."""
    is_method = isinstance(call.func, ast.Attribute)
    name = getattr(call.func, "attr" if is_method else "id", "")
    checks = any(
        given.arg == "check" and isinstance(given.value, ast.Constant) and given.value.value for given in call.keywords
    )
    return name in _FAIL or name.startswith("assert_") or (is_method and name in _METHODS) or checks


def without_assertion(sources: dict[str, str]) -> list[str]:
    """Return "file:line test" for each test that neither contains an assertion nor calls a helper that does.

    Args:
        sources: source code of each file, by file name. Helpers are looked up by name in all files.
    """
    tests: list[tuple[str, ast.FunctionDef]] = []
    calls: dict[str, set[str]] = {}
    asserting: set[str] = set()
    for file, source in sources.items():
        for node in ast.walk(_parse(source)):
            if not isinstance(node, ast.FunctionDef):
                continue
            if node.name.startswith("test_"):
                tests.append((file, node))
                continue
            calls.setdefault(node.name, set()).update(_called(node))
            if _asserts(node):
                asserting.add(node.name)
    while more := {name for name, called in calls.items() if called & asserting} - asserting:
        asserting |= more
    return [
        f"{file}:{node.lineno} {node.name}"
        for file, node in tests
        if not _asserts(node) and not _called(node) & asserting
    ]


def vacuous(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the reason for each assertion that always holds or that checks the calls of a mock."""
    for node in ast.walk(_parse(source)):
        if isinstance(node, ast.Assert):
            if _is_constant(node.test):
                yield node.lineno, "constant"
            if _is_compared_with_itself(node.test):
                yield node.lineno, "compared with itself"
            if any(isinstance(part, ast.Attribute) and part.attr in _MOCKS for part in ast.walk(node.test)):
                yield node.lineno, "mock"
        elif isinstance(node, ast.Attribute) and node.attr.startswith(_MOCK_ASSERTIONS):
            yield node.lineno, "mock"


def _is_constant(test: ast.expr) -> bool:
    if isinstance(test, (ast.Tuple, ast.List)):
        return bool(test.elts)
    return isinstance(test, (ast.Constant, ast.Lambda, ast.JoinedStr))


def _is_compared_with_itself(test: ast.expr) -> bool:
    """Return whether a comparison has equal expressions on both sides, without calls, whose results may differ."""
    if not isinstance(test, ast.Compare) or any(isinstance(part, ast.Call) for part in ast.walk(test)):
        return False
    return any(ast.dump(test.left) == ast.dump(other) for other in test.comparators)


@cache
def _sources() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")
    }


def test_every_test_contains_an_assertion() -> None:
    assert without_assertion(_sources()) == []


def test_no_assertion_is_vacuous() -> None:
    found = [f"{file}:{line} {reason}" for file, source in _sources().items() for line, reason in vacuous(source)]
    assert found == []


@pytest.mark.parametrize(
    "body",
    ["run()", "x = 1", "helper()\n", "run().stdout", "subprocess.run(['true'])", "other()"],
)
def test_tests_that_cannot_fail_are_found(body: str) -> None:
    helpers = "def helper():\n    print(1)\ndef other():\n    helper()\n"
    source = f"{helpers}def test_it():\n    {body}\n"
    assert without_assertion({"t.py": source}) == ["t.py:5 test_it"]


@pytest.mark.parametrize(
    "body",
    [
        "assert x", "run().ok()", "helper()", "other()", "np.testing.assert_array_equal(a, b)",
        "subprocess.run(['true'], check=True)", "with pytest.raises(ValueError):\n        run()",
    ],
)  # fmt: skip
def test_tests_whose_assertions_are_in_helpers_are_accepted(body: str) -> None:
    helpers = {"h.py": "def helper():\n    assert 1 == f()\ndef other():\n    helper()\n"}
    assert without_assertion({**helpers, "t.py": f"def test_it():\n    {body}\n"}) == []


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        ("assert True", ["constant"]),
        ("assert (x, 'message')", ["constant"]),
        ("assert 'message'", ["constant"]),
        ("assert x.y == x.y", ["compared with itself"]),
        ("assert mock.call_count == 1", ["mock"]),
        ("mock.assert_called_once_with(1)", ["mock"]),
        ("assert f() == f()", []),
        ("assert x == y", []),
    ],
)
def test_assertions_that_always_hold_are_found(line: str, reasons: list[str]) -> None:
    assert [reason for _, reason in vacuous(line)] == reasons
