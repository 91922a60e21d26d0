"""Tests of the exported web page with unknown photos (unlike the training photos), in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.exporting.serving import PageServer
from poets_edge.exporting.web import write_page
from poets_edge.photos.normalization import UNIT
from tests.conftest import SHARED, Trained
from tests.tiny_model import COLORS, color_model
from tests.web.conftest import PHONE, Drawn, as_png, daisy, serving

OpenPage = Callable[..., Any]

_UNKNOWN = "I don\N{RIGHT SINGLE QUOTATION MARK}t know this"
_DISTANCES = """async (names) => {
  const found = [];
  for (const name of names) {
    const photo = await (await fetch(name)).blob();
    const { distance } = await poetsEdge.scorer.score(await poetsEdge.decodePhoto(photo));
    found.push(distance);
  }
  return found;
}"""


@pytest.mark.shared
@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_page_and_python_agree_on_which_photos_are_unknown(
    trained: Trained, flowers: Path, quantization: str, open_page: OpenPage, tmp_path: Path
) -> None:
    """The page and Python compute the same distances for photos of flowers and for unknown photos."""
    write_page(trained.model(quantization), tmp_path / "site")
    strangers = sorted((SHARED / "data/unlabelled_photos").glob("*.jpg"))[:60]
    photos = [*sorted(flowers.glob("*/*.jpg"))[::50], *strangers]
    names = as_png(photos, tmp_path / "site/photos")
    with serving(tmp_path / "site") as server:
        found = np.array(open_page(server.url, service_workers="block").evaluate(_DISTANCES, names))
    classifier = Classifier(trained.model(quantization))
    expected = np.array([classifier.predict(tmp_path / "site" / name).distance for name in names])
    known = len(photos) - len(strangers)
    assert (expected[:known] > 1).mean() < 0.3 < 0.7 < (expected[known:] > 1).mean(), "the detector tells them apart"
    np.testing.assert_allclose(found, expected, rtol=0 if quantization == "int8" else 1e-3)
    assert ((found > 1) == (expected > 1)).all()


@pytest.fixture(scope="module")
def stranger(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Image that the model classifies as unknown, and its most probable label."""
    classifier = Classifier(drawn.model())
    assert classifier.has_detector
    path = tmp_path_factory.mktemp("stranger") / "stranger.png"
    for seed in range(50):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST).save(path)
        found = classifier.classify(path)
        if found.unknown:
            return path, found[0].name
    raise AssertionError("no stranger among 50 pictures of squares")


def test_page_reports_an_unknown_photo(
    server: PageServer, drawn: Drawn, stranger: tuple[Path, str], open_page: OpenPage
) -> None:
    photo, nearest = stranger
    page = open_page(server.url, **PHONE)
    page.set_input_files("#choose-input", photo)
    page.wait_for_selector("#timing:not([hidden])")
    assert page.inner_text("#verdict") == _UNKNOWN
    assert page.inner_text("#verdict-note") == f"Unlike the training photos. Nearest: {nearest}"
    assert page.locator("#answers li:not(.below)").count() == 0
    page.fill("#threshold", "0")
    page.check("#accept-all")
    assert page.inner_text("#verdict") == nearest and page.inner_text("#verdict-note").strip() == ""
    page.reload()
    page.wait_for_selector("body[data-mode=idle]")
    assert page.is_checked("#accept-all"), "it is remembered"
    page.uncheck("#accept-all")
    page.set_input_files("#choose-input", daisy(drawn))
    page.wait_for_selector("#timing:not([hidden])")
    assert page.inner_text("#verdict") == "daisy"


def test_page_hides_the_accept_all_switch_for_a_model_without_a_detector(
    stranger: tuple[Path, str], open_page: OpenPage, tmp_path: Path
) -> None:
    model = tmp_path / "colors.tflite"
    model.write_bytes(color_model(normalization=UNIT))
    write_page(model, tmp_path / "site")
    with serving(tmp_path / "site") as server:
        page = open_page(server.url, service_workers="block")
        page.set_input_files("#choose-input", stranger[0])
        page.wait_for_selector("#timing:not([hidden])")
        assert page.inner_text("#verdict") in (*COLORS, "unknown")
        assert page.is_hidden("#accept-all") and page.inner_text("#verdict-note").strip() == ""
