"""Tests of the report pages in a real browser: scripts, content security policy, and layout on phones and desktops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import poets_edge
from tests.web.conftest import Drawn

OpenPage = Callable[..., Any]

_OVERLAPS = """() => [...document.querySelectorAll("svg.chart")].flatMap((chart) => {
  const frame = chart.getBoundingClientRect();
  const texts = [...chart.querySelectorAll("text:not(.count)")];
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const cut = boxes.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1);
  const over = boxes.flatMap(([one, a], place) => boxes.slice(place + 1).filter(([, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4
  ).map(([other]) => `${one} / ${other}`));
  return [...cut.map(([name]) => name), ...over];
})"""
"""JavaScript function that returns the chart texts that are cut off, or overlap other texts by more than 4 pixels."""


@pytest.fixture(scope="module")
def reports(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Paths of the report pages that `train` and `audit` write for synthetic photos."""
    audit = tmp_path_factory.mktemp("reports") / "audit.html"
    embedded = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
    poets_edge("audit", drawn.photos, *embedded, "--report", audit, cwd=audit.parent).ok()
    return {"audit": audit, "train": drawn.trained.graph.with_suffix(".html")}


@pytest.mark.parametrize("name", ["audit", "train"])
@pytest.mark.parametrize("width", [390, 1280])
def test_report_fits_the_browser_window(reports: dict[str, Path], name: str, width: int, open_page: OpenPage) -> None:
    page = open_page(reports[name].as_uri(), ready=False, viewport={"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg.chart").count() >= 2
    assert page.evaluate(_OVERLAPS) == []


def test_report_runs_its_own_scripts_only(reports: dict[str, Path], open_page: OpenPage, tmp_path: Path) -> None:
    foreign = '<script>document.title = "foreign"</script><img src="x" onerror="document.title = \'foreign\'">'
    changed = tmp_path / "audit.html"
    changed.write_text(reports["audit"].read_text().replace("</main>", f"{foreign}</main>"))
    page = open_page("about:blank", ready=False)
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.goto(reports["audit"].as_uri())
    page.locator("#suspects .choice input[value=out]").first.check()
    assert page.inner_text("#count") == "1 to exclude, 0 to another class"
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "exclude.json")
    assert len(json.loads((tmp_path / "exclude.json").read_text())["leave_out"]) == 1
    page.locator("#suspects figure img").first.click()
    assert page.is_visible("#large img") and messages == []
    page.goto(changed.as_uri())
    page.wait_for_timeout(100)
    assert page.title() != "foreign" and any("Content Security Policy" in message for message in messages)
