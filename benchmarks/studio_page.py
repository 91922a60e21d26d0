"""Benchmark of the studio's page in Chromium: first paint, and the time from an empty folder to a downloaded model.

    python -m benchmarks.studio_page [--photos 5000] [--loads 20]
    python -m benchmarks.studio_page --webcam

The photos are JPEGs of about 1 MB. Each load of the page uses a new browser profile, so that nothing is cached. The
page is loaded while the server makes the thumbnails, and again afterwards. With `--webcam`, two classes with 100 photos
each are recorded with a fake camera, and a model is trained and downloaded. Output: a table on stdout. Requires
Chromium and `poets-edge[studio,dev]`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.studio import print_row, wait_for_thumbnails, write_photos
from tests.studio.client import StudioClient, running
from tests.web.studio import open_page, open_studio
from tests.web.video import SCENES, write_scenes

_SIDE = 2400
_RECORDED = 100
_JOB_MS = 180_000
_PAINT = "name => performance.getEntriesByName(name)[0].startTime"


def main() -> None:
    """Run the benchmark with the options on the command line, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--webcam", action="store_true", help="measure the time from an empty folder to a model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        video = Path(scratch) / "scenes.y4m"
        write_scenes(video)
        camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", *camera])
        print_row("question", "result")
        print_row("---", "--:")
        if arguments.webcam:
            _record_and_train(browser, Path(scratch))
        else:
            _paint(browser, Path(scratch) / "flowers", arguments.photos, arguments.loads)
        browser.close()


def _paint(browser: Any, project: Path, photos: int, loads: int) -> None:
    write_photos(project, photos, side=_SIDE)
    with running(project) as client:
        _loads(browser, client, f"{photos} photos, while thumbnails are made", loads)
        wait_for_thumbnails(project, photos)
        _loads(browser, client, f"{photos} photos", loads)


def _loads(browser: Any, client: StudioClient, what: str, loads: int) -> None:
    found: dict[str, list[float]] = {"first-paint": [], "first-contentful-paint": [], "first thumbnail": []}
    for _ in range(loads):
        with open_page(browser, client) as studio:
            studio.page.wait_for_selector(".tile img")
            found["first thumbnail"].append(studio.page.evaluate("performance.now()"))
            for name in ("first-paint", "first-contentful-paint"):
                found[name].append(studio.page.evaluate(_PAINT, name))
    for name, times in found.items():
        shown = f"{statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f})"
        print_row(f"{name.replace('-', ' ')} with {what}, median of {loads} loads (range)", shown)


def _record_and_train(browser: Any, scratch: Path) -> None:
    things = scratch / "things"
    with open_studio(browser, things, accept_downloads=True) as studio:
        page = studio.page
        times = [time.perf_counter()]
        page.click("#record")
        for label in SCENES:
            page.fill(".record input", label)
            page.wait_for_selector("#hold:not(:disabled)")
            page.hover("#hold")
            page.mouse.down()
            while len(list(things.glob(f"{label}/*"))) < _RECORDED:
                page.wait_for_timeout(30)
            page.mouse.up()
        page.click("dialog .dialog-head button")
        times.append(time.perf_counter())
        studio.go("train")
        page.click("#train")
        page.wait_for_selector(".result", timeout=_JOB_MS)
        times.append(time.perf_counter())
        studio.go("take")
        with page.expect_download() as download:
            page.click("a[href='/api/model/int8.tflite']")
        download.value.save_as(scratch / "model.tflite")
        times.append(time.perf_counter())
    names = (f"recording two classes of {_RECORDED} photos", "training and exporting", "downloading the int8 file")
    for name, start, end in zip(names, times, times[1:], strict=False):
        print_row(name, f"{end - start:.1f} s")
    print_row(
        "from the empty project to the file on the disk, in ten clicks and entries", f"{times[-1] - times[0]:.1f} s"
    )


if __name__ == "__main__":
    main()
