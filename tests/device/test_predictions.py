"""Tests of predictions for photos, and of the photos that `evaluate` chooses, with a scorer that recognizes colors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.compare_models import compare_results
from poets_edge.device.evaluate import evaluate
from poets_edge.device.metrics import independent_count
from poets_edge.device.predictions import Predictions, score_models, score_photos
from poets_edge.device.scorer import ModelOutput
from poets_edge.errors import DatasetError
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.image import PhotoSource
from poets_edge.photos.known_photos import KnownPhotos
from poets_edge.photos.minhash import current_signature
from poets_edge.photos.normalization import RAW, UNIT
from poets_edge.photos.split import SplitConfig, split
from poets_edge.tflite.input_range import InputRange
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.recorder import Recorder
from tests.tiny_model import COLORS as COLOR_NAMES
from tests.tiny_model import color_model

LABELS = ("tulips", "daisy", "roses")
COLORS = {"tulips": (255, 0, 0), "daisy": (0, 255, 0), "roses": (0, 0, 255)}


@dataclass(frozen=True)
class ColorScorer:
    """A scorer whose scores are the red, green and blue of a photo's first pixel."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = LABELS
    size: tuple[int, int] = (4, 4)
    nodes: Mapping[str, str] = field(default_factory=dict)
    input_range: InputRange = InputRange(RAW, "for tests")
    remarks: tuple[str, ...] = ()
    has_detector: bool = False

    def predict(self, photo: PhotoSource) -> ModelOutput:
        assert isinstance(photo, Image.Image)
        return ModelOutput(np.array(photo.getpixel((0, 0)), np.float32) / np.float32(255))

    def clone(self) -> ColorScorer:
        return self


def photo_folder(folder: Path, counts: Mapping[str, int]) -> Path:
    """Write photos in the color of their class; every fourth photo has the color of roses."""
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            color = COLORS["roses"] if number % 4 == 3 else COLORS[label]
            # Sizes in bytes differ, so that two folders have photos in common only if they are copies.
            Image.new("RGB", (4 + number, 4), color).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos", {"daisy": 20, "roses": 12, "tulips": 16})


def names_of(result: Any) -> list[str]:
    return [photo.name for photo in result.predictions.photos]


@pytest.mark.parametrize("percentages", [{"testing": 40, "validation": 5}, {"testing": 5, "validation": 40}, None])
def test_evaluate_uses_the_split_percentages_from_training(folder: Path, percentages: Any) -> None:
    photos = scan(folder).photos
    facts: dict[str, Any] = {"training": {"photos_sketch": current_signature(photos)}}
    if percentages:
        facts["percentages"] = percentages
    result = evaluate(ColorScorer(facts), folder)
    splits = split(photos, SplitConfig(**(percentages or {})))
    expected = [photo.name for photo in photos if splits[photo.name] == "test"]
    assert result.split == "test" and names_of(result) == expected
    assert result.excluded == len(photos) - len(expected)
    part = result.take(np.array([2, 0]))
    assert names_of(part) == [expected[2], expected[0]] and part.excluded == len(photos) - 2
    other = evaluate(ColorScorer(facts), folder, split="validation")
    assert names_of(other) == [photo.name for photo in photos if splits[photo.name] == "validation"]


def test_evaluate_prefers_percentage_arguments_to_percentages_from_training(folder: Path) -> None:
    facts = {"percentages": {"testing": 40, "validation": 5}}
    percentages = SplitConfig(testing=15, validation=30)
    result = evaluate(ColorScorer(facts), folder, percentages=percentages)
    splits = split(scan(folder).photos, percentages)
    assert result.split == "test"
    assert sorted(names_of(result)) == sorted(name for name, of in splits.items() if of == "test")


def test_evaluate_uses_the_test_split_for_models_from_version_0_1(folder: Path) -> None:
    """Models of version 0.1 contain the number of photos in each class, but no signature of the photos."""
    facts = {"training": {"classes": {"daisy": {"training": 16}}}}
    result = evaluate(ColorScorer(facts), folder)
    assert result.split == "test" and 0 < result.evaluation.count < 48
    assert evaluate(ColorScorer({"classes": {"daisy": {"training": 16}}}), folder).split == "test", "a record"


def test_evaluate_uses_all_photos_if_it_recognizes_no_training_photo(folder: Path, tmp_path: Path) -> None:
    for facts in ({}, {"training": {"photos_sketch": [1, 2, 3], "classes": {"daisy": {"training": 16}}}}):
        result = evaluate(ColorScorer(facts), folder)
        assert result.split == "all" and result.excluded == 0 and result.evaluation.count == 48


def test_evaluate_applies_the_exclusions_of_the_training_run_to_unseen_photos(folder: Path) -> None:
    def digest(photo: Photo) -> str:
        return hashlib.sha256(photo.file.read_bytes()).hexdigest()

    photos = list(scan(folder).photos)
    learned = [photo for photo in photos if photo.label != "tulips"]
    known = {digest(photo) for photo in learned}
    *new, relabeled, left_out = [photo for photo in photos if digest(photo) not in known]
    assert len(new) == 10
    training: dict[str, Any] = {
        "photos": {photo.name: digest(photo) for photo in learned},
        "sets": {"training": [photo.name for photo in learned], "validation": [], "test": []},
        "exclude": {"leave_out": [left_out.name], "belongs_to": {relabeled.name: "daisy"}},
    }
    reporter = Recorder()
    result = evaluate(ColorScorer({"training": training}), folder, reporter=reporter)
    assert names_of(result) == [photo.name for photo in (*new, relabeled)] and result.split == "unseen"
    assert [photo.label for photo in result.predictions.photos] == [*["tulips"] * len(new), "daisy"]
    assert "as at training, 1 photo excluded and 1 counted as another class" in reporter.notes
    training["photos"] = {name: hashlib.sha256(name.encode()).hexdigest() for name in training["photos"]}
    elsewhere = evaluate(ColorScorer({"training": training}), folder)
    assert len(names_of(elsewhere)) == 48, "none of the photos is from the training run"


def test_evaluate_excludes_photos_that_the_stored_sample_of_digests_does_not_cover(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model stores only digests that begin with some zero bits. Whether others are new is unknown."""
    monkeypatch.setattr("poets_edge.photos.known_photos._MOST_IN_MODEL", 10)
    photos = list(scan(folder).photos)
    digests = {photo.name: hashlib.sha256(photo.file.read_bytes()).digest() for photo in photos}
    learned = np.array([list(digests[photo.name]) for photo in photos[::2]], np.uint8)
    known = KnownPhotos.of(learned, np.zeros(len(learned), np.int8)).for_model()
    sampled = {name for name, digest in digests.items() if digest[0] >> (8 - known.sample_bits) == 0}
    result = evaluate(ColorScorer({"training": {"photo_sets": known.to_json()}}), folder)
    expected = [photo.name for photo in photos[1::2] if photo.name in sampled]
    assert known.sample_bits and names_of(result) == expected and len(expected) < 24


def test_evaluate_checks_only_unrecognized_photos_for_copies_of_training_photos(folder: Path) -> None:
    """Every fourth photo has the color of roses; the model recognizes all others, and classifies them correctly."""
    learned = [photo for photo in scan(folder).photos if int(Path(photo.name).stem) % 4 != 3]
    training = {
        "photos": {photo.name: hashlib.sha256(photo.file.read_bytes()).hexdigest() for photo in learned},
        "sets": {"training": [photo.name for photo in learned], "validation": [], "test": []},
    }
    facts = {"training": training, "test": {"accuracy": 0.3, "photos": 20, "interval95": [0.2, 0.4]}}
    reporter = Recorder()
    result = evaluate(ColorScorer(facts), folder, split="all", reporter=reporter)
    assert result.evaluation.correct == 39 and not any("copies" in text for text in reporter.warnings)
    facts["test"] = {"accuracy": 0.01, "photos": 20, "interval95": [0.0, 0.02]}
    evaluate(ColorScorer(facts), folder, split="all", reporter=reporter)
    assert next(text for text in reporter.warnings if "copies" in text).startswith("25.0 % of 12 photos")


def test_evaluate_orders_the_confusion_matrix_by_the_models_labels(folder: Path) -> None:
    """A quarter of the daisies and tulips look like roses; the labels are not in alphabetical order."""
    result = evaluate(ColorScorer(), folder)
    assert result.evaluation.labels == LABELS
    assert result.evaluation.confusion.tolist() == [[12, 0, 4], [0, 15, 5], [0, 0, 12]]
    assert result.accuracy == 39 / 48
    assert result.rows() == [
        {"class": "tulips", "photos": 16, "recall": 0.75},
        {"class": "daisy", "photos": 20, "recall": 0.75},
        {"class": "roses", "photos": 12, "recall": 1.0},
    ]
    listed = result.to_json()
    assert listed["labels"] == list(LABELS) and listed["left_out"] == 0 and listed["set"] == "all"
    mistakes = listed["misclassified"]
    assert {entry["photo"] for entry in mistakes} == {
        f"{label}/{number}.png" for label, count in (("daisy", 20), ("tulips", 16)) for number in range(3, count, 4)
    }
    assert {entry["answer"] for entry in mistakes} == {"roses"}


def test_evaluate_excludes_unreadable_photos(folder: Path) -> None:
    (folder / "roses/broken.png").write_bytes(b"no picture")
    result = evaluate(ColorScorer(), folder)
    assert result.evaluation.count == 48 and len(result.to_json()["unreadable"]) == 1
    assert "broken.png" in result.predictions.unreadable[0]


def test_evaluate_rejects_classes_that_the_model_lacks(folder: Path) -> None:
    (folder / "violets").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "violets/1.png")
    with pytest.raises(DatasetError, match=r"violets: not among the model's labels \(tulips, daisy, roses\)"):
        evaluate(ColorScorer(), folder)


def test_evaluate_rejects_labels_shared_by_several_outputs(folder: Path) -> None:
    with pytest.raises(DatasetError, match="class roses: the label of several outputs"):
        evaluate(ColorScorer(labels=("daisy", "roses", "roses", "tulips")), folder)


def test_evaluate_rejects_a_split_without_photos(folder: Path) -> None:
    facts = {"percentages": {"testing": 0, "validation": 0}}
    with pytest.raises(DatasetError, match="no photo is in the test set"):
        evaluate(ColorScorer(facts), folder, split="test")


def test_compared_results_are_matched_by_photo_name(folder: Path) -> None:
    """The second model confuses red and green, so that it is better than the first model on no photo."""

    class Swapped(ColorScorer):
        def predict(self, photo: PhotoSource) -> ModelOutput:
            return ModelOutput(super().predict(photo).scores[[1, 0, 2]])

        def clone(self) -> Swapped:
            return self

    good, bad = evaluate(ColorScorer(), folder), evaluate(Swapped(), folder)
    paired = compare_results(bad, good)
    assert (paired.photos, paired.worse, paired.better) == (48, 27, 0)
    assert paired.gain == pytest.approx(-100 * 27 / 48)
    assert compare_results(good, bad).better == 27
    part = evaluate(ColorScorer({"percentages": {"testing": 30, "validation": 10}}), folder, split="test")
    assert compare_results(part, good).photos == part.evaluation.count < 48


def predictions(names: str, answers: list[int]) -> Predictions:
    photos = tuple(Photo(Path(name), name, "daisy") for name in names)
    return Predictions(photos, np.eye(3, dtype=np.float32)[answers], ())


def test_agreement_of_two_models_is_computed_from_the_photos_that_both_have_scored() -> None:
    reference = predictions("abcd", [0, 1, 2, 0])
    assert predictions("dcba", [0, 2, 1, 1]).agreement(reference) == 0.75
    assert predictions("axy", [0, 0, 0]).agreement(reference) == 1
    assert predictions("xy", [0, 0]).agreement(reference) is None


@pytest.mark.parametrize(("folder_name", "label"), [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")])
def test_labels_match_folders_whose_accents_are_encoded_differently(folder_name: str, label: str) -> None:
    photos = tuple(Photo(Path(name), name, folder_name) for name in "ab")
    found = Predictions(photos, np.eye(2, dtype=np.float32)[[0, 1]], ())
    assert found.evaluation(("daisy", label)).accuracy == 0.5


def test_evaluation_of_grouped_photos_has_an_effective_sample_size() -> None:
    found = replace(predictions("abcdefgh", [1, 1, 1, 1, 0, 0, 2, 1]), groups=np.arange(4).repeat(2))
    correct = np.array([1, 1, 1, 1, 0, 0, 0, 1])
    assert found.evaluation(LABELS).independent == independent_count(correct, np.arange(4).repeat(2)) < 8
    assert predictions("ab", [1, 1]).evaluation(LABELS).independent is None
    assert found.take(np.arange(0)).evaluation(LABELS).independent is None


def test_misclassified_photos_are_listed_in_descending_order_of_confidence() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9], [0.4, 0.6, 0.0], [0.7, 0.2, 0.1]], np.float32)
    photos = tuple(Photo(Path(name), name, "tulips") for name in "abcd")
    found = Predictions(photos, scores, ()).misclassified(LABELS)
    assert [(mistake.photo.name, mistake.answer) for mistake in found] == [
        ("b", "roses"),
        ("c", "daisy"),
        ("a", "daisy"),
    ]
    assert [mistake.score for mistake in found] == pytest.approx([0.9, 0.6, 0.5])


def test_scores_are_returned_in_the_order_of_the_photos(folder: Path) -> None:
    photos = [*scan(folder).photos]
    (folder / photos[1].name).write_bytes(b"")
    seen: list[int] = []
    found = score_photos(photos, ColorScorer, workers=3, advance=seen.append)
    assert [photo.name for photo in found.photos] == [photo.name for photo in photos if photo != photos[1]]
    assert sum(seen) == len(photos) and len(found.unreadable) == 1
    for photo, scores in zip(found.photos, found.scores, strict=True):
        with Image.open(photo.file) as image:
            assert scores.tolist() == [value / 255 for value in image.getpixel((0, 0))]
    empty = score_photos(photos[1:2], ColorScorer)
    assert empty.scores.shape == (0, 3) and empty.photos == ()


@dataclass(frozen=True)
class WidthDetector(ColorScorer):
    """Scorer that considers photos unknown if they are wider than 20 pixels."""

    has_detector: bool = True

    def predict(self, photo: PhotoSource) -> ModelOutput:
        assert isinstance(photo, Image.Image)
        return ModelOutput(super().predict(photo).scores, photo.width / 20)

    def clone(self) -> WidthDetector:
        return self


def test_evaluate_counts_rejected_photos_of_the_classes_and_of_the_strangers_folder(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "strangers/deep").mkdir(parents=True)
    for name, width in (("a.png", 30), ("deep/b.png", 21), ("c.png", 20)):
        Image.new("RGB", (width, 4)).save(tmp_path / "strangers" / name)
    found = evaluate(WidthDetector(), folder, strangers=tmp_path / "strangers").unknown
    # Photo number n is 4 + n pixels wide, so numbers 17 to 19 of the 20 daisies are refused, and none of the others.
    assert found is not None and (found.known.refused, found.known.photos) == (3, 48)
    assert found.answered.count == 45
    # Of 48 photos every fourth is as red as roses; those of roses are right.
    assert found.answered.correct == 12 + sum(n % 4 != 3 for n in range(17)) + sum(n % 4 != 3 for n in range(16))
    assert found.strangers is not None and (found.strangers.refused, found.strangers.share) == (2, 2 / 3)
    assert found.lines()[1].startswith("strangers: 2 of 3 photos (66.7 %")
    facts = evaluate(WidthDetector(), folder).to_json()["unknown"]
    assert facts["refused"] == 3 and facts["strangers"] is None and facts["answered"]["photos"] == 45


def test_evaluate_with_strangers_warns_if_the_model_was_trained_on_background_photos(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "strangers").mkdir()
    Image.new("RGB", (30, 4)).save(tmp_path / "strangers/a.png")
    for count in (0, 1):
        detector, reporter = WidthDetector(facts={"unknown": {"background_photos": 30 * count}}), Recorder()
        evaluate(detector, folder, strangers=tmp_path / "strangers", reporter=reporter)
        assert (
            len([line for line in reporter.warnings if "has learned from 30 photos of a background" in line]) == count
        )


def test_evaluate_with_unknown_photos_requires_a_nonempty_folder_and_a_detector(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert evaluate(ColorScorer(), folder).unknown is None
    with pytest.raises(DatasetError, match="has no detector"):
        evaluate(ColorScorer(), folder, strangers=folder)
    with pytest.raises(DatasetError, match="no photo of strangers"):
        evaluate(WidthDetector(), folder, strangers=tmp_path / "empty")
    with pytest.raises(DatasetError, match="no such folder"):
        evaluate(WidthDetector(), folder, strangers=tmp_path / "nowhere")


def test_each_readable_photo_is_scored_with_each_model(folder: Path) -> None:
    photos = [*scan(folder).photos]
    (folder / photos[1].name).write_bytes(b"")
    models = {
        name: ModelFile(Path(name), color_model(normalization=normalization))
        for name, normalization in (("unit", UNIT), ("raw", RAW))
    }
    seen: list[int] = []
    found = score_models(photos, models, advance=seen.append)
    assert list(found) == ["unit", "raw"] and sum(seen) == len(photos)
    for photo, unit, raw in zip(found["unit"].photos, found["unit"].scores, found["raw"].scores, strict=True):
        with Image.open(photo.file) as image:
            color = image.getpixel((0, 0))
        exponents = np.exp(np.array(color) / 255)  # the model has no softmax
        assert unit == pytest.approx(exponents / exponents.sum()) and raw.tolist() == [value / 255 for value in color]
    assert len(found["raw"].photos) == len(photos) - 1 and found["raw"].unreadable == found["unit"].unreadable
    assert [Path(message.split(":")[0]).name for message in found["raw"].unreadable] == [Path(photos[1].name).name]
    assert score_models(photos[1:2], models)["raw"].scores.shape == (0, 3)


def test_photos_are_resized_as_each_model_requires(tmp_path: Path) -> None:
    """Without antialiasing, a model of 8 x 8 pixels does not see the single red row of a picture of 64 rows."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[30, :, 0] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    info = ModelInfo("colors", "for tests", COLOR_NAMES)
    models = {
        name: ModelFile(
            Path("m"), with_files(with_metadata(color_model(), info, UNIT, antialias=antialias), info, None)
        )
        for name, antialias in (("smooth", True), ("coarse", False))
    }
    photos = [Photo(tmp_path / "a.png", "a.png", "red")]
    found = score_models(photos, models)
    red = np.exp(1 / 64)
    assert found["smooth"].scores[0, 0] == pytest.approx(red / (red + 2), abs=0.001)
    assert found["coarse"].scores[0].tolist() == pytest.approx([1 / 3] * 3)


def outputs(*distances: float | None) -> Predictions:
    """Return predictions for one photo for each of `distances`, its distance from the training photos."""
    photos = [Photo(Path(f"{number}.jpg"), f"daisy/{number}.jpg", "daisy") for number in range(len(distances))]
    scores = np.eye(3, dtype=np.float32)
    return Predictions.of(photos, [ModelOutput(scores[1], distance) for distance in distances], 3, ())


def test_selected_rows_of_predictions_are_returned_in_the_given_order() -> None:
    found = outputs(0.25, 0.5, 2.0).take(np.array([2, 0]))
    assert [photo.name for photo in found.photos] == ["daisy/2.jpg", "daisy/0.jpg"]
    assert found.distances is not None and found.distances.tolist() == [2.0, 0.25]
    one = outputs(0.5).distances
    assert one is not None and one.tolist() == [0.5]
    assert len(found.scores) == 2


@pytest.mark.parametrize("distances", [(), (None, None), (0.5, None)])
def test_predictions_have_no_distances_if_any_output_lacks_a_distance(distances: tuple[float | None, ...]) -> None:
    assert outputs(*distances).distances is None
