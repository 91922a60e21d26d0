"""Tests of commands that are killed at a few of the points that `make crash-test` tries one by one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.photos.server import Files, serving

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX signals")
if os.name != "nt":
    from tools.crash.commands import COMMANDS, names
    from tools.crash.kills import every_point
    from tools.crash.points import Point
    from tools.crash.runner import Runner, archive_of, draw_photos
    from tools.crash.trial import Trial


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    work = tmp_path_factory.mktemp("crash")
    photos = draw_photos(work)
    content = archive_of(photos[0])
    with serving(Files({"/flowers.tgz": content})) as server:
        address = f"{server.url}/flowers.tgz {len(content)} {hashlib.sha256(content).hexdigest()}"
        yield Runner(work, photos, address)


def trial(name: str, runner: Runner, most: int) -> Trial:
    [command] = (command for command in COMMANDS if command.name == name)
    return Trial(replace(command, most=most), runner)


def test_commands_killed_at_renames_leave_intact_files(runner: Runner) -> None:
    training = trial("train", runner, 4)
    assert {f"tf_files/retrained_{name}" for name in ("graph.pb", "labels.txt", "graph.json")} <= set(training.wanted)
    assert every_point(training)[1:] == (4, [])
    assert every_point(trial("fetch-flowers", runner, 4))[1:] == (4, [])


def test_killed_download_leaves_files_that_the_next_run_removes(runner: Runner) -> None:
    """A leftover file shows that the kill has interrupted the download."""
    fetching = trial("fetch-flowers", replace(runner, work=runner.work / "again"), 0)
    point = Point(fetching.place / "points", number=1)
    fetching.runner.run(fetching.command.line, fetching.begin(), point)
    assert any(".flowers." in name for name in names(fetching.torn))
    assert fetching.after_kill() == [] and fetching.after_next() == []


def test_commands_killed_on_a_device_preserve_user_files(runner: Runner) -> None:
    for name in ("benchmark-on", "deploy", "undeploy"):
        points, _, wrong = every_point(trial(name, runner, 5))
        assert points > 5 and wrong == []
