"""Tests that all sentences of the studio's server are in one file."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator

from poets_edge.studio import messages
from tests.conftest import ROOT

SOURCES = sorted((ROOT / "poets_edge/studio").glob("*.py"))
NO_TEXT_OF_THE_PAGE = {
    "messages.py",
    "server.py",  # its messages are shown in the terminal, before there is a page
}
NO_SENTENCES = {
    "a number above 0",  # what a malformed request or journal lacks; the page never sends one
    "a number from 0 to 1",
    "a path inside the project",
    "the names of one or more photos",
    "one or more points",
    "unlike all others",  # a kind of outlier, with a name of the library
}
SENTENCE = re.compile(r"(?:[a-zA-Z]{2,}[,;:]? ){2}[a-zA-Z]")


def _texts(tree: ast.Module) -> Iterator[str]:
    """Yield the string literals of a module that are not docstrings."""
    ignored = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ignored:
            yield node.value


def test_all_messages_of_the_server_are_in_one_file() -> None:
    for path in SOURCES:
        if path.name not in NO_TEXT_OF_THE_PAGE:
            texts = _texts(ast.parse(path.read_text("utf-8")))
            assert not [text for text in texts if SENTENCE.search(text) and text not in NO_SENTENCES], path


def test_every_message_in_the_file_of_messages_is_used() -> None:
    code = "".join(path.read_text("utf-8") for path in SOURCES)
    for name, template in vars(messages).items():
        if name.isupper():
            assert re.search(rf"\bmessages\.{name}\b", code), name
            assert all(field is None or field.isidentifier() for _, field, _, _ in string.Formatter().parse(template))
