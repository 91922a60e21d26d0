"""Tests of the studio's page: selecting, moving, adding and restoring photos, and editing classes."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poets_edge.demo.draw import draw_photos
from tests.web.studio import OpenStudio, open_studio

LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
PER_CLASS = 6


@pytest.fixture(scope="module")
def plain_browser(launch: Callable[..., Any]) -> Any:
    return launch()


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with six synthetic photos for each of five classes. Tests must not change it."""
    folder = tmp_path_factory.mktemp("drawings") / "flowers"
    draw_photos(folder, per_class=PER_CLASS)
    return folder


@pytest.fixture
def studio(plain_browser: Any, drawings: Path, tmp_path: Path) -> Iterator[OpenStudio]:
    folder = Path(shutil.copytree(drawings, tmp_path / "flowers"))
    with open_studio(plain_browser, folder) as opened:
        opened.page.wait_for_selector(".tile img")
        yield opened
        assert not opened.problems


def _selected(studio: OpenStudio) -> list[str]:
    names: list[str] = studio.page.eval_on_selector_all(
        ".tile[aria-selected=true]", "tiles => tiles.map(tile => tile.getAttribute('aria-label'))"
    )
    return sorted(names)


def _tile(studio: OpenStudio, index: int) -> Any:
    return studio.page.locator(f"#tile-{index}")


def _middle(locator: Any) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _counts(studio: OpenStudio) -> dict[str, int]:
    """Return the number of photos that the page shows for each class."""
    rows = studio.page.eval_on_selector_all(
        "[data-class]", "rows => rows.map(row => [row.dataset.class, row.querySelector('.class-count').textContent])"
    )
    return {name: int(count) for name, count in rows}


def _jpeg(color: str, side: int = 64) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (side, side), color).save(content, "JPEG")
    return content.getvalue()


def test_photos_can_be_selected_with_the_mouse(studio: OpenStudio) -> None:
    """A click selects one photo, Shift a range, Ctrl adds or removes one; a rubber band selects all that it touches."""
    paths = sorted(studio.files())
    _tile(studio, 1).click()
    assert _selected(studio) == [paths[1]]
    _tile(studio, 4).click(modifiers=["Shift"])
    assert _selected(studio) == paths[1:5]
    _tile(studio, 2).click(modifiers=["ControlOrMeta"])
    _tile(studio, 7).click(modifiers=["ControlOrMeta"])
    assert _selected(studio) == [paths[1], paths[3], paths[4], paths[7]]
    studio.page.keyboard.press("Escape")
    start, end = _middle(_tile(studio, 6)), _middle(_tile(studio, 13))
    studio.page.mouse.move(*start)
    studio.page.mouse.down()
    studio.page.mouse.move(*end, steps=8)
    studio.page.wait_for_timeout(100)
    studio.page.mouse.up()
    left, right = sorted((start[0], end[0]))
    boxes = [_tile(studio, index).bounding_box() for index in range(15)]
    touched = [
        path
        for path, box in zip(paths[:15], boxes, strict=True)
        if box["x"] <= right
        and box["x"] + box["width"] >= left
        and box["y"] <= end[1]
        and box["y"] + box["height"] >= start[1]
    ]
    assert 2 <= len(touched) < 10
    studio.until(lambda: _selected(studio) == touched, f"selected: {_selected(studio)}")


def test_photos_are_moved_excluded_and_deleted_by_keyboard(studio: OpenStudio) -> None:
    """Every change to photos has a key, and Ctrl+Z undoes it."""
    before = studio.files()
    paths = sorted(before)
    studio.page.focus(".grid")
    studio.page.keyboard.press("Home")
    studio.page.keyboard.press("Shift+ArrowRight")
    assert _selected(studio) == paths[:2]
    studio.page.keyboard.press("2")  # the second class
    moved = {path.replace("daisy/", "dandelion/") for path in paths[:2]}
    studio.until(lambda: moved <= studio.files(), "the photos are not in the other folder")
    studio.until(lambda: _counts(studio)["dandelion"] == PER_CLASS + 2, "the page counts the photos where they were")
    studio.page.keyboard.press("Control+z")
    studio.until(lambda: studio.files() == before, "the photos are not back")
    studio.page.keyboard.press("End")
    studio.page.keyboard.press("x")
    studio.page.wait_for_selector(".tile.excluded")
    studio.until(lambda: _counts(studio)["tulips"] == PER_CLASS - 1, "the excluded photo is counted")
    assert studio.files() == before
    studio.page.keyboard.press("Delete")
    studio.until(lambda: studio.files() == before - {paths[-1]}, "the photo is still in its folder")
    studio.page.keyboard.press("Control+z")
    studio.page.keyboard.press("Control+z")
    studio.until(lambda: studio.files() == before and _counts(studio)["tulips"] == PER_CLASS, "not as before")


def test_photo_can_be_moved_in_the_viewer_and_moved_back(studio: OpenStudio) -> None:
    """The viewer reports the change, and offers to undo it."""
    before = studio.files()
    _tile(studio, 0).dblclick()
    studio.page.wait_for_selector("dialog .viewer img")
    studio.page.select_option("dialog select", "tulips")
    studio.until(lambda: studio.files() != before, "the photo was not moved")
    studio.page.click("dialog .toast button")
    studio.until(lambda: studio.files() == before, "the photo is not back")


def test_selected_photos_can_be_dragged_to_a_class(studio: OpenStudio) -> None:
    """A drag that starts on a selected photo moves the selection to the class that is marked as the target.

    If another program adds a class during the drag, the rows below it move, but the marked class is still the target.
    """
    first, second = sorted(studio.files())[:2]
    _tile(studio, 0).click()
    _tile(studio, 1).click(modifiers=["Shift"])
    studio.page.mouse.move(*_middle(_tile(studio, 0)))
    studio.page.mouse.down()
    studio.page.mouse.move(*_middle(studio.page.locator("[data-class=tulips]")), steps=8)
    studio.page.wait_for_selector(".drag-ghost")
    _add_class(studio, "asters")
    assert studio.page.get_attribute(".target", "data-class") == "tulips"
    studio.page.mouse.up()
    moved = {path.replace("daisy/", "tulips/") for path in (first, second)}
    studio.until(lambda: moved <= studio.files(), "the photos are not in the folder of the class")


def test_escape_cancels_a_drag(studio: OpenStudio) -> None:
    before = studio.files()
    _tile(studio, 0).click()
    studio.page.mouse.move(*_middle(_tile(studio, 0)))
    studio.page.mouse.down()
    studio.page.mouse.move(*_middle(studio.page.locator("[data-class=tulips]")), steps=8)
    studio.page.wait_for_selector(".target")
    studio.page.keyboard.press("Escape")
    studio.page.wait_for_selector(".drag-ghost", state="detached")
    studio.page.mouse.up()
    assert _selected(studio) == sorted(before)[:1]
    assert studio.files() == before and studio.client.get("/api/project").ok()["undo"] is None


def test_classes_can_be_added_renamed_and_removed(studio: OpenStudio) -> None:
    """Class names are edited in place; undo restores a removed class with its photos."""
    page = studio.page
    page.click(".class-add")
    page.keyboard.type("wild röses")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-class='wild röses']")
    assert (studio.folder / "wild röses").is_dir()
    page.wait_for_selector(".class-add:focus")  # for the next class
    page.dblclick("[data-class=daisy] .class-row")
    page.wait_for_selector(".class-field")
    page.keyboard.type("marguerite")
    page.keyboard.press("Enter")
    studio.until(lambda: len(list(studio.folder.glob("marguerite/*"))) == PER_CLASS, "the folder has its old name")
    page.wait_for_selector("[data-class=marguerite] .class-row:focus")
    page.click("[data-class=roses] .class-row")
    page.click("[data-class=roses] .class-tools button >> nth=1")
    studio.until(lambda: not (studio.folder / "roses").exists(), "the folder is still there")
    page.click("#undo")
    studio.until(lambda: len(list(studio.folder.glob("roses/*"))) == PER_CLASS, "the photos are not back")


def test_class_list_shows_imbalance_and_unreadable_photos(plain_browser: Any, drawings: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drawings, tmp_path / "flowers"))
    for path in sorted(folder.glob("tulips/*"))[1:]:
        path.unlink()
    (folder / "roses/broken.jpg").write_bytes(_jpeg("red")[:200])
    with open_studio(plain_browser, folder) as studio:
        row = studio.page.locator("[data-class=tulips]")
        assert row.locator(".tag").is_visible()
        hint = studio.page.locator(".classes .hint")
        studio.until(lambda: "has 6 times as many photos as tulips" in hint.inner_text(), "no word on the imbalance")
        studio.page.click("[data-class=roses] .class-row")
        studio.page.click("[data-class=roses] .class-extra .bad")
        assert studio.page.get_attribute(".tile.unreadable", "aria-label").startswith("roses/broken.jpg")
        assert not studio.problems or all("422" in problem for problem in studio.problems)


def test_page_accepts_dropped_and_chosen_photos_zips_and_folders(studio: OpenStudio, tmp_path: Path) -> None:
    """A folder becomes a class, as do the folders in a zip; photos go to the class on which they are dropped."""
    page = studio.page
    (tmp_path / "lilies").mkdir()
    for number, color in enumerate(("white", "pink", "plum")):
        (tmp_path / f"lilies/{number}.jpg").write_bytes(_jpeg(color))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("orchids/a.jpg", _jpeg("purple"))
        archive.writestr("orchids/b.jpg", _jpeg("violet"))
    (tmp_path / "loose.jpg").write_bytes(_jpeg("orange"))
    _drop(studio, [tmp_path / "lilies"], page.locator(".grid"))
    studio.until(lambda: len(list(studio.folder.glob("lilies/*.jpg"))) == 3, "the folder was not added as a class")
    page.click("[data-class=roses] .class-row")
    page.set_input_files("input[type=file][accept*=zip]", tmp_path / "more.zip")
    studio.until(lambda: len(list(studio.folder.glob("orchids/*.jpg"))) == 2, "the zip was not unpacked")
    page.wait_for_selector("[data-class=orchids]")  # the new class moves the rows below it
    row = page.locator("[data-class=sunflowers]")
    _drop(studio, [tmp_path / "loose.jpg"], row, meanwhile=lambda: _add_class(studio, "asters"))
    studio.until(lambda: (studio.folder / "sunflowers/loose.jpg").is_file(), "the picture is not in its class")
    (tmp_path / "notes.jpg").write_text("not a picture")
    page.click("[data-class=roses] .class-row")
    page.set_input_files("input[type=file][accept*=zip]", tmp_path / "notes.jpg")
    page.click("text=1 file skipped")
    assert "notes.jpg" in page.inner_text("dialog")


def test_files_that_are_not_photos_are_listed_and_not_uploaded(studio: OpenStudio, tmp_path: Path) -> None:
    page = studio.page
    video, large = tmp_path / "holiday.mp4", tmp_path / "large.jpg"
    video.write_bytes(b"\0\0\0\x18ftypmp42")
    large.touch()
    os.truncate(large, (256 << 20) + 1)
    page.click("[data-class=roses] .class-row")
    _drop(studio, [video], page.locator(".grid"))
    page.wait_for_selector(".toast.bad >> text=holiday.mp4: neither a photo nor a zip")
    _drop(studio, [video, large], page.locator(".grid"))
    page.wait_for_selector(".toast.bad >> text=(and 1 more file)")
    page.click("text=2 files skipped")
    page.wait_for_selector("dialog >> text=larger than 268.4 MB")
    page.keyboard.press("Escape")
    assert not [url for url in studio.requests if "/api/upload" in url]
    studio.go("train")
    page.wait_for_selector("#train")
    _drop(studio, [video], page.locator("h1"))
    page.wait_for_timeout(300)
    assert page.url.endswith("#train"), "the browser has left the page to open the file"


def test_photos_can_be_dragged_in_after_returning_from_the_try_step(studio: OpenStudio, tmp_path: Path) -> None:
    (tmp_path / "loose.jpg").write_bytes(_jpeg("orange"))
    studio.client.run_job(kind="train", choice="quick")
    studio.go("try")
    studio.page.wait_for_selector(".trial[data-ready]")
    studio.go("photos")
    studio.page.click("[data-class=roses] .class-row")
    _drop(studio, [tmp_path / "loose.jpg"], studio.page.locator(".grid"))
    studio.page.wait_for_selector(".toast >> text=Added 1 photo")
    assert not studio.page.is_visible(".toast.bad")


def _add_class(studio: OpenStudio, name: str) -> None:
    """Add a class as another program does, and wait until the page shows it."""
    (studio.folder / name).mkdir()
    studio.page.wait_for_selector(f"[data-class={name}]")


def _drop(studio: OpenStudio, paths: list[Path], where: Any, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Drop files on an element, as a file manager does; `meanwhile` is called while the files are over the element."""
    x, y = _middle(where)
    session = studio.page.context.new_cdp_session(studio.page)
    data = {"items": [], "files": [os.fspath(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        if kind == "drop":
            meanwhile()
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
    session.detach()


def test_five_thousand_thumbnails_scroll_without_long_tasks(plain_browser: Any, drawings: Path, tmp_path: Path) -> None:
    """No task in the page's main thread takes 50 ms of CPU time while the grid scrolls through 5,000 photos."""
    folder = tmp_path / "many"
    photos = sorted(drawings.glob("*/*"))
    for number in range(5000):
        photo = photos[number % len(photos)]
        (folder / photo.parent.name).mkdir(parents=True, exist_ok=True)
        os.link(photo, folder / photo.parent.name / f"{number:04}.jpg")
    with open_studio(plain_browser, folder) as studio:
        page = studio.page
        page.wait_for_selector(".tile img")
        page.mouse.move(*_middle(page.locator(".grid")))
        plain_browser.start_tracing(page=page, categories=["toplevel"])
        for step in (300, 300, 300, 4000):
            for _ in range(20):
                page.mouse.wheel(0, step)
                page.wait_for_timeout(16)
        page.wait_for_timeout(300)
        longest = _longest_task(json.loads(plain_browser.stop_tracing()))
        assert page.evaluate("document.querySelector('.grid').scrollTop") > 50_000
        assert page.locator(".tile").count() < 100
    assert longest < 50, f"a task took {longest:.0f} ms"


def _longest_task(trace: Any) -> float:
    """Return the CPU time of the longest task in the page's main thread, in milliseconds."""
    events = trace["traceEvents"]
    named = [event for event in events if event.get("name") == "thread_name"]
    main = {(event["pid"], event["tid"]) for event in named if event["args"]["name"] == "CrRendererMain"}
    tasks = [event["tdur"] for event in events if (event["pid"], event["tid"]) in main and "tdur" in event]
    assert len(tasks) > 100
    return float(max(tasks)) / 1000
