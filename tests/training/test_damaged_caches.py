"""Tests of damaged caches: lost entries are computed again with a warning, and the graph is unchanged."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.conftest import poets_edge

ARGUMENTS = ("photos", "--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--folds", "0")
STEPS = ("--how_many_training_steps", "5")
PAGE = 4096
Change = Callable[[bytearray, int, Random], None]


def noise(content: bytearray, page: int, rng: Random) -> None:
    content[page : page + PAGE] = rng.randbytes(PAGE)


def zeros(content: bytearray, page: int, rng: Random) -> None:
    content[page : page + PAGE] = bytes(PAGE)


def bits(content: bytearray, page: int, rng: Random) -> None:
    for _ in range(8):
        content[page + rng.randrange(PAGE)] ^= 1 << rng.randrange(8)


def cut(content: bytearray, page: int, rng: Random) -> None:
    del content[page + rng.randrange(PAGE) :]


def swapped(content: bytearray, page: int, rng: Random) -> None:
    other = PAGE * rng.randrange(len(content) // PAGE)
    content[page : page + PAGE], content[other : other + PAGE] = (
        content[other : other + PAGE],
        content[page : page + PAGE],
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("caches")
    poets_edge("draw-photos", folder / "photos", "--per_class", "4", "--quiet").ok()
    poets_edge("train", *ARGUMENTS, *STEPS, cwd=folder).ok()
    shutil.copytree(folder / "tf_files/bottlenecks", folder / "whole")
    return folder


def graph(work: Path) -> bytes:
    return (work / "tf_files/retrained_graph.pb").read_bytes()


@pytest.mark.parametrize("change", [noise, zeros, bits, cut, swapped])
@pytest.mark.parametrize("pattern", ["mobilenet_*.sqlite", "photos.sqlite"])
def test_damaged_cache_page_does_not_change_the_graph(work: Path, change: Change, pattern: str) -> None:
    wanted = graph(work)
    [file] = work.glob(f"whole/{pattern}")
    whole = file.read_bytes()
    place = work / "tf_files/bottlenecks"
    said = 0
    for page in range(0, len(whole), PAGE):
        shutil.rmtree(place)
        shutil.copytree(work / "whole", place)
        content = bytearray(whole)
        change(content, page, Random(page))
        (place / file.name).write_bytes(content)
        for attempt in ("at once", "the next time"):
            ran = poets_edge("train", *ARGUMENTS, *STEPS, cwd=work).ok()
            assert graph(work) == wanted, f"page {page // PAGE}, {attempt}"
            said += "damaged" in ran.stderr
            assert attempt == "at once" or "damaged" not in ran.stderr, "it was made good"
    if pattern != "photos.sqlite" and change in (noise, zeros, cut):  # other damage may hit unused bytes
        assert said >= len(whole) // PAGE - 2, "an empty page is no loss"


@pytest.mark.tensorflow
def test_damaged_cached_activations_do_not_change_the_graph(work: Path) -> None:
    flags = ("--fine-tune", "1", "--fine-tune-epochs", "1", "--quiet")
    poets_edge("train", *ARGUMENTS, *STEPS, *flags, cwd=work).ok()
    wanted = graph(work)
    [file] = work.glob("tf_files/bottlenecks/*.activations.sqlite")
    whole = file.read_bytes()
    content = bytearray(whole)
    noise(content, PAGE * (len(whole) // PAGE // 2), Random(0))
    file.write_bytes(content)
    for checkpoint in file.parent.glob("*.checkpoint.npz"):
        checkpoint.unlink()
    poets_edge("train", *ARGUMENTS, *STEPS, *flags, cwd=work).ok()
    assert graph(work) == wanted


@pytest.mark.parametrize(
    ("pattern", "change", "message"),
    [
        (
            "mobilenet_*-*.sqlite",
            "UPDATE bottlenecks SET vector = zeroblob(1024)",
            "20 results in the bottleneck cache",
        ),
        ("photos.sqlite", "UPDATE digests SET digest = 5", ""),
        ("photos.sqlite", "UPDATE digests SET digest = zeroblob(32)", ""),
    ],
)
def test_altered_cache_rows_are_computed_again(work: Path, pattern: str, change: str, message: str) -> None:
    shutil.rmtree(work / "tf_files/bottlenecks")
    shutil.copytree(work / "whole", work / "tf_files/bottlenecks")
    poets_edge("train", *ARGUMENTS, *STEPS, cwd=work).ok()
    wanted = graph(work)
    [file] = work.glob(f"tf_files/bottlenecks/{pattern}")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(change)
        connection.commit()
    ran = poets_edge("train", *ARGUMENTS, *STEPS, cwd=work).ok()
    assert graph(work) == wanted and message in ran.stderr
    assert "damaged" not in poets_edge("train", *ARGUMENTS, *STEPS, cwd=work).ok().stderr
    assert graph(work) == wanted
