"""Helpers that share questions between them: in order, each on cores of its own, and what becomes of one that dies."""

from __future__ import annotations

import os

import pytest

from poets_edge.benchmarking.processes import Answer, Helper, Helpers
from poets_edge.edge.parallel import cores
from poets_edge.errors import ModelError

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
MODULE = "tests.helper"


def ask(number: int, helper: Helper) -> Answer:
    return helper.ask({"number": number}, f"question {number}")


@pytest.mark.parametrize("own_cores", [True, False])
def test_questions_are_answered_in_order_by_processes_that_keep_out_of_each_others_way(own_cores: bool) -> None:
    with Helpers(MODULE, own_cores=own_cores) as helpers:
        answers = [answer for _, answer in helpers.share(range(9), ask)]
        more = [answer for _, answer in helpers.share([20], ask)]
    assert [answer["number"] for answer in answers] == list(range(9))
    everything = sorted(os.sched_getaffinity(0))
    by_process = {answer["process"]: answer["cores"] for answer in answers[:-1]}
    if own_cores:
        used = [core for of_process in by_process.values() for core in of_process]
        assert len(used) == len(set(used)), "no core belongs to two"
    else:
        assert all(of_process == everything for of_process in by_process.values())
    assert answers[-1]["cores"] == everything, "the last one finds the others at their end"
    assert more[0]["cores"] == everything
    assert more[0]["process"] in {answer["process"] for answer in answers}, "the same processes go on"


def test_not_more_processes_are_started_than_there_is_work_for() -> None:
    with Helpers(MODULE) as helpers:
        answers = [answer for _, answer in helpers.share(range(min(2, cores())), ask)]
        assert len({answer["process"] for answer in answers}) <= len(answers)


def test_one_that_dies_is_named_by_its_question() -> None:
    with Helpers(MODULE) as helpers, pytest.raises(ModelError, match=r"question -1: .*status 3"):
        list(helpers.share([1, -1, 2], ask))


def test_one_that_has_died_is_an_error_for_the_next_question_too() -> None:
    with Helpers(MODULE) as helpers:
        for _ in range(2):
            with pytest.raises(ModelError, match="ended early"):
                list(helpers.share([-1], ask))
