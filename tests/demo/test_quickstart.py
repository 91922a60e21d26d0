"""Tests of `quickstart`, which trains, exports and times models without a network."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poets_edge.photos.folder import scan
from poets_edge.photos.split import SplitConfig, split
from tests.conftest import ROOT, poets_edge


@dataclass(frozen=True)
class Quickstarted:
    folder: Path
    shown: str


@pytest.fixture(scope="module")
def quickstarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstarted]:
    """Run `quickstart` in an empty folder, without network access and without downloaded weights."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", refuse)
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        folder = tmp_path_factory.mktemp("work")
        yield Quickstarted(folder, poets_edge("quickstart", "--quiet", cwd=folder).ok().stdout)


def test_quickstart_prints_exported_files_and_next_steps(quickstarted: Quickstarted) -> None:
    table = quickstarted.shown.splitlines()
    assert [line.split()[0] for line in table[1:5]] == ["float32", "dynamic", "float16", "int8"]
    assert "Evaluated on 93 drawn photos" in table[5]
    for step in ("your own photos", "real weights", "your Pi", "poets-edge studio --demo"):
        assert step in quickstarted.shown
    assert sorted(path.name for path in quickstarted.folder.iterdir()) == ["quickstart"]


def test_quickstart_model_is_accurate_and_reproducible(quickstarted: Quickstarted) -> None:
    found = json.loads(poets_edge("quickstart", "--quiet", "--json", cwd=quickstarted.folder).ok().stdout)
    for file in found["files"]:
        assert file["latency_ms"] > 0 and file["agreement_with_float"] > 0.9
        assert file["test"]["accuracy"] > 0.55, "chance is 0.2, a color histogram 0.35"
        assert file["size"] < 1_000_000
        assert f"{100 * file['test']['accuracy']:.1f} %" in quickstarted.shown
    assert Path(found["photo"]).parent.name == "daisy" and len(found["labels"]) == 3
    sets = split(scan(quickstarted.folder / "quickstart/photos").photos, SplitConfig(testing=30, validation=10))
    assert sets[f"daisy/{Path(found['photo']).name}"] == "test", "the model has not learned from the labeled photo"


def test_docs_show_the_output_of_quickstart(quickstarted: Quickstarted) -> None:
    """Numbers in the documentation are from another machine, so only the format is compared."""
    page = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
    shown = page.partition("```text\n")[2].partition("```")[0]
    assert _form(shown) == _form(quickstarted.shown)


def test_quickstart_rejects_a_folder_with_user_photos(few_flowers: Callable[[int], Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    few_flowers(2).rename(tmp_path / "mine/photos")
    ran = poets_edge("quickstart", "--output_dir", tmp_path / "mine")
    ran.failed("not the photos that quickstart draws", "poets-edge train")


def _form(text: str) -> list[str]:
    """Return the lines of an output after removing numbers, column widths and label names."""
    lines = [re.sub(r"[\d.]+", "0", " ".join(line.split())) for line in text.strip().splitlines()]
    return [re.sub(r"^\w+ \(score", "label (score", line) for line in lines]
