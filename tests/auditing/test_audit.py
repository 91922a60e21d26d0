"""End-to-end tests of `audit` on synthetic photos with planted label errors, near-duplicates and outliers."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from poets_edge.auditing.audit import audit
from poets_edge.auditing.options import AuditOptions
from poets_edge.demo.draw import draw_photos
from poets_edge.nets.architectures import architecture
from poets_edge.training import projection, vectors
from tests.conftest import Ran, poets_edge

EMBEDDED = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
NASTY = "<b>roses & \"co\"</b> 'x'"
PLANTED = 12
FLIPPED = 10


@dataclass(frozen=True)
class Audited:
    """Photo folder with planted faults, and the JSON result of `audit`.

    Attributes:
        work: working directory of the commands.
        photos: photo folder.
        flipped: correct class of each photo that was moved to another class.
        copies: original of each near-duplicate.
        result: JSON output of `audit`.
    """

    work: Path
    photos: Path
    flipped: dict[str, str]
    copies: dict[str, str]
    result: dict[str, Any]

    @property
    def page(self) -> str:
        return (self.work / "tf_files/audit.html").read_text()

    def run(self, command: str, *more: str | Path) -> Ran:
        return poets_edge(command, "--image_dir", self.photos, *EMBEDDED, *more, cwd=self.work)


def altered(image: Image.Image, number: int) -> Image.Image:
    """Return a near-duplicate of an image, altered in one of four ways, selected by `number`, and recompressed."""
    width, height = image.size
    ways = (
        lambda: image.resize((width * 2 // 3, height * 2 // 3)),
        lambda: image.crop((width // 20, height // 20, width - width // 20, height - height // 20)),
        lambda: ImageEnhance.Brightness(image).enhance(1.3),
        lambda: ImageOps.mirror(image),
    )
    file = io.BytesIO()
    ways[number % len(ways)]().save(file, "JPEG", quality=60)
    return Image.open(file)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    work = tmp_path_factory.mktemp("audit")
    photos = work / "drawn"
    draw_photos(photos, per_class=30)
    (photos / "roses").rename(photos / NASTY.replace("/", ""))
    rng = random.Random(1)
    labels = sorted(path.name for path in photos.iterdir())
    files = sorted(photos.glob("*/*.jpg"))
    chosen = rng.sample(files, FLIPPED + PLANTED + 5)
    copies = {}
    for number, path in enumerate(chosen[:PLANTED]):
        copy = path.with_name(f"copy{number}.jpg")
        altered(Image.open(path), number).save(copy, quality=60)
        copies[copy.relative_to(photos).as_posix()] = path.relative_to(photos).as_posix()
    flipped = {}
    for path in chosen[PLANTED : PLANTED + FLIPPED]:
        other = rng.choice([label for label in labels if label != path.parent.name])
        moved = path.rename(photos / other / f"flipped-{path.name}")
        flipped[moved.relative_to(photos).as_posix()] = path.parent.name
    Image.new("RGB", (300, 300), (1, 2, 1)).save(photos / "daisy/black.jpg")
    Image.open(chosen[-1]).filter(ImageFilter.GaussianBlur(12)).save(photos / "daisy/blurred.jpg")
    Image.open(chosen[-2]).resize((40, 40)).filter(ImageFilter.SHARPEN).save(photos / "daisy/tiny.jpg")
    Image.open(chosen[-3]).convert("L").save(photos / "daisy/gray.jpg")
    data = chosen[-4].read_bytes()
    (photos / "daisy/cut.jpg").write_bytes(data[: len(data) // 2])
    (photos / "daisy/text.jpg").write_text("no picture")
    ran = poets_edge("audit", "--image_dir", photos, *EMBEDDED, "--json", "--move-suspects", "suspects", cwd=work).ok()
    return Audited(work, photos, flipped, copies, json.loads(ran.stdout))


def test_audit_ranks_wrong_labels_first(audited: Audited) -> None:
    suspects = audited.result["suspects"]
    assert len(suspects) >= audited.result["photos"] / 10
    scores = [one["score"] for one in suspects]
    assert scores == sorted(scores, reverse=True) and 0 <= scores[-1] <= scores[0] <= 1
    found = {one["photo"]: one for one in suspects[: round(audited.result["photos"] / 10)]}
    hit = set(found) & set(audited.flipped)
    assert len(hit) >= 0.7 * FLIPPED
    assert sum(found[name]["likely"] == audited.flipped[name] for name in hit) >= 0.6 * len(hit)
    assert all(one["label"] == one["photo"].partition("/")[0] != one["likely"] for one in suspects)


def test_audit_finds_near_duplicates(audited: Audited) -> None:
    pairs = {frozenset(pair) for pair in audited.result["near_duplicates"]}
    planted = {frozenset(pair) for pair in audited.copies.items()}
    assert len(pairs & planted) >= 0.9 * PLANTED
    assert len(pairs - planted) <= 4  # planted outliers are copies of other photos too


def test_audit_lists_planted_outliers_by_reason(audited: Audited) -> None:
    odd = {one["reason"]: one["photos"] for one in audited.result["oddities"]}
    for reason in ("black", "blurred", "tiny", "gray"):
        assert odd[reason] == [f"daisy/{reason}.jpg"]
    assert odd["truncated"] == ["daisy/cut.jpg"]
    assert odd["unreadable"] == ["daisy/text.jpg"]


def test_audit_metrics_are_consistent_with_each_other(audited: Audited) -> None:
    result = audited.result
    curve = result["curve"]
    learned = curve["points"][-1]["photos"]
    assert 0.75 * result["photos"] < learned < 0.85 * result["photos"], "heads of five folds learn from four fifths"
    assert curve["points"][-1]["accuracy"] == pytest.approx(result["accuracy"])
    doubled = next(one for one in curve["predictions"] if one["photos"] == 2 * result["photos"])
    low, high = doubled["interval90"]
    assert low <= doubled["accuracy"] <= high <= 1
    assert {one["class"] for one in curve["next_hundred"]} == set(result["classes"])
    error = result["calibration"]["expected_calibration_error"]
    assert 0 <= error["after"] < 0.15
    table = result["threshold"]["table"]
    assert [row["answered"] for row in table] == sorted((row["answered"] for row in table), reverse=True)
    assert {row["threshold"] for row in table} >= {0.0, 0.9}
    assert sum(row["photos"] for row in result["classes"].values()) == result["photos"]


def test_audit_report_has_no_external_resources_and_escapes_names(audited: Audited) -> None:
    page = audited.page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "&lt;b&gt;roses &amp;" in page
    assert NASTY.replace("/", "") not in page
    assert page.count("data:image/jpeg") > 30
    assert page.count('value="out"') >= len(audited.flipped)
    assert len(page) < 6_000_000


def test_train_excludes_photos_that_are_listed_in_an_exclusion_file(audited: Audited) -> None:
    listed = audited.work / "suspects/exclude.json"
    names = json.loads(listed.read_text())["leave_out"]
    assert len(set(names) & set(audited.flipped)) >= 0.3 * FLIPPED
    steps = ("--how_many_training_steps", "50", "--folds", "0", "-q")
    audited.run("train", "--exclude", listed, *steps).ok()
    record = json.loads((audited.work / "tf_files/retrained_graph.json").read_text())
    trained = {name for members in record["sets"].values() for name in members}
    assert not trained & set(names) and len(trained) == audited.result["photos"] - len(names)
    moved = next(iter(audited.flipped))
    by_page = {
        "format": "poets_edge-exclude-1",
        "leave_out": [],
        "belongs_to": {moved: "tulips", "no/such.jpg": "tulips"},
    }
    (audited.work / "page.json").write_text(json.dumps(by_page))
    before = record["classes"]["tulips"]
    ran = audited.run("train", "--exclude", audited.work / "page.json", *steps, "--json").ok()
    assert "1 of its photos" in ran.stderr and "no/such.jpg" in ran.stderr
    assert sum(json.loads(ran.stdout)["classes"]["tulips"].values()) > sum(before.values())
    (audited.work / "plain.txt").write_text(f"# by hand\n{moved}\n")
    ran = audited.run("train", "--exclude", audited.work / "plain.txt", *steps, "--json").ok()
    counts = json.loads(ran.stdout)["classes"].values()
    assert sum(map(sum, (row.values() for row in counts))) == audited.result["photos"] - 1
    for content in ('{"leave_out": 3}', '{"belongs_to": {"a": 1}}', "{", "[" * 3 + "\0"):
        (audited.work / "bad.json").write_bytes(content.encode() if content[0] == "{" else b"\xff\xfe\xff")
        audited.run("train", "--exclude", audited.work / "bad.json").failed("bad.json", "not a list of photos")
    audited.run("train", "--exclude", audited.work / "none.json").failed("none.json", "No such file")


def test_audit_warns_if_every_class_has_only_one_photo(audited: Audited, tmp_path: Path) -> None:
    names = sorted(audited.photos.glob("tulips/*.jpg"))[:2] + sorted(audited.photos.glob("sunflowers/*.jpg"))[:1]
    for number, (label, path) in enumerate(zip(("a", "b"), names[::2], strict=True)):
        (tmp_path / "two" / label).mkdir(parents=True)
        shutil.copy(path, tmp_path / "two" / label / f"{number}.jpg")
    work = ("--bottleneck_dir", audited.work / "tf_files/bottlenecks", "--report", tmp_path / "page.html")
    ran = poets_edge("audit", "--image_dir", tmp_path / "two", *EMBEDDED, *work, "--json").ok()
    result = json.loads(ran.stdout)
    assert result["suspects"] == [] and "Add photos" in result["remarks"][0]
    assert (tmp_path / "page.html").is_file()
    for label in ("a", "b"):  # all added photos are identical
        for number in range(20):
            shutil.copy(names[0], tmp_path / "two" / label / f"same{number}.jpg")
    ran = poets_edge("audit", "--image_dir", tmp_path / "two", *EMBEDDED, *work, "--json").ok()
    same = json.loads(ran.stdout)["near_duplicates"]
    assert 40 <= len(same) <= 60
    poets_edge("audit", "--image_dir", tmp_path / "none").failed("none", "no such folder")
    poets_edge("audit", "--image_dir", tmp_path / "two", "--report", tmp_path / "two/x.html").failed("report")
    poets_edge("audit", "--image_dir", tmp_path / "two", "--folds", "1").failed("folds must be 2 or more")


def test_audit_uses_fewer_folds_if_a_class_is_small(audited: Audited, tmp_path: Path) -> None:
    for label, count in (("daisy", 30), ("tulips", 3)):
        (tmp_path / "uneven" / label).mkdir(parents=True)
        for path in sorted((audited.photos / label).glob("[dt]*.jpg"))[:count]:
            shutil.copy(path, tmp_path / "uneven" / label)
    work = ("--bottleneck_dir", audited.work / "tf_files/bottlenecks", "--report", tmp_path / "page.html")
    ran = poets_edge("audit", tmp_path / "uneven", *EMBEDDED, *work, "--output", tmp_path / "a.json").ok()
    assert "3 folds instead of 5" in ran.stderr
    assert "twice as many photos" in ran.stdout
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["curve"]["next_hundred"][0]["class"] == "tulips"


def test_audit_of_vectors_stored_in_a_file_equals_the_audit_in_memory(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = AuditOptions(
        image_dir=audited.photos,
        architecture=architecture("mobilenet_0.25_128"),
        weights="embedded",
        bottleneck_dir=audited.work / "tf_files/bottlenecks",
        orientation=True,
    )
    in_memory = audit(options).to_json()
    monkeypatch.setattr(vectors, "LARGE", 0)
    monkeypatch.setattr(projection, "_BLOCK", 64)
    monkeypatch.setattr(projection, "_TILE", 24)
    in_file = audit(options)
    assert isinstance(in_file.photos.vectors, vectors.StoredVectors)
    assert in_file.to_json() == in_memory
    assert in_memory["near_duplicates"]
