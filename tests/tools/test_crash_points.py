"""`train` and `export`, killed at some of the points through which `make crash-test` goes one by one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poets_edge.graphs.beside import read_trained
from tests.conftest import poets_edge
from tools.crash import _TRAIN, _at_point, command, files, leftovers
from tools.crash_points import count

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX signals")


def test_killed_where_files_get_their_names(tmp_path: Path) -> None:
    poets_edge("draw-photos", tmp_path / "photos", "--per_class", "3", "--quiet").ok()
    arguments = ("train", "--image_dir", str(tmp_path / "photos"), "--folds", "0", *_TRAIN)
    calm = tmp_path / "calm"
    calm.mkdir()
    points = count(_at_point(0, "after", arguments, calm))
    assert points >= 10
    for number in (points // 2, points):  # curves; the note of the run
        torn = tmp_path / f"torn-{number}"
        torn.mkdir()
        _at_point(number, "before", arguments, torn)
        if (torn / "tf_files/retrained_graph.pb").exists():
            read_trained(torn / "tf_files/retrained_graph.pb")
        assert leftovers(torn), "nothing was left, so nothing was killed where it hurts"
        assert command(*arguments, cwd=torn).wait() == 0
        assert files(torn) == files(calm)
        assert leftovers(torn) == []
