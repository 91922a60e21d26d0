"""Tests of groups of photos, inferred from names or specified by the user, and of their splits and folds."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from poets_edge.errors import DatasetError, UsageError
from poets_edge.photos.folder import Photo
from poets_edge.photos.folds import assign_folds
from poets_edge.photos.groups import check_group_by, grouped_rows, name_pairs, stated_groups, successors
from poets_edge.photos.split import SplitConfig, assign_splits
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhoto, PhotoTable


def table(*names: str) -> PhotoTable:
    return PhotoTable.of(Photo(Path(name), name, name.split("/")[0]) for name in names)


def by_name(photos: PhotoTable) -> list[int]:
    return [int(row) for row in grouped_rows(len(photos), name_pairs(photos))]


def test_photos_of_one_person_are_paired_by_name_across_classes() -> None:
    photos = table("rock/rock01-000.png", "rock/rock01-119.png", "rock/rock02-000.png", "paper/paper01-007.png",
                   "paper/paper02-007.png")  # fmt: skip
    assert by_name(photos) == [0, 0, 2, 0, 2]


def test_frames_are_paired_by_name_only_if_they_are_in_one_folder() -> None:
    photos = table("a/x_frame_000123.jpg", "a/x_frame_000999.jpg", "a/y_frame_1.jpg", "b/x_frame_000124.jpg")
    assert by_name(photos) == [0, 0, 2, 3]


@pytest.mark.parametrize(
    "names",
    [
        ("a/IMG_0001.jpg", "a/IMG_0002.jpg", "a/IMG_0003.jpg"),  # consecutive photos need not show one thing
        ("a/1.jpg", "a/2.jpg"),
        ("class2/class2_001.jpg", "class2/class2_002.jpg", "class1/class1_001.jpg"),  # the number is that of the class
        ("a/set7_001.jpg", "a/set7_002.jpg"),  # one number for the whole class tells nothing apart
        ("a/10555749515_13a12a026e.jpg", "a/10841136265_af473efc60.jpg"),
    ],
)
def test_photos_whose_names_indicate_no_groups_are_not_paired(names: tuple[str, ...]) -> None:
    assert by_name(table(*names)) == list(range(len(names)))


def test_variants_written_by_roboflow_are_paired_by_name() -> None:
    names = [f"a/rose{n}_jpg.rf.{32 * digit}.jpg" for n in (1, 2) for digit in "ab"]
    assert name_pairs(table(*names, "a/rose1_jpg.rf.1.jpg")) == [(0, 1), (2, 3)]
    for length, pairs in ((16, [(0, 1)]), (15, [])):
        assert name_pairs(table(*(f"a/r.rf.{digit * length}.jpg" for digit in "Z9"))) == pairs


def test_variants_named_as_in_tensorflows_examples_are_paired_by_name() -> None:
    names = ("a/x_nohash_0.jpg", "a/y_nohash_0.jpg", "a/x_nohash_1.jpg", "a/x.jpg")
    assert name_pairs(table(*names)) == [(0, 2)]


def test_group_by_accepts_csv_file_names_that_are_not_regular_expressions() -> None:
    for group_by in ("", "parent", "photos (1.CSV", r"person(\d+)"):
        check_group_by(group_by)
    with pytest.raises(UsageError, match="not a regular expression"):
        check_group_by("photos (1")


def test_successive_photos_have_equal_folders_equal_prefixes_and_close_numbers() -> None:
    photos = table("a/IMG_0001.jpg", "a/IMG_0003.jpg", "a/IMG_0010.jpg", "b/IMG_0002.jpg", "a/DSC_0002.jpg")
    assert successors(photos) == [(0, 1)]


def test_photos_are_grouped_by_the_first_capturing_group_of_a_pattern() -> None:
    photos = table("a/anna-1.jpg", "b/anna-7.jpg", "a/ben-1.jpg", "a/nobody.jpg")
    assert stated_groups(photos, r"/(\w+)-").tolist() == [0, 0, 2, 3]
    assert stated_groups(photos, "anna|ben").tolist() == [0, 0, 2, 3]


def test_photos_in_parent_folders_with_equal_names_form_one_group() -> None:
    photos = table("a/anna/1.jpg", "b/anna/1.jpg", "a/ben/1.jpg", "a/1.jpg", "a/2.jpg")
    assert stated_groups(photos, "parent").tolist() == [0, 0, 2, 3, 4]


def test_groups_stated_in_a_csv_file_are_read_from_its_two_columns(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("photo,group\na/1.jpg,anna\nb/1.jpg,anna\na/2.jpg,ben\n")
    assert stated_groups(table("a/1.jpg", "a/2.jpg", "b/1.jpg"), str(path)).tolist() == [0, 1, 0]
    path.write_text("a/1.jpg\n")
    with pytest.raises(DatasetError, match="two columns"):
        stated_groups(table("a/1.jpg"), str(path))
    with pytest.raises(DatasetError, match="cannot be read"):
        stated_groups(table("a/1.jpg"), str(tmp_path / "missing.csv"))


def test_grouping_patterns_that_are_invalid_or_match_no_photo_are_rejected() -> None:
    with pytest.raises(UsageError, match="gives none of the 1 photos a group"):
        stated_groups(table("a/1.jpg"), "person")
    with pytest.raises(UsageError, match="not a regular expression"):
        check_group_by("(")


def test_photos_in_a_group_are_in_one_split_and_one_fold() -> None:
    names = [f"{label}/{number:03}.jpg" for label in ("a", "b") for number in range(200)]
    photos = table(*names)
    groups = np.arange(400) % 200 // 4  # four photos of each class
    splits = assign_splits(photos, SplitConfig(testing=20, validation=20), groups)
    hashed = [HashedPhoto(photo, row.to_bytes(32, "big")) for row, photo in enumerate(photos)]
    [folds] = assign_folds(hashed, 5, groups=groups)
    for numbers in (splits, folds.assignment):
        found = defaultdict(set)
        for group, number in zip(groups.tolist(), numbers.tolist(), strict=True):
            found[group].add(number)
        assert all(len(of_group) == 1 for of_group in found.values())
    assert {SPLIT_NAMES[number] for number in splits} == set(SPLIT_NAMES)


def test_groups_do_not_change_the_splits_of_photos_outside_them() -> None:
    photos = table(*(f"a/{number:03}.jpg" for number in range(300)))
    alone = assign_splits(photos, SplitConfig())
    groups = np.arange(300)
    groups[[5, 7]] = 5
    assert np.flatnonzero(assign_splits(photos, SplitConfig(), groups) != alone).tolist() in ([], [7])
    assert (assign_splits(photos, SplitConfig(), np.arange(300)) == alone).all()


def table_of(*names: str) -> PhotoTable:
    return PhotoTable.of([Photo(Path(name), name, name.partition("/")[0]) for name in names])


def test_successive_photos_are_found_in_any_order_of_the_photo_table() -> None:
    names = ("a/IMG_0012.jpg", "a/IMG_0004.jpg", "a/IMG_0001.jpg", "a/IMG_0008.jpg", "a/DSC_0009.jpg", "b/IMG_0002.jpg")
    assert successors(table_of(*names)) == [(2, 1)], "0001 and 0004, but not 0004 and 0008 or 0008 and 0012"
    assert successors(table_of(*names), most=4) == [(2, 1), (1, 3), (3, 0)]


def test_photos_are_grouped_by_the_whole_match_of_a_pattern_without_capturing_groups() -> None:
    table = table_of("a/p1-x.jpg", "a/p1-y.jpg", "b/p2-x.jpg", "b/other.jpg")
    assert stated_groups(table, r"p(\d)-.").tolist() == [0, 0, 2, 3]
    assert stated_groups(table, r"p\d-.").tolist() == [0, 1, 2, 3]
    assert stated_groups(table, r"-[xy]").tolist() == [0, 1, 0, 3]


def test_spaces_and_a_byte_order_mark_in_a_csv_file_of_groups_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "groups.CSV"
    path.write_bytes(b"\xef\xbb\xbfa/1.jpg, anna \r\n\r\n a/2.jpg,ben,older\r\na/3.jpg ,anna\r\n")
    assert stated_groups(table("a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg"), str(path)).tolist() == [0, 1, 0, 3]
    path.write_text("a/1.jpg\n")
    with pytest.raises(DatasetError, match="two columns are needed"):
        stated_groups(table("a/1.jpg"), str(path))


def test_grouping_by_parent_folder_does_not_treat_classes_in_split_folders_as_groups() -> None:
    """In `train/a/1.jpg`, the folder `a` is the class, not a group."""
    names = ("train/a/1.jpg", "train/a/2.jpg", "train/a/anna/1.jpg", "test/a/x/anna/2.jpg")
    photos = PhotoTable.of(Photo(Path(name), name, "a", "training") for name in names)
    assert stated_groups(photos, "parent").tolist() == [0, 1, 2, 2]
    with pytest.raises(UsageError, match="it gives none of the 2 photos a group"):
        stated_groups(photos[:2], "parent")


def test_photos_of_a_subject_are_paired_by_name_only_in_classes_with_several_subjects() -> None:
    """All photos of class a would be in one group; class b has two groups."""
    one = table("a/cat1-1.jpg", "a/cat1-2.jpg", "b/dog1-1.jpg", "b/dog1-2.jpg", "b/dog2-1.jpg")
    assert name_pairs(one) == [(2, 3)]
    assert name_pairs(table("a/frame_1.jpg", "a/frame_2.jpg", "a/video_7.jpg")) == [(0, 1)]


def test_numbers_of_successive_photos_differ_by_at_most_three_by_default() -> None:
    photos = table("a/x1.jpg", "a/x4.jpg", "a/x8.jpg", "a/x010.jpg")
    assert successors(photos) == [(0, 1), (2, 3)] and successors(photos, most=4) == [(0, 1), (1, 2), (2, 3)]


def test_grouped_rows_numbers_groups_in_the_order_of_their_first_rows() -> None:
    assert grouped_rows(6, [(4, 1), (5, 4), (3, 2)]).tolist() == [0, 1, 2, 2, 1, 1]


def test_digits_in_class_names_are_not_interpreted_as_subject_numbers() -> None:
    """Without the name of the class, `-` and `_-` remain before the counters."""
    assert name_pairs(table("a2/a2-1.jpg", "a2/a2-2.jpg", "a2/a2_-1.jpg", "a2/a2_-2.jpg")) == []
