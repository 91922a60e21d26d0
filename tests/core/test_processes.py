"""Tests of helper processes: order of answers, number of processes, errors, crashes and time limits."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from poets_edge.core.helper_pool import HelperPool
from poets_edge.core.parallel import cores
from poets_edge.core.processes import Helper, HelperEndedError, Messaging
from poets_edge.errors import ModelError, PoetsEdgeError, RemoteError
from tests.helper import (
    THREAD_VARIABLES,
    Question,
    Reply,
    print_and_exit,
    raise_error_with_a_lock,
    raise_error_with_two_arguments,
    reply,
    reply_after_a_program,
    reply_in_part,
    reply_with_messages,
    thread_variables,
)


def ask(number: int, helper: Helper[Question, Reply]) -> Reply:
    return helper.ask(Question(number), f"question {number}")


def test_helper_pool_answers_in_order_and_reuses_its_processes() -> None:
    with HelperPool(reply) as pool:
        answers = [answer for _, answer in pool.share(range(9), ask)]
        more = [answer for _, answer in pool.share([20, 21], ask)]
    assert [answer.number for answer in answers] == list(range(9))
    assert {answer.process for answer in more} <= {answer.process for answer in answers}


@pytest.mark.parametrize(("questions", "most"), [(0, 0), (1, 1), (9, min(4, cores()))])
def test_helper_pool_starts_at_most_one_process_per_request_and_core(
    monkeypatch: pytest.MonkeyPatch, questions: int, most: int
) -> None:
    started = []

    class Counted(Helper[Question, Reply]):
        def __init__(self, *args: object, **options: object) -> None:
            started.append(args)
            super().__init__(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("poets_edge.core.helper_pool.Helper", Counted)
    with HelperPool(reply) as pool:
        assert [number for number, _ in pool.share(range(questions), ask)] == list(range(questions))
    assert len(started) == most


def test_helper_pool_reports_which_request_caused_a_crash() -> None:
    with HelperPool(reply) as pool, pytest.raises(ModelError, match=r"question -1: .*status 3"):
        list(pool.share([1, -1, 2], ask))


def test_all_further_requests_to_a_crashed_helper_fail() -> None:
    with Helper(reply) as helper:
        for _ in range(2):
            with pytest.raises(HelperEndedError, match="ended early") as raised:
                ask(-1, helper)
            assert raised.value.status == 3 and not raised.value.timed_out


def test_helper_propagates_exceptions_and_continues() -> None:
    with Helper(reply) as helper:
        with pytest.raises(RemoteError, match="raised in the helper") as raised:
            ask(-2, helper)
        assert raised.value.reason == "a test"
        assert ask(7, helper).number == 7


def test_helper_is_killed_at_its_time_limit() -> None:
    with Helper(reply) as helper:
        assert helper.ask(Question(1), "quick", seconds=60).number == 1
        with pytest.raises(HelperEndedError, match=r"slow: no answer after 1 seconds") as raised:
            helper.ask(Question(-3), "slow", seconds=1)
        assert raised.value.timed_out


def test_crash_before_the_time_limit_is_not_reported_as_exceeding_it() -> None:
    with Helper(reply) as helper, pytest.raises(HelperEndedError, match=r"ended early \(status 3") as raised:
        helper.ask(Question(-1), "it", seconds=60)
    assert raised.value.status == 3 and not raised.value.timed_out


def test_helper_sends_messages_before_its_answer() -> None:
    received: list[int] = []
    with Helper(Messaging(reply_with_messages)) as helper:
        assert helper.ask(Question(3), "three", receive=received.append).number == 3
        assert helper.ask(Question(2), "two").number == 2
    assert received == [0, 1, 2]


def test_request_fails_if_the_helper_process_is_killed() -> None:
    with Helper(reply) as helper:
        timer = threading.Timer(0.3, helper.kill)
        timer.start()
        with pytest.raises(HelperEndedError, match="signal 9"):
            helper.ask(Question(-3), "endless")
        timer.join()


def test_killing_a_helper_ends_the_programs_that_it_started() -> None:
    """Helpers may start long-running programs: building an Android app, for example, runs Java for minutes."""
    programs: list[int] = []

    def kill(program: int) -> None:
        programs.append(program)
        helper.kill()

    with Helper(Messaging(reply_after_a_program)) as helper, pytest.raises(HelperEndedError, match="signal 9"):
        helper.ask(Question(1), "program", receive=kill)
    end = time.monotonic() + 10
    while _is_running(programs[0]) and time.monotonic() < end:
        time.sleep(0.01)
    assert not _is_running(programs[0])


def _is_running(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("one_core", [False, True])
def test_helper_with_one_core_limits_linear_algebra_to_one_thread(
    one_core: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "7")
    with Helper(thread_variables, one_core=one_core) as helper:
        assert helper.ask(Question(1), "environment") == ("1" if one_core else "7",) * len(THREAD_VARIABLES)


def test_helper_propagates_the_message_of_an_exception_that_cannot_be_pickled() -> None:
    with Helper(raise_error_with_a_lock) as helper:
        with pytest.raises(PoetsEdgeError, match="holds a lock 3") as raised:
            helper.ask(Question(3), "lock")
        assert type(raised.value) is PoetsEdgeError
        assert helper.ask(Question(0), "again").number == 0


def test_helper_error_contains_the_last_line_of_the_process_output() -> None:
    with Helper(print_and_exit) as helper:
        with pytest.raises(HelperEndedError, match=r"^it: the process .* \(status 5: last line 4\)\.$") as raised:
            helper.ask(Question(4), "it")
        assert raised.value.status == 5 and not raised.value.timed_out


def test_helpers_of_a_pool_limit_linear_algebra_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "7")
    with HelperPool(thread_variables) as pool:
        [(_, found)] = pool.share([1], lambda number, helper: helper.ask(Question(number), "environment"))
    assert found == ("1",) * len(THREAD_VARIABLES)


def test_time_limit_of_an_answered_request_does_not_end_the_helper_process() -> None:
    with Helper(reply) as helper:
        helper.ask(Question(1), "first")
        assert helper.ask(Question(2), "second", seconds=0.2).number == 2
        time.sleep(0.3)
        assert helper.ask(Question(3), "third").number == 3


def test_helpers_import_the_running_package_instead_of_another_on_the_python_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "poets_edge").mkdir()
    (tmp_path / "poets_edge/__init__.py").write_text("raise SystemExit(9)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path / "poets_edge")  # Python searches the working directory first
    with Helper(reply) as helper:
        assert helper.ask(Question(1), "it").number == 1


def test_helper_that_ends_while_it_sends_its_answer_is_reported() -> None:
    ended = pytest.raises(HelperEndedError, match=r"^it: the process .* ended early \(status 6: no message\)\.$")
    with Helper(reply_in_part) as helper, ended:
        helper.ask(Question(4), "it")


def test_helper_propagates_the_message_of_an_exception_that_cannot_be_unpickled() -> None:
    with Helper(raise_error_with_two_arguments) as helper:
        with pytest.raises(PoetsEdgeError, match=r"^first 3, second$") as raised:
            helper.ask(Question(3), "it")
        assert type(raised.value) is PoetsEdgeError and helper.ask(Question(0), "again").number == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="of Linux")
def test_ended_helper_and_failed_start_leave_no_open_file_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Helper(reply) as helper:
        assert helper.ask(Question(1), "it").number == 1
    assert len(list(Path("/proc/self/fd").iterdir())) == before and helper.process_id
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(OSError, match="No such file") as raised:
        Helper(reply)
    assert len(list(Path("/proc/self/fd").iterdir())) == before, raised
