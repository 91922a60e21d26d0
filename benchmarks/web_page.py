"""Benchmark of the web page in Chromium: download size, frame rate relative to a bare LiteRT.js loop, and memory.

    (cd web && npm ci --ignore-scripts)
    python -m benchmarks.web_page MODEL PHOTO [--frames 10000]

Input: a `.tflite` and a photo; output: a table on stdout. The bare loop follows LiteRT.js's README and calls `run`
repeatedly on one tensor. Page and loop alternate in one browser, so that other load affects both equally. Chromium's
fake camera shows the photo at 640 x 480 and 30 frames per second.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from poets_edge.exporting.serving import PageServer
from poets_edge.exporting.web import write_page
from tools.web_screenshots import make_video

_CORE = Path(__file__).resolve().parent.parent / "web/node_modules/@litertjs"
_VISITS = 5
_TURNS = 12
_RUNS = 60
_FRAME_SECONDS = 20
_MEMORY_STEPS = 10

_BARE_PAGE = """<!doctype html><title>bare</title>
<script type="importmap">{"imports": {"@litertjs/wasm-utils": "./wasm-utils.js"}}</script>
<body><script type="module">
  import { loadLiteRt, loadAndCompile, Tensor } from "./core.js";
  await loadLiteRt("runtime/");
  const model = await loadAndCompile("model.tflite", { accelerator: "wasm" });
  const [details] = model.getInputDetails();
  const size = details.shape.reduce((product, n) => product * n, 1);
  const Values = { float32: Float32Array, uint8: Uint8Array }[details.dtype];
  const input = new Tensor(new Values(size).fill(details.dtype === "uint8" ? 100 : 0.1), details.shape);
  window.run = async (runs) => {
    const times = [];
    for (let i = 0; i < runs; i++) {
      const before = performance.now();
      const [output] = await model.run(input);
      output.toTypedArray();
      times.push(performance.now() - before);
      output.delete();
    }
    return times;
  };
</script>"""

_PAGE_RUN = """async ([runs, whole]) => {
  const video = document.getElementById("video");
  const times = [];
  for (let i = 0; i < runs; i++) {
    const before = performance.now();
    const { inference } = await poetsEdge.scorer.score(await createImageBitmap(video, 80, 0, 480, 480));
    times.push(whole ? performance.now() - before : inference);
  }
  return times;
}"""


def main() -> None:
    """Run the benchmark with the options on the command line, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--frames", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        site = Path(name) / "site"
        page = write_page(arguments.model, site)
        _write_bare(site)
        video = make_video(arguments.photo, Path(name) / "video.mjpeg")
        with PageServer(site, page.files) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=[
                    *([] if os.geteuid() else ["--no-sandbox"]),
                    "--use-fake-device-for-media-stream",
                    f"--use-file-for-fake-video-capture={video}",
                ],
            )
            print(
                f"first visit, compressed: {page.page_transfer / 1e6:.2f} MB, model {page.model_transfer / 1e6:.2f} MB"
            )
            _visits(browser, server.url)
            opened = _open(browser, server.url)
            opened.click("#camera")
            opened.wait_for_function("() => document.body.dataset.mode === 'live'")
            _frames(browser, opened)
            opened.click("#camera")  # freeze: the bare loop and the memory are measured without the live loop
            _latency(browser, server.url, opened)
            _memory(browser, opened, arguments.frames)
            browser.close()
            server.shutdown()


def _write_bare(site: Path) -> None:
    (site / "bare.html").write_text(_BARE_PAGE)
    shutil.copy(_CORE / "core/dist/index.js", site / "core.js")
    shutil.copy(_CORE / "wasm-utils/dist/index.js", site / "wasm-utils.js")


def _open(browser: Any, url: str) -> Any:
    page = browser.new_context(permissions=["camera"], bypass_csp=True).new_page()
    page.goto(url)
    page.wait_for_selector("body[data-mode=idle]")
    return page


def _visits(browser: Any, url: str) -> None:
    paints, ready = [], []
    for _ in range(_VISITS):
        page = _open(browser, url)
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        ready.append(page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
        page.context.close()
    for what, times in (("first paint", paints), ("ready to label", ready)):
        print(f"{what}: median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms of {_VISITS} first visits")


def _frames(browser: Any, page: Any) -> None:
    count = "Number(document.getElementById('stage').dataset.frames)"
    page.wait_for_timeout(3000)
    before = page.evaluate(f"[{count}, performance.now()]")
    used = _cpu_seconds(browser)
    page.wait_for_timeout(1000 * _FRAME_SECONDS)
    after = page.evaluate(f"[{count}, performance.now()]")
    used = _cpu_seconds(browser) - used
    rate = (after[0] - before[0]) / (after[1] - before[1]) * 1000
    print(f"live camera, 640 x 480 at 30 frames a second: {rate:.1f} labeled a second over {_FRAME_SECONDS} s")
    print(f"CPU time of all the browser's processes: {1000 * used / (after[0] - before[0]):.1f} ms a labeled frame")


def _cpu_seconds(browser: Any) -> float:
    """Return the processor time used by all processes of the browser, in seconds."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(float(process["cpuTime"]) for process in processes)


def _latency(browser: Any, url: str, opened: Any) -> None:
    bare = browser.new_context().new_page()
    bare.goto(f"{url}bare.html")
    bare.wait_for_function("() => window.run")
    ours: list[float] = []
    theirs: list[float] = []
    ratios = []
    for turn in range(_TURNS):
        a = opened.evaluate(_PAGE_RUN, [_RUNS, False])
        b = bare.evaluate("(runs) => run(runs)", _RUNS)
        if turn:  # the first turn warms up
            ours += a
            theirs += b
            ratios.append(statistics.median(a) / statistics.median(b))
    print(f"inference: page {_text(ours)}; bare LiteRT.js loop {_text(theirs)}")
    print(
        f"page over bare loop: {statistics.median(ours) / statistics.median(theirs):.2f} of all,"
        f" {statistics.median(ratios):.2f} median of {len(ratios)} turns, {min(ours) / min(theirs):.2f} of the fastest"
    )
    whole = opened.evaluate(_PAGE_RUN, [_RUNS, True])
    print(f"frame to scores, one at a time: {_text(whole)}")


def _text(times: list[float]) -> str:
    return f"median {statistics.median(times):.2f} ms, fastest {min(times):.2f} ms"


def _memory(browser: Any, page: Any, frames: int) -> None:
    renderers = _renderers(browser)
    levels = []
    for step in range(_MEMORY_STEPS + 1):
        if step:
            page.evaluate(_PAGE_RUN, [frames // _MEMORY_STEPS, False])
        page.request_gc() if hasattr(page, "request_gc") else None
        levels.append(sum(_resident(process) for process in renderers))
    print(f"memory of the page's processes, MB, every {frames // _MEMORY_STEPS} frames: {[round(x) for x in levels]}")


def _renderers(browser: Any) -> list[int]:
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return [process["id"] for process in processes if process["type"] == "renderer"]


def _resident(process: int) -> float:
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000
    except OSError:
        pass
    return 0.0


if __name__ == "__main__":
    main()
