"""Tests of the times of photos in EXIF data, and of bursts of photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.photos.folder import Photo
from poets_edge.photos.table import PhotoTable
from poets_edge.photos.taken import burst_pairs, time_taken, times_taken

EDITED, TAKEN, DIGITIZED = 306, 36867, 36868
_EXIF_IFD = 0x8769


def photo(path: Path, taken: str, edited: str = "") -> Path:
    """Write a JPEG file with EXIF times."""
    exif = Image.Exif()
    if edited:
        exif[EDITED] = edited
    exif.get_ifd(_EXIF_IFD)[TAKEN] = taken
    exif.get_ifd(_EXIF_IFD)[DIGITIZED] = taken
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


def table(folder: Path) -> PhotoTable:
    files = sorted(folder.glob("*/*.jpg"))
    return PhotoTable.of(Photo(file, file.relative_to(folder).as_posix(), file.parent.name) for file in files)


def test_capture_time_is_not_the_date_of_the_last_edit(tmp_path: Path) -> None:
    first = photo(tmp_path / "a/1.jpg", "2024:05:01 12:00:00", edited="2025:01:01 09:00:00")
    second = photo(tmp_path / "a/2.jpg", "2024:05:01 12:00:02")
    times = time_taken(first), time_taken(second)
    assert times[0] is not None and times[1] is not None and times[1] - times[0] == 2


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "2024:13:45 99:00:00", "yesterday"])
def test_capture_time_is_none_for_invalid_dates(tmp_path: Path, taken: str) -> None:
    assert time_taken(photo(tmp_path / "a/1.jpg", taken)) is None


def test_capture_time_is_none_if_the_photo_or_its_exif_data_is_missing(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.jpg")
    assert time_taken(tmp_path / "plain.jpg") is None
    assert time_taken(tmp_path / "missing.jpg") is None
    assert time_taken(tmp_path) is None


def test_burst_pairs_are_photos_in_one_folder_taken_seconds_apart(tmp_path: Path) -> None:
    for name, seconds in {"a/1": "00", "a/2": "02", "a/3": "40", "b/1": "01"}.items():
        photo(tmp_path / f"{name}.jpg", f"2024:05:01 12:00:{seconds}")
    assert burst_pairs(table(tmp_path)) == [(0, 1)]


def test_burst_pairs_ignore_a_time_shared_by_many_photos(tmp_path: Path) -> None:
    for number in range(31):
        photo(tmp_path / f"a/{number:02}.jpg", "2000:01:01 00:00:00")
    assert burst_pairs(table(tmp_path)) == []


def test_burst_pairs_are_at_most_three_seconds_apart(tmp_path: Path) -> None:
    for number, second in enumerate((0, 3, 7, 8)):
        photo(tmp_path / f"a/{number}.jpg", f"2024:05:20 12:00:{second:02}")
    assert burst_pairs(table(tmp_path)) == [(0, 1), (2, 3)]


def test_capture_time_is_interpreted_as_utc(tmp_path: Path) -> None:
    assert time_taken(photo(tmp_path / "a/1.jpg", "2024:05:20 12:00:01")) == 1716206401.0


def test_capture_times_are_read_from_jpeg_files_with_any_spelling_of_the_suffix(tmp_path: Path) -> None:
    names = ("1.jpg", "2.JPG", "3.jpeg", "4.Jpeg", "5.png", "6.jpe")
    content = photo(tmp_path / "a/x.jpg", "2024:05:01 12:00:00").read_bytes()
    for name in names:
        (tmp_path / "a" / name).write_bytes(content)
    found = times_taken(PhotoTable.of([Photo(tmp_path / "a" / name, f"a/{name}", "a") for name in names]))
    assert np.isfinite(found).tolist() == [True, True, True, True, False, False] and len(set(found[:4])) == 1


def test_bursts_are_found_in_the_order_of_capture_times(tmp_path: Path) -> None:
    """The names are not in the order in which the photos were taken; the second photo is from another minute."""
    photos = table_of("a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg", "b/1.jpg")
    assert burst_pairs(photos, np.array([104.0, 160.0, 100.0, 102.0, 103.0])) == [(2, 3), (3, 0)]


def table_of(*names: str) -> PhotoTable:
    return PhotoTable.of(Photo(Path(name), name, name.partition("/")[0]) for name in names)
