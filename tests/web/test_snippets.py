"""Tests of the web pages in docs/your-app.md, which are run unchanged in Chromium with an exported model."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from tests.conftest import ROOT
from tests.needs import missing
from tests.web.conftest import READY_MS, Drawn, copy_page, daisy, serving

_MEDIAPIPE = "@mediapipe/tasks-vision@0.10.21"


def snippet(heading: str) -> str:
    """Return the first HTML code block below a heading in docs/your-app.md."""
    text = (ROOT / "docs/your-app.md").read_text(encoding="utf-8")
    match = re.search(rf"^## {heading}$.*?^```html\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert match
    return match[1]


def answer(browser: Any, folder: Path, photo: Path) -> str:
    """Return the text that the page `index.html` in a folder displays for a photo."""
    with serving(folder) as server:
        context = browser.new_context()
        try:
            page = context.new_page()
            page.set_default_timeout(READY_MS)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(server.url)
            page.wait_for_function("document.querySelector('input').onchange !== null")
            page.set_input_files("input", photo)
            page.wait_for_function("document.querySelector('p').textContent !== ''")
            assert problems == []
            return str(page.text_content("p"))
        finally:
            context.close()


@pytest.fixture
def sized(drawn: Drawn, tmp_path: Path) -> Path:
    """Photo resized to the input size of the model, so that differences in resizing have no effect."""
    path = tmp_path / "photo.png"
    size = Classifier(drawn.model()).size
    Image.open(daisy(drawn)).convert("RGB").resize((size[1], size[0])).save(path)
    return path


def test_javascript_module_predicts_the_same_labels_as_python(
    drawn: Drawn, written: Path, browser: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    copy_page(written, folder / "flowers")
    (folder / "index.html").write_text(snippet("A page, with LiteRT.js"))
    needed = {"poets-edge.js", "worker.js", "model.tflite", "runtime"}
    for path in (folder / "flowers").iterdir():
        if path.name not in needed:
            path.unlink()
    photo = daisy(drawn)
    [best, *_] = Classifier(drawn.model())(photo)
    label, _, score = answer(browser, folder, photo).rpartition(" ")
    assert label == best.name and float(score) == pytest.approx(best.score, abs=0.005)


def test_javascript_module_reports_an_unknown_photo(drawn: Drawn, written: Path, browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    copy_page(written, folder / "flowers")
    (folder / "index.html").write_text(snippet("A page, with LiteRT.js"))
    photo = tmp_path / "black.png"
    Image.new("RGB", (200, 200)).save(photo)
    assert Classifier(drawn.model())(photo).unknown
    assert answer(browser, folder, photo) == "unknown"


def test_javascript_module_explains_a_missing_model(written: Path, browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    copy_page(written, folder / "flowers")
    (folder / "index.html").write_text(
        '<script type="module">import { Classifier } from "./flowers/poets-edge.js";'
        'Classifier.open("none.tflite").catch((error) => { document.body.textContent = error.message; });</script>'
    )
    with serving(folder) as server:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(READY_MS)
        page.goto(server.url)
        page.wait_for_function("document.body.textContent.includes('status 404')")
        context.close()


def test_mediapipe_classifies_with_an_exported_model(drawn: Drawn, browser: Any, sized: Path, tmp_path: Path) -> None:
    npm = shutil.which("npm") or missing("no npm on this machine")
    package = tmp_path / "npm"
    package.mkdir()
    command = [npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", _MEDIAPIPE]
    if subprocess.run(command, cwd=package, capture_output=True, timeout=300).returncode:
        missing(f"{_MEDIAPIPE} cannot be fetched")
    folder = tmp_path / "site"
    shutil.copytree(package / "node_modules/@mediapipe/tasks-vision", folder / "tasks-vision")
    shutil.copy(drawn.model(), folder / "model.tflite")
    (folder / "index.html").write_text(snippet("A page, with MediaPipe Tasks"))
    [best, *_] = Classifier(drawn.model())(sized)
    label, _, score = answer(browser, folder, sized).rpartition(" ")
    assert label == best.name and float(score) == pytest.approx(best.score, abs=0.005)
