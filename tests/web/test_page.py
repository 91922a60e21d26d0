"""Tests of the page in a real browser: agreement with Python, camera, photos, offline use, benchmark and errors."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.exporting.serving import PageServer
from poets_edge.exporting.web import write_page
from poets_edge.photos.normalization import Normalization
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from tests.android.resize_sums import noise
from tests.conftest import QUANTIZATIONS, ROOT, Trained, poets_edge
from tests.needs import need_module
from tests.tiny_model import color_model
from tests.web.conftest import PHONE, READY_MS, Drawn, as_png, copy_page, daisy, serving

OpenPage = Callable[..., Any]

_SCORES = """async (names) => {
  const found = [];
  for (const name of names) {
    const photo = await (await fetch(name)).blob();
    const { scores } = await poetsEdge.scorer.score(await poetsEdge.decodePhoto(photo));
    found.push(Array.from(scores));
  }
  return found;
}"""

_RESIZE = """(cases) => cases.map(([width, height, newWidth, newHeight, antialias, rgba]) => {
  const bytes = Uint8ClampedArray.from(atob(rgba), (character) => character.charCodeAt(0));
  const resampler = new Resampler(width, height, newWidth, newHeight, antialias);
  const rows = Math.ceil(height / 3); // in strips
  for (let top = 0; top < height; top += rows) {
    resampler.addRows(bytes.subarray(4 * width * top, 4 * width * Math.min(height, top + rows)), top);
  }
  return btoa(String.fromCharCode(...resampler.finish()));
})"""


def _until(page: Any, condition: str) -> None:
    """Wait until a JavaScript condition is true. Playwright's function for this needs `eval`, which the page
    forbids."""
    end = time.monotonic() + READY_MS / 1000
    while time.monotonic() < end:
        try:
            if page.evaluate(condition):
                return
        except Exception as error:  # Playwright's errors, if it is installed
            if "context was destroyed" not in str(error):  # the page is reloading
                raise
        page.wait_for_timeout(20)
    raise AssertionError(condition)


def _choose(page: Any, photo: Path | tuple[str, bytes]) -> None:
    given = photo if isinstance(photo, Path) else {"name": photo[0], "mimeType": "image/jpeg", "buffer": photo[1]}
    page.set_input_files("#choose-input", given)


def _measure(page: Any) -> None:
    page.click("#measure summary")
    page.click("#measure-start")
    page.wait_for_selector("#measured-files:not([hidden])", timeout=4 * READY_MS)


def _problem(page: Any) -> str:
    page.wait_for_selector("#problem:not([hidden])")
    sentence = str(page.inner_text("#problem"))
    assert re.fullmatch(r"[^\n]+\.", sentence.removesuffix(" poets-edge web MODEL") + "."[sentence.endswith(".") :])
    return sentence


def _differences(model: Path, photos: list[Path], folder: Path, open_page: OpenPage) -> np.ndarray[Any, Any]:
    """Return the differences between the page's scores and Python's, [photos, labels]."""
    write_page(model, folder)
    names = as_png(photos, folder / "photos")
    with serving(folder) as server:
        found = open_page(server.url, service_workers="block").evaluate(_SCORES, names)
    classifier = Classifier(model)
    expected = np.array([classifier.scores(folder / name) for name in names])
    assert expected.std(axis=0).min() > 0.01, "a model that answers the same for all photos proves nothing"
    return np.asarray(np.abs(np.array(found) - expected))


@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_page_scores_equal_python_scores(drawn: Drawn, quantization: str, open_page: OpenPage, tmp_path: Path) -> None:
    photos = sorted(drawn.photos.glob("*/*"))[::3]
    assert len({photo.parent.name for photo in photos}) == 5
    differences = _differences(drawn.model(quantization), photos, tmp_path / "site", open_page)
    assert differences.max() <= (0 if quantization == "int8" else 1e-5)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_page_scores_equal_python_scores_on_real_photos(
    trained: Trained, flowers: Path, quantization: str, open_page: OpenPage, tmp_path: Path
) -> None:
    photos = sorted(flowers.glob("*/*.jpg"))[:: 25 if quantization in ("int8", "float32") else 100]
    differences = _differences(trained.model(quantization), photos, tmp_path / "site", open_page)
    if quantization == "dynamic":  # activations are quantized at run time, and rounding differs between runtimes
        assert differences.max() < 0.1
    else:
        assert differences.max() <= (0 if quantization == "int8" else 1e-5)


@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_page_scores_of_efficientnet_lite_equal_python_scores(
    trained_lite: Trained, flowers: Path, quantization: str, open_page: OpenPage, tmp_path: Path
) -> None:
    photos = sorted(flowers.glob("*/*.jpg"))[::50]
    differences = _differences(trained_lite.model(quantization), photos, tmp_path / "site", open_page)
    assert differences.max() <= (0 if quantization == "int8" else 1e-5)


def test_page_scores_are_equal_without_relaxed_simd(
    drawn: Drawn, written: Path, open_page: OpenPage, tmp_path: Path
) -> None:
    """Browsers without relaxed SIMD, such as Safari, load a different build of LiteRT."""
    folder = copy_page(written, tmp_path / "site")
    before = (folder / "worker.js").read_text()
    script = before.replace('"litert_wasm_internal"', '"litert_wasm_compat_internal"')
    assert script != before
    for path in folder.glob("runtime/litert_wasm_internal*"):
        path.unlink()  # the page must not fall back on it
    for name in ("worker.js", "worker.js.gz"):
        (folder / name).unlink()
    (folder / "worker.js").write_text(script)
    names = as_png(sorted(drawn.photos.glob("*/*"))[::10], folder / "photos")
    with serving(folder) as server:
        page = open_page(server.url, service_workers="block")
        found = page.evaluate(_SCORES, names)
    classifier = Classifier(drawn.model())
    np.testing.assert_array_equal(np.array(found, np.float32), [classifier.scores(folder / name) for name in names])


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "mean", "std", "facts"),
    [
        ("float32", 0, 0, 0, 255, None),
        ("float32", 0, 0, 0, 1, None),
        ("uint8", 1 / 255, 0, 127.5, 127.5, None),  # the metadata of a quantized input are ignored, as in MediaPipe
        ("int8", 1 / 255, -128, 127.5, 127.5, None),
        ("uint8", 1 / 127.5, 127, 127.5, 127.5, {}),  # unless poets_edge wrote the model
    ],
)
def test_page_normalizes_pixels_as_the_model_specifies(
    dtype: str,
    scale: float,
    zero_point: int,
    mean: float,
    std: float,
    facts: dict[str, Any] | None,
    written: Path,
    open_page: OpenPage,
    tmp_path: Path,
) -> None:
    """The model is copied to the page without `poets-edge web`, which would add missing information to the model."""
    folder = copy_page(written, tmp_path / "site")
    (folder / "model.tflite.gz").unlink()
    model = tmp_path / "model.tflite"
    model.write_bytes(color_model(dtype, scale, zero_point, normalization=Normalization((mean,), (std,)), facts=facts))
    shutil.copy(model, folder / "replaced.tflite")
    (folder / "replaced.tflite").replace(folder / "model.tflite")
    names = as_png([_noise_photo(tmp_path, number) for number in range(3)], folder / "photos")
    with serving(folder) as server:
        found = open_page(server.url, service_workers="block").evaluate(_SCORES, names)
    classifier = Classifier(model)
    expected = np.array([classifier.session.run(_input(classifier, folder / name)[None]) for name in names])
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(found, classifier.output.dequantize(expected).reshape(3, -1), rtol=1e-5)


def test_page_refuses_a_model_without_an_input_range(written: Path, open_page: OpenPage, tmp_path: Path) -> None:
    folder = copy_page(written, tmp_path / "site")
    for file in ("model.tflite", "model.tflite.gz"):
        (folder / file).unlink()
    (folder / "model.tflite").write_bytes(color_model())
    with serving(folder) as server:
        page = open_page(server.url, ready=False)
        page.wait_for_selector("#problem:not([hidden])")
        assert page.inner_text("#problem") == (
            "The model does not specify its input range. Write the page with it: poets-edge web MODEL"
            " --input-range 0:1, -1:1 or 0:255"
        )
        assert page.is_disabled("#camera")


def test_page_resizes_photos_like_python(server: PageServer, open_page: OpenPage) -> None:
    """The checksums are the same as in the tests of the Android app."""
    page = open_page(server.url)
    lines = [
        line.split() for line in (ROOT / "android_demo/app/src/test/resources/resize.txt").read_text().splitlines()
    ]
    assert len(lines) >= 100
    cases = []
    for width, height, new_width, new_height in ([int(word) for word in line[:4]] for line in lines):
        rgba = np.dstack([noise(width, height), np.full((height, width), 255, np.uint8)])
        encoded = base64.b64encode(rgba.tobytes()).decode()
        cases += [[width, height, new_width, new_height, antialias, encoded] for antialias in (True, False)]
    found = [f"{zlib.crc32(base64.b64decode(resized)):08x}" for resized in page.workers[0].evaluate(_RESIZE, cases)]
    assert found == [checksum for line in lines for checksum in line[4:]]


def test_page_loads_only_local_files_of_limited_size(server: PageServer, open_page: OpenPage) -> None:
    page = open_page("about:blank", ready=False)
    requests: list[Any] = []
    page.context.on("request", lambda request: requests.append(request))
    page.goto(server.url)
    page.wait_for_selector("body[data-mode=idle]")
    _until(page, "document.getElementById('offline').textContent")
    assert requests and all(request.url.startswith((server.url, "blob:")) for request in requests)
    sent = {request.url: request.sizes()["responseBodySize"] for request in requests if request.response()}
    runtime = {name.rpartition("/")[2] for name in sent if name.endswith(".wasm")}
    assert runtime == {"litert_wasm_internal.wasm"}
    assert sum(size for url, size in sent.items() if "model.tflite" not in url) < 3.5e6
    assert page.evaluate("crossOriginIsolated")


def test_page_shows_metadata_of_the_model(server: PageServer, drawn: Drawn, open_page: OpenPage) -> None:
    page = open_page(server.url)
    assert page.inner_text("#model") == "mobilenet_0.25_128 int8 · 128 × 128 · 5 labels"
    stated = read_metadata(read_model(drawn.model())).facts["training"]["calibration"]["threshold"]
    assert int(page.input_value("#threshold")) == (min(95, 5 * math.ceil(20 * stated - 1e-9)) if stated > 0.2 else 50)
    page.fill("#threshold", "50")
    _choose(page, daisy(drawn))
    page.wait_for_selector("#answers li")
    assert page.inner_text("#verdict") == "daisy"
    labels = page.locator("#answers .label").all_inner_texts()
    assert labels == [label.name for label in Classifier(drawn.model()).classify(daisy(drawn), top=3)]
    assert float(page.inner_text("#inference")) <= float(page.inner_text("#whole"))
    page.locator("#threshold").press("End")  # 95 %
    expected = "daisy" if float(page.locator("#answers .score").first.inner_text().split()[0]) >= 95 else "unknown"
    assert page.inner_text("#verdict") == expected
    page.check("#accept-all")  # leaves the threshold alone to decide
    _choose(page, ("even.png", _png(Image.new("RGB", (64, 64), "gray"))))
    _until(page, "document.getElementById('verdict').textContent === 'unknown'")


def test_page_assigns_labels_to_dropped_and_pasted_photos(
    server: PageServer, drawn: Drawn, open_page: OpenPage
) -> None:
    page = open_page(server.url)
    for event, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """async ([event, field, bytes]) => {
              const files = new DataTransfer();
              files.items.add(new File([Uint8Array.from(bytes)], "photo.jpg", { type: "image/jpeg" }));
              const Kind = event === "drop" ? DragEvent : ClipboardEvent;
              document.getElementById("timing").hidden = true;
              document.body.dispatchEvent(new Kind(event, { [field]: files, bubbles: true, cancelable: true }));
            }""",
            [event, field, list(daisy(drawn).read_bytes())],
        )
        page.wait_for_selector("#timing:not([hidden])")
        assert page.inner_text("#verdict") == "daisy"


def test_page_assigns_labels_to_live_and_frozen_camera_frames(server: PageServer, open_page: OpenPage) -> None:
    page = open_page(server.url, **PHONE)
    page.click("#camera")
    _until(page, "document.getElementById('verdict').textContent === 'daisy'")
    _until(page, "Number(document.getElementById('stage').dataset.frames) > 10")
    _until(page, "document.getElementById('spoken').textContent === 'daisy'")  # for screen readers
    page.locator("#camera").press("Enter")
    page.wait_for_selector("body[data-mode=frozen]")
    page.wait_for_selector("#rate", state="hidden")
    assert page.inner_text("#verdict") == "daisy"
    frames = page.evaluate("document.getElementById('stage').dataset.frames")
    page.wait_for_timeout(300)
    assert page.evaluate("document.getElementById('stage').dataset.frames") == frames
    page.click("#camera")
    _until(page, f"Number(document.getElementById('stage').dataset.frames) > {frames}")


def test_page_works_offline_after_the_first_visit(
    written: Path, drawn: Drawn, open_page: OpenPage, tmp_path: Path
) -> None:
    folder = copy_page(written, tmp_path / "site")
    with serving(folder) as server:
        page = open_page(server.url)
        _until(page, "document.getElementById('offline').textContent")
    page.reload()  # there is no server any more
    page.wait_for_selector("body[data-mode=idle]")
    assert page.evaluate("crossOriginIsolated")
    _choose(page, daisy(drawn))
    _until(page, "document.getElementById('verdict').textContent === 'daisy'")


def test_page_replaces_a_cached_model_with_a_newer_one(
    written: Path, drawn: Drawn, open_page: OpenPage, tmp_path: Path
) -> None:
    folder = copy_page(written, tmp_path / "site")
    with serving(folder) as server:
        page = open_page(server.url)
        _until(page, "document.getElementById('offline').textContent")
        write_page(drawn.model("float32"), folder)
        page.reload()
        _until(page, "document.getElementById('model').textContent.includes('float32')")


def test_compare_reads_results_saved_by_the_page(server: PageServer, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(f"{server.url}#runs=25")
    _measure(page)
    with page.expect_download() as download:
        page.click("#measure-save")
    file = tmp_path / "phone.json"
    download.value.save_as(file)
    result = json.loads(file.read_text())
    one = result["results"][0]
    assert one["threads"] == 1 and one["accelerated"] and len(one["rounds"]) == 5
    samples = [sample for entry in one["rounds"] for sample in entry["samples_ms"]]
    assert len(samples) >= 5
    assert one["latency_ms"]["median"] == pytest.approx(float(np.median(samples)))
    assert one["latency_ms"]["p99"] == pytest.approx(float(np.percentile(samples, 99)))
    assert (one["architecture"], one["quantization"]) == ("mobilenet_0.25_128", "int8")
    assert "Chrome/" in result["machine"]["user_agent"] and result["machine"]["cores"] >= 1
    captions = [f"{entry['threads']} thread{'s' * (entry['threads'] > 1)}" for entry in result["results"]]
    assert page.locator("#measured figcaption").all_inner_texts() == captions
    scales = [
        [label.text_content() for label in figure.locator("text").all()]
        for figure in page.locator("#measured figure").all()
    ]
    assert all(scale == scales[0] for scale in scales), "histograms of different scales cannot be compared"
    shutil.copy(file, tmp_path / "again.json")
    ran = poets_edge("compare", file, tmp_path / "again.json").ok()
    assert "LiteRT.js" in ran.stdout and "mobilenet_0.25_128 int8" in ran.stdout


def test_page_reports_a_missing_camera(server: PageServer, launch: Callable[..., Any], open_page: OpenPage) -> None:
    page = open_page(server.url, within=launch())
    page.click("#camera")
    assert _problem(page) == "No camera was found. Choose a photo instead."
    assert page.inner_text("#camera") == "Start camera" and page.is_enabled("#camera")


def test_page_reports_a_denied_camera_permission(server: PageServer, open_page: OpenPage) -> None:
    page = open_page(server.url, permissions=[])
    page.click("#camera")
    assert _problem(page).startswith("Access to the camera was denied.")


def test_page_over_http_explains_why_the_camera_is_unavailable(
    written: Path, drawn: Drawn, launch: Callable[..., Any], open_page: OpenPage
) -> None:
    with serving(written) as server:
        browser = launch("--host-resolver-rules=MAP pc.test 127.0.0.1")
        page = open_page(f"http://pc.test:{server.server_port}/", within=browser, permissions=[])
        assert "only to pages that are loaded over HTTPS" in page.inner_text("#hint")
        assert page.is_hidden("#camera")
        _choose(page, daisy(drawn))
        _until(page, "document.getElementById('verdict').textContent === 'daisy'")


def test_page_reports_unusable_photos_in_one_sentence(server: PageServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    huge = io.BytesIO()
    Image.new("L", (10_000, 10_000)).save(huge, "JPEG")
    for name, data, fragment in (
        ("huge.jpg", huge.getvalue(), "has 100 megapixels"),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "cannot read HEIC"),
        ("notes.txt", b"not a picture", "cannot read this file as a picture"),
        ("cut.png", _png(Image.effect_noise((64, 64), 50))[:60], "cannot read this file as a picture"),
    ):
        _choose(page, (name, data))
        _until(page, f"document.getElementById('problem').textContent.includes({fragment!r})")
        _problem(page)


def test_page_removes_the_photo_and_its_labels_after_an_unreadable_file(
    server: PageServer, drawn: Drawn, open_page: OpenPage
) -> None:
    page = open_page(server.url)
    _choose(page, daisy(drawn))
    page.wait_for_selector("#timing:not([hidden])")
    _choose(page, ("notes.txt", b"not a picture"))
    _problem(page)
    for hidden in ("#photo", "#timing"):
        assert page.is_hidden(hidden)
    assert page.is_visible("#placeholder")
    assert page.inner_text("#verdict").strip() == "" and page.locator("#answers li").count() == 0
    _choose(page, daisy(drawn))
    page.wait_for_selector("#timing:not([hidden])")
    assert page.is_hidden("#problem") and page.locator("#answers li").count() == 3


def test_page_keeps_labeling_frames_after_an_unreadable_file(server: PageServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    page.click("#camera")
    _until(page, "Number(document.getElementById('stage').dataset.frames) > 2")
    _choose(page, ("notes.txt", b"not a picture"))
    _problem(page)
    frames = page.evaluate("document.getElementById('stage').dataset.frames")
    _until(page, f"Number(document.getElementById('stage').dataset.frames) > {frames}")
    assert page.locator("#answers li").count() == 3


@pytest.mark.parametrize("width", [390, 1280])
def test_page_layout_does_not_shift_when_the_model_is_loaded(
    server: PageServer, open_page: OpenPage, width: int
) -> None:
    page = open_page("about:blank", ready=False, viewport={"width": width, "height": 844}, service_workers="block")
    requests: list[Any] = []
    page.route("**/model.tflite", lambda route: requests.append(route))
    page.goto(server.url)
    places = (
        "[...document.querySelectorAll('#stage, #camera, #limit, #measure')].map((e) => e.getBoundingClientRect().y)"
    )
    before = page.evaluate(places)
    while not requests:
        page.wait_for_timeout(20)
    assert page.inner_text("#model") == "Loading the model…" and page.is_disabled("#threshold")
    requests[0].continue_()
    page.wait_for_selector("body[data-mode=idle]")
    assert page.evaluate(places) == before


def test_page_remembers_the_threshold_of_each_model(
    written: Path, drawn: Drawn, open_page: OpenPage, tmp_path: Path
) -> None:
    folder = copy_page(written, tmp_path / "site")
    with serving(folder) as server:
        page = open_page(server.url, service_workers="block")
        initial = page.input_value("#threshold")
        page.locator("#threshold").press("Home")  # 0 %
        page.reload()
        page.wait_for_selector("body[data-mode=idle]")
        assert page.input_value("#threshold") == "0" != initial
        write_page(drawn.model("float32"), folder)
        page.reload()
        page.wait_for_selector("body[data-mode=idle]")
        assert page.input_value("#threshold") == initial


def test_page_reports_unusable_models_in_one_sentence(
    written: Path, drawn: Drawn, open_page: OpenPage, tmp_path: Path
) -> None:
    good = drawn.model().read_bytes()
    archive = good.rindex(b"PK\3\4", 0, good.rindex(b"PK\3\4"))
    flipped = bytearray(good)
    flipped[len(good) // 3] ^= 1
    for name, data, fragment in (
        ("missing", None, "model.tflite was not found"),
        ("damaged", bytes(flipped), "damaged"),
        ("cut", good[: len(good) // 2], "damaged"),
        ("page", b"<html>not found</html>", "not a TensorFlow Lite model"),
        ("foreign", good[:archive], "does not contain labels"),
    ):
        folder = copy_page(written, tmp_path / name)
        for file in ("model.tflite", "model.tflite.gz"):
            (folder / file).unlink()
        if data is not None:
            (folder / "model.tflite").write_bytes(data)
        with serving(folder) as server:
            page = open_page(server.url, ready=False)
            assert fragment in _problem(page)
            assert page.is_disabled("#camera")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_passes_an_accessibility_check(server: PageServer, drawn: Drawn, scheme: str, open_page: OpenPage) -> None:
    Axe = need_module("axe_playwright_python.sync_playwright").Axe  # noqa: N806
    page = open_page(f"{server.url}#runs=5", color_scheme=scheme, bypass_csp=True, **PHONE)
    axe = Axe()
    _no_fault(axe, page)
    _choose(page, daisy(drawn))
    page.wait_for_selector("#timing:not([hidden])")
    _no_fault(axe, page)
    if scheme == "light":
        _measure(page)
        _no_fault(axe, page)
    _choose(page, ("notes.txt", b"not a picture"))
    _problem(page)
    _no_fault(axe, page)


def _no_fault(axe: Any, page: Any) -> None:
    results = axe.run(page)
    assert not results.violations_count, results.generate_report()


@pytest.mark.parametrize(
    ("width", "height"), [(320, 568), (390, 844), (844, 390), (1280, 800)], ids=["small", "phone", "wide", "desktop"]
)
def test_page_layout_fits_with_large_text(
    server: PageServer, drawn: Drawn, width: int, height: int, open_page: OpenPage
) -> None:
    page = open_page(server.url, viewport={"width": width, "height": height})
    _choose(page, daisy(drawn))
    page.wait_for_selector("#timing:not([hidden])")
    for size in ("100%", "200%"):
        page.evaluate(f"document.documentElement.style.fontSize = '{size}'")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.getElementById('stage').getBoundingClientRect().width") >= 100


def test_page_can_be_operated_by_keyboard(server: PageServer, open_page: OpenPage) -> None:
    page = open_page(server.url)
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    expected = ["camera", "choose-input", "threshold", "Measure this device", "Licenses"]
    assert [name for name in reached if name in expected][: len(expected)] == expected


def _noise_photo(folder: Path, number: int) -> Path:
    path = folder / f"noise{number}.png"
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels // (1 + number)).save(path)
    return path


def _input(classifier: Classifier, photo: Path) -> np.ndarray[Any, Any]:
    with Image.open(photo) as picture:
        return classifier.input_values(np.asarray(picture.convert("RGB")))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
