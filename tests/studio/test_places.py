"""Tests of the names of classes and photos, and of the paths that requests refer to, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from poets_edge.studio.places import Places, check_new_class, is_plain, safe_file_name
from poets_edge.studio.refusal import RefusedError


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/1.jpg").write_bytes(b"outside")
    (tmp_path / "project/daisy").mkdir(parents=True)
    (tmp_path / "project/daisy/1.jpg").write_bytes(b"inside")
    return Places(tmp_path / "project")


@pytest.mark.parametrize(
    "name",
    ["", "daisy", "daisy/", "/1.jpg", "daisy/2.jpg", "../outside/1.jpg", "daisy/../daisy/1.jpg", "tulips/1.jpg",
     "daisy/.1.jpg", "daisy\\1.jpg", "daisy/1.jpg\n", "daisy/1.jpg/x", "\udcff/1.jpg"],
)  # fmt: skip
def test_paths_of_photos_with_invalid_names_are_refused(places: Places, name: str) -> None:
    assert places.photo("daisy/1.jpg").read_bytes() == b"inside"
    with pytest.raises(RefusedError):
        places.photo(name)


def test_symbolic_links_are_neither_photos_nor_classes(places: Places) -> None:
    (places.root / "daisy/link.jpg").symlink_to(places.root / "daisy/1.jpg")
    (places.root / "linked").symlink_to(places.root.parent / "outside")
    (places.root / "daisy/folder.jpg").mkdir()
    for name in ("daisy/link.jpg", "linked/1.jpg", "daisy/folder.jpg"):
        with pytest.raises(RefusedError):
            places.photo(name)
    for name in ("linked", "daisy/1.jpg", "none", "..", ""):
        with pytest.raises(RefusedError):
            places.class_folder(name)
    assert places.class_folder("daisy") == places.root / "daisy"


def test_studio_folders_that_are_links_are_refused(places: Places) -> None:
    places.create()
    places.create()
    places.jobs.rmdir()
    places.jobs.symlink_to(places.root.parent / "outside")
    with pytest.raises(NotADirectoryError):
        places.create()


@pytest.mark.parametrize(
    ("given", "name"), [(" tulips ", "tulips"), ("Ängstliche Rose", "Ängstliche Rose"), ("é" * 100, "é" * 100)]
)
def test_spaces_around_a_new_class_name_are_removed(given: str, name: str) -> None:
    assert check_new_class(given, ("daisy",)) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", ""),
        ("  ", ""),
        (".hidden", ""),
        ("a/b", ""),
        ("a\\b", ""),
        ("what?", ""),
        ("end.", ""),
        ("CON", ""),
        ("com7.old", ""),
        ("line\nbreak", ""),
        ("daisy\u202eyesor", ""),
        ("\u2067daisy\u2069", ""),
        ("é" * 101, "200"),
        ("DAISY", "daisy"),
        ("ro\u0301ses", "r\u00f3ses"),
    ],
)
def test_unsuitable_new_class_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message or None):
        check_new_class(name, ("daisy", "r\u00f3ses"))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("photo.jpg", "photo.jpg"),
        ("C:\\Users\\anna\\photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("a/b\\c.png", "c.png"),
        ("what?*.jpg", "what__.jpg"),
        ("line\nbreak.jpg", "line_break.jpg"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("bad\udcff.jpg", "bad_.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("con.jpg", "photo_con.jpg"),
        ("AUX.tar.jpg", "photo_AUX.tar.jpg"),
        ("", "photo"),
        ("...", "photo"),
        ("x." + "y" * 17, "x"),
        ("no suffix", "no suffix"),
    ],
)
def test_safe_file_name_keeps_the_last_part_of_a_path(given: str, name: str) -> None:
    assert safe_file_name(given) == name


def test_safe_file_name_limits_the_length_in_bytes() -> None:
    name = safe_file_name("ä" * 300 + ".jpg")
    assert name == "ä" * 92 + ".jpg" and is_plain(name)
