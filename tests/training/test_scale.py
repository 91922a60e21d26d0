"""Tests of training on many photos: vectors in files, sampled cross-validation, and records without photo names.

The limits are lowered, so that a few synthetic photos exceed them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.core import sqlite
from poets_edge.errors import OutputError
from poets_edge.photos.known_photos import known_photos
from poets_edge.training import bottlenecks, cross_validation, hashed_photos, record, vectors
from poets_edge.training.row_store import open_row_store
from poets_edge.training.vectors import StoredVectors, VectorTableBuilder, apply, take
from tests.conftest import poets_edge

FEW = ("--how_many_training_steps", "50", "--weights", "embedded", "--architecture", "mobilenet_0.25_128")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale") / "photos"
    poets_edge("draw-photos", folder, "--per_class", "12", "--quiet").ok()
    return folder


def trained(photos: Path, folder: Path, *more: str) -> tuple[bytes, dict[str, Any], str]:
    """Train; return the graph, the record and stderr."""
    folder.mkdir(exist_ok=True)
    told = poets_edge("train", "--image_dir", photos, *FEW, *more, cwd=folder).ok().stderr
    files = folder / "tf_files"
    return (files / "retrained_graph.pb").read_bytes(), json.loads((files / "retrained_graph.json").read_text()), told


@pytest.mark.parametrize("distorted", [(), ("--flip_left_right", "--distorted-variants", "2")])
def test_head_trained_on_vectors_in_a_file_equals_head_trained_in_memory(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distorted: tuple[str, ...]
) -> None:
    before = trained(photos, tmp_path / "one", *distorted)
    monkeypatch.setattr(vectors, "LARGE", 0)
    monkeypatch.setattr(vectors, "_ROWS_PER_PART", 16)
    monkeypatch.setattr(bottlenecks, "PHOTOS_PER_BATCH", 7)
    monkeypatch.setattr(hashed_photos, "PHOTOS_PER_BATCH", 7)
    monkeypatch.setattr(sqlite, "VALUES_PER_QUERY", 3)
    cold = trained(photos, tmp_path / "other", *distorted)
    cached = trained(photos, tmp_path / "other", *distorted)
    assert before[0] == cold[0] == cached[0]
    assert before[1] == cold[1] == cached[1]
    assert not list((tmp_path / "other/tf_files/bottlenecks").glob("vectors-*")), "nothing is left behind"


def test_train_cross_validates_and_calibrates_on_a_sample_of_a_large_data_set(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "MAX_EVALUATED", 30)
    monkeypatch.setattr("poets_edge.training.cross_validated_run.MAX_EVALUATED", 30)
    first, found, told = trained(photos, tmp_path)
    assert "cross-validation takes a random 30 of 60 photos" in told
    assert found["cross_validation"]["photos"] == 30 and found["calibration"]["photos"] <= 30
    assert trained(photos, tmp_path)[:2] == (first, found), "the seed decides the sample"


def test_record_of_many_photos_has_a_checksum_instead_of_names(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    excluded = tmp_path / "exclude.json"
    excluded.write_text(json.dumps({"leave_out": ["daisy/" + sorted(p.name for p in (photos / "daisy").iterdir())[0]]}))
    more = ("--exclude", str(excluded))
    graph, named, _ = trained(photos, tmp_path, *more)
    exported = poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok()
    model = (tmp_path / "tf_files/retrained_graph_int8.tflite").read_bytes()
    monkeypatch.setattr(record, "MOST_LISTED", 20)
    again, found, _ = trained(photos, tmp_path, *more)
    assert again == graph and found["sets"] is None and found["photos"] is None and len(found["photos_sha256"]) == 64
    more_or_less = dict.fromkeys(("sets", "photos", "photos_sha256", "photo_sets"), 0)
    assert {**found, **more_or_less} == {**named, **more_or_less}
    assert poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok().stdout == exported.stdout
    known, of_names = known_photos(found), known_photos(named)
    digests = np.array([list(bytes.fromhex(digest)) for digest in named["photos"].values()], np.uint8)
    assert known and of_names and known.splits(digests).tolist() == of_names.splits(digests).tolist()
    # A repeated split gives equal photos for calibration and evaluation: only the record's checksum may differ.
    assert len((tmp_path / "tf_files/retrained_graph_int8.tflite").read_bytes()) == len(model)
    shutil.rmtree(tmp_path / "tf_files/bottlenecks")


@pytest.mark.parametrize("large", [False, True])
def test_vector_table_returns_the_appended_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    monkeypatch.setattr(vectors, "_ROWS_PER_PART", 64)
    if large:
        monkeypatch.setattr(vectors, "LARGE", 0)
    whole = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    table = VectorTableBuilder(len(whole) + 10, 3, tmp_path)
    for start in range(0, 500, 77):
        table.append(whole[start : start + 77])
    found = table.finish()
    assert isinstance(found, StoredVectors) == large and found.shape == whole.shape
    for chosen in (
        np.arange(500), np.arange(100, 300), np.arange(0, 500, 3), np.arange(0, 500, 50), np.array([7, 7, 3]),
        np.array([], np.int64), np.arange(500) % 2 == 0, slice(10, 20),
    ):  # fmt: skip
        assert (found[chosen] == whole[chosen]).all()
    some = np.array([400, 2, 3, 77])
    assert (take(found, some)[np.array([3, 0])] == whole[some[[3, 0]]]).all()
    assert (apply(lambda part: part.sum(axis=1), found) == whole.sum(axis=1)).all()


def test_vector_table_in_an_unusable_folder_raises_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "LARGE", 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="bottleneck_dir"):
        VectorTableBuilder(10, 3, tmp_path / "file")


def test_row_store_loses_only_the_rows_in_a_damaged_page(tmp_path: Path) -> None:
    keys = [number.to_bytes(32, "big") for number in range(1200)]
    with open_row_store(tmp_path / "rows.sqlite", "bottlenecks") as (table, _):
        for key in keys[::2]:
            table.write(key, key * 30)
        found = table.read_many(keys)
        assert found[::2] == [key * 30 for key in keys[::2]] and set(found[1::2]) == {None}
        assert table.missing(keys) == keys[1::2]
    contents = bytearray((tmp_path / "rows.sqlite").read_bytes())
    start = len(contents) // 2 // 4096 * 4096
    contents[start : start + 4096] = bytes(4096)
    (tmp_path / "rows.sqlite").write_bytes(contents)
    with open_row_store(tmp_path / "rows.sqlite", "bottlenecks") as (table, _):
        found = table.read_many(keys[::2])
        assert all(data in (None, key * 30) for key, data in zip(keys[::2], found, strict=True))
        assert 0 < sum(data is None for data in found) < 100
