"""Pages: their templates are compiled once a machine, and what is kept of that may be damaged or impossible."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from poets_edge.reports.page import write_page

TEMPLATE = "train.html.j2"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the templates that Jinja has compiled; the cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names: list[str] = []
    compile_one = jinja2.Environment.compile

    def count(self: jinja2.Environment, source: str, name: str, *rest: object, **named: object) -> object:
        names.append(name)
        return compile_one(self, source, name, *rest, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(jinja2.Environment, "compile", count)
    return names


def test_a_template_is_compiled_once_and_again_when_that_is_damaged(compiled: list[str], tmp_path: Path) -> None:
    first = page(tmp_path / "1.html")
    assert TEMPLATE in compiled
    kept = sorted((tmp_path / "cache/poets_edge/pages").iterdir())
    assert len(kept) == len(compiled)
    compiled.clear()
    assert page(tmp_path / "2.html") == first and not compiled
    for file, damage in zip(kept, (b"", b"\0" * 5000, kept[0].read_bytes()[:-100], b"\xff" * 40), strict=False):
        file.write_bytes(damage)
    assert page(tmp_path / "3.html") == first and len(compiled) == min(4, len(kept))
    compiled.clear()
    assert page(tmp_path / "4.html") == first and not compiled, "it was made good"


def test_where_nothing_can_be_kept_pages_are_written_all_the_same(compiled: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    assert page(tmp_path / "1.html") == page(tmp_path / "2.html")
    assert compiled.count(TEMPLATE) == 2


def page(path: Path) -> str:
    """Write the page of a training run that has nothing to show."""
    nothing = dict.fromkeys(("judged", "calibration", "judged_confusion", "validated"))
    lists: dict[str, list[object]] = {
        name: [] for name in ("labels", "classes", "mistakes", "right", "unreadable", "left_out", "duplicates", "next")
    }
    counts = dict.fromkeys(("photos", "mistake_count", "unreadable_count", "left_out_count"), 0)
    texts = dict.fromkeys(("name", "folder", "architecture", "accuracy_chart", "loss_chart"), "x")
    write_page(path, TEMPLATE, test=None, test_confusion=[], **nothing, **lists, **counts, **texts)
    return path.read_text()
