"""Take the screenshots of docs/web.md: `python -m tools.web_screenshots MODEL PHOTO`.

Input: a `.tflite` and a photo. Output: `docs/images/web-*.png`. Requires Chromium.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from poets_edge.exporting.serving import PageServer
from poets_edge.exporting.web import write_page

_IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
_PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}
_COLORS = 128


def main() -> None:
    """Take all screenshots, and write them to docs/images."""
    model, photo = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        page = write_page(model, site)
        video = make_video(photo, Path(folder) / "video.mjpeg")
        camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}"]
        with PageServer(site, page.files) as server, sync_playwright() as playwright:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", *camera])
            phone = _open(browser, server.url, **_PHONE)
            phone.click("#camera")
            phone.wait_for_timeout(4000)
            _save(phone, "web-phone")
            dark = _open(browser, f"{server.url}#runs=500", color_scheme="dark", **_PHONE)
            dark.set_input_files("#choose-input", photo)
            dark.click("#measure summary")
            dark.click("#measure-start")
            dark.wait_for_selector("#measured-files:not([hidden])", timeout=300_000)
            dark.locator("#measured-files").scroll_into_view_if_needed()
            _save(dark, "web-dark")
            desktop = _open(browser, server.url, viewport={"width": 1100, "height": 700})
            desktop.set_input_files("#choose-input", photo)
            desktop.wait_for_selector("#timing:not([hidden])")
            _save(desktop, "web-desktop")
            browser.close()
            server.shutdown()


def _open(browser: Any, url: str, **settings: Any) -> Any:
    page = browser.new_context(permissions=["camera"], **settings).new_page()
    page.goto(url)
    page.wait_for_selector("body[data-mode=idle]")
    return page


def _save(page: Any, name: str) -> None:
    page.wait_for_timeout(500)
    path = _IMAGES / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def make_video(photo: Path, path: Path) -> Path:
    """Write a motion JPEG video of 640 x 480 pixels that shows a photo; return the path of the video."""
    with Image.open(photo) as picture:
        scale = max(640 / picture.width, 480 / picture.height)
        large = picture.convert("RGB").resize((round(picture.width * scale), round(picture.height * scale)))
    left, top = (large.width - 640) // 2, (large.height - 480) // 2
    frame = path.with_suffix(".jpg")
    large.crop((left, top, left + 640, top + 480)).save(frame, quality=95)
    path.write_bytes(frame.read_bytes() * 30)
    return path


if __name__ == "__main__":
    main()
