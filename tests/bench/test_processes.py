"""Helpers that share questions between them: answers in order, no idle processes, and what becomes of a dead one."""

from __future__ import annotations

import pytest

from poets_edge.bench.processes import Answer, Helper, Helpers
from poets_edge.core.parallel import cores
from poets_edge.errors import ModelError

MODULE = "tests.helper"


def ask(number: int, helper: Helper) -> Answer:
    return helper.ask({"number": number}, f"question {number}")


def test_questions_are_answered_in_order_by_processes_that_go_on() -> None:
    with Helpers(MODULE) as helpers:
        answers = [answer for _, answer in helpers.share(range(9), ask)]
        more = [answer for _, answer in helpers.share([20, 21], ask)]
    assert [answer["number"] for answer in answers] == list(range(9))
    assert {answer["process"] for answer in more} <= {answer["process"] for answer in answers}


def test_no_more_processes_are_started_than_there_are_questions_or_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    class Counted(Helper):
        def __init__(self, module: str) -> None:
            started.append(module)
            super().__init__(module)

    monkeypatch.setattr("poets_edge.bench.processes.Helper", Counted)
    for questions, most in ((0, 0), (1, 1), (9, min(4, cores()))):
        started.clear()
        with Helpers(MODULE) as helpers:
            assert [number for number, _ in helpers.share(range(questions), ask)] == list(range(questions))
        assert len(started) == most


def test_one_that_dies_is_named_by_its_question() -> None:
    with Helpers(MODULE) as helpers, pytest.raises(ModelError, match=r"question -1: .*status 3"):
        list(helpers.share([1, -1, 2], ask))


def test_one_that_has_died_is_an_error_for_the_next_question_too() -> None:
    with Helpers(MODULE) as helpers:
        for _ in range(2):
            with pytest.raises(ModelError, match="ended early"):
                list(helpers.share([-1], ask))
