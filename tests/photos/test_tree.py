"""Tests of trees of folders: depth, links, skipped names and order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from poets_edge.errors import DatasetError
from poets_edge.photos.folder import photo_files
from poets_edge.photos.tree import Folder, folder_tree, is_scanned, is_skipped, kind_of, other_files_text, read_tree


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


def photos(tree: Folder) -> dict[str, list[str]]:
    return {folder.path: sorted(folder.photos) for folder in tree.below()}


@pytest.mark.parametrize(
    ("deepest", "expected"), [(0, {""}), (1, {"", "a"}), (2, {"", "a", "a/b"}), (None, {"", "a", "a/b", "a/b/c"})]
)
def test_number_of_folder_levels_is_limited(tmp_path: Path, deepest: int | None, expected: set[str]) -> None:
    write(tmp_path, "1.jpg", "a/2.JPG", "a/b/3.png", "a/b/c/4.gif")
    found = photos(read_tree(tmp_path, deepest=deepest))
    assert set(found) == expected and found[""] == ["1.jpg"]
    assert found.get("a/b", ["a/b/3.png"]) == ["a/b/3.png"]


def test_read_tree_does_not_follow_a_link_to_a_parent_folder(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/other").symlink_to(tmp_path / "b")
    found = photos(read_tree(tmp_path, deepest=None))
    assert found == {"": [], "a": ["a/1.jpg"], "a/other": ["a/other/2.jpg"], "a/up": [], "b": ["b/2.jpg"]}
    (tmp_path / "a/nowhere").symlink_to("missing")
    assert read_tree(tmp_path).folders[0].others == Counter({"no suffix": 1})


def test_read_tree_skips_hidden_files_and_counts_others_by_kind(tmp_path: Path) -> None:
    write(tmp_path, "a/.1.jpg", "a/notes.TXT", "a/b.txt", "a/README", ".git/2.jpg", "lost+found/3.jpg", "a/Thumbs.db")
    (tmp_path / "a/photo").write_bytes(b"\x89PNG\r\n\x1a\n")
    tree = read_tree(tmp_path)
    assert photos(tree) == {"": [], "a": ["a/photo"]} and tree.folders[0].others == Counter({".txt": 2, "no suffix": 1})


def test_read_tree_reports_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing: cannot be read \(No such file"):
        read_tree(tmp_path / "missing")


def test_photos_in_subfolders_are_listed_only_if_requested(tmp_path: Path) -> None:
    write(tmp_path, "b.jpg", "a.png", "notes.txt", "inside/c.jpg", "inside/deep/d.jpg", "inside/e.txt")
    assert photo_files(tmp_path) == ([tmp_path / "a.png", tmp_path / "b.jpg"], Counter({".txt": 1}))
    found, others = photo_files(tmp_path, recursive=True)
    assert found == [tmp_path / name for name in ("a.png", "b.jpg", "inside/c.jpg", "inside/deep/d.jpg")]
    assert others == Counter({".txt": 2})


def test_tree_of_folders_is_built_from_file_names() -> None:
    names = ["x/b/1.jpg", "x/a/2.jpg", "x/a/c/3.jpg", "x/4.jpg"]
    tree = folder_tree(names, {("a", ".txt"): 2, ("d", ".mp4"): 1}, depth=1)
    assert photos(tree) == {"": ["x/4.jpg"], "a": ["x/a/2.jpg"], "a/c": ["x/a/c/3.jpg"], "b": ["x/b/1.jpg"], "d": []}
    assert [folder.path for folder in tree.folders] == ["a", "b", "d"], "sorted"
    assert [folder.name for folder in tree.folders[0].folders] == ["c"] and tree.folders[0].others == {".txt": 2}
    assert tree.total == 4 and [folder.path for folder in tree.with_photos] == ["a", "b"]
    assert set(photos(folder_tree(names, {}))) == {"", "x", "x/a", "x/a/c", "x/b"}


def test_most_frequent_kinds_of_files_that_are_not_photos_are_listed_first() -> None:
    assert other_files_text({".a": 1, ".c": 2, ".b": 2}) == "5 files that are not photos: 2 .b, 2 .c, 1 .a"
    assert other_files_text({".txt": 1}) == "1 file that is not a photo: 1 .txt"


def test_file_kind_is_the_suffix_and_hidden_files_are_skipped() -> None:
    assert [kind_of(name) for name in ("a.TXT", "a.tar.gz", "README", ".hidden")] == [
        ".txt",
        ".gz",
        "no suffix",
        "no suffix",
    ]
    assert is_skipped(".a") and is_skipped("Thumbs.db") and is_skipped("__MACOSX") and not is_skipped("a.jpg")


def test_only_paths_inside_the_folder_and_outside_skipped_folders_are_scanned(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    assert is_scanned(root / "a/1.jpg", root) and is_scanned(root / "b/../a/1.jpg", root)
    assert not is_scanned(root / ".git/1.jpg", root) and not is_scanned(root / "../other/1.jpg", root)
    assert not is_scanned(tmp_path / "photos2/1.jpg", root)


def test_photos_of_a_folder_inside_a_hidden_folder_are_scanned(tmp_path: Path) -> None:
    root = tmp_path / ".cache/photos"
    assert is_scanned(root / "a/1.jpg", root) and not is_scanned(root / "a/.1.jpg", root)
