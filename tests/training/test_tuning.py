"""Tests of fine-tuning: optimizer and moving average, choice of the epoch, views, activations and checkpoints."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import Layer
from poets_edge.nets.weights import EMBEDDED, find_weights
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import fit
from poets_edge.progress import Silent
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.bottlenecks import PLAIN, Extractor, HashedPhoto
from poets_edge.training.distort import Distortions, distort
from poets_edge.training.fine_tuning import tuning
from poets_edge.training.fine_tuning import views as views_module
from poets_edge.training.fine_tuning.activations import View, open_activations
from poets_edge.training.fine_tuning.encoding import RELU6_STEP
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.schedule import Schedule
from poets_edge.training.fine_tuning.tail import Tail, backbone_network, read_tail, up_to
from poets_edge.training.fine_tuning.trainer import Epoch, Trainer, with_weights
from poets_edge.training.fine_tuning.tuning import ValidationSet
from poets_edge.training.fine_tuning.views import Views
from poets_edge.training.hashed_photos import hash_photos
from poets_edge.training.head import Head, Matrix
from tests.yardstick import tensorflow

ENTRY = architecture("mobilenet_0.25_128")
NO_LAYERS = Tail(blocks=1, cut=Layer("cut", "convolution", ("input",), activation="relu6"), layers=(), parameters={})
SIZE = (64, 96)


def ramp(width: int = 200, height: int = 100) -> Image.Image:
    """Return a picture that brightens from left to right in red, and from top to bottom in green."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


def hashed(number: int) -> HashedPhoto:
    return HashedPhoto(Photo(Path(f"{number}.jpg"), f"{number}.jpg", "x"), bytes([number] * 32))


def test_default_views_are_crops_of_the_photo_and_half_of_them_are_mirrored() -> None:
    views = Views(Distortions(), 200)
    assert len(set(views.names)) == 200
    mirrored, areas, aspects = 0, [], []
    for name in views.names:
        pixels = views.render(ramp(), SIZE, name, b"digest").astype(np.float64)
        across = pixels[:, -1, 0].mean() - pixels[:, 0, 0].mean()
        down = pixels[-1, :, 1].mean() - pixels[0, :, 1].mean()
        mirrored += across < 0
        assert down > 0, "not upside down"
        wide, high = abs(across) / 255, down / 255  # fractions of the photo, but for half a pixel at each end
        areas.append(wide * high)
        aspects.append(wide / high)
    assert 70 <= mirrored <= 130
    assert 0.31 < min(areas) < 0.45 and 0.85 < max(areas) <= 1.01
    assert 0.72 < min(aspects) < 0.85 and 1.18 < max(aspects) < 1.38
    whole = views.render(ramp(), SIZE, PLAIN, b"")
    assert (whole == fit(ramp(), SIZE)).all()
    assert [name for name in views.whole if name != PLAIN]
    assert (views.render(ramp(), SIZE, views.whole[1], b"") == whole[:, ::-1]).all()


def test_whole_photo_is_used_if_no_random_crop_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "_MIN_AREA", 1.0)  # so every window of another aspect is too wide or too high
    whole = fit(ramp(), SIZE)
    views = Views(Distortions(), 12)
    drawn = [views.render(ramp(), SIZE, name, b"digest") for name in views.names]
    assert {np.array_equal(one, whole) for one in drawn} == {True, False}
    assert all(np.array_equal(one, whole) or np.array_equal(one, whole[:, ::-1]) for one in drawn)


def test_distorted_views_apply_the_distortion_flags() -> None:
    unmirrored = Views(Distortions(random_brightness=20), 3)
    assert unmirrored.whole == (PLAIN,) and len(unmirrored.names) == 3
    assert len(Views(Distortions(flip_left_right=True), 3).whole) == 2
    name = unmirrored.names[0]
    expected = distort(ramp(), SIZE, Distortions(random_brightness=20), name, b"1")
    assert (unmirrored.render(ramp(), SIZE, name, b"1") == expected).all()


def test_distorted_view_depends_on_the_contents_of_the_photo_and_the_view_number() -> None:
    views = Views(Distortions(), 2)
    first = views.render(ramp(), SIZE, views.names[0], b"1")
    assert (first == views.render(ramp(), SIZE, views.names[0], b"1")).all()
    assert (first != views.render(ramp(), SIZE, views.names[1], b"1")).any()
    assert (first != views.render(ramp(), SIZE, views.names[0], b"2")).any()


@pytest.mark.parametrize(
    ("settings", "smallest", "largest"),
    [
        (Distortions(random_crop=25), 1 / 1.25, 1 / 1.25),
        (Distortions(random_scale=50), 1 / 1.5, 1.0),
        (Distortions(random_crop=25, random_scale=60), 1 / 1.25 / 1.6, 1 / 1.25),
    ],
)
def test_distortion_crops_parts_of_the_configured_size(settings: Distortions, smallest: float, largest: float) -> None:
    spans = []
    for name in dataclasses.replace(settings, variants=60).names():
        pixels = distort(ramp(), SIZE, settings, name, b"digest").astype(np.float64)
        spans.append((pixels[:, -1, 0].mean() - pixels[:, 0, 0].mean()) / 255)
    assert min(spans) == pytest.approx(smallest, abs=0.03) and max(spans) == pytest.approx(largest, abs=0.03)


def test_distortion_scales_brightness_and_mirrors_half_of_the_photos() -> None:
    gray = Image.new("RGB", (100, 100), (100, 100, 100))
    settings = Distortions(random_brightness=30)
    means = [float(distort(gray, SIZE, settings, f"{n}", b"").mean()) for n in range(100)]
    assert 70 <= min(means) < 75 and 125 < max(means) <= 130
    flipped = [distort(ramp(), SIZE, Distortions(flip_left_right=True), f"{n}", b"")[0, 0, 0] > 128 for n in range(100)]
    assert 30 <= sum(flipped) <= 70
    assert not any(distort(ramp(), SIZE, Distortions(random_crop=1), f"{n}", b"")[0, 0, 0] > 128 for n in range(20))


def epochs(*accuracies: float | None) -> list[Epoch]:
    return [Epoch(number, 0.5, 1.0, accuracy, accuracy) for number, accuracy in enumerate(accuracies, 1)]


@pytest.mark.parametrize(
    ("accuracies", "is_best"),
    [
        ((0.90, 0.87), True),  # one standard error of 0.9 on 100 photos is 0.03
        ((0.90, 0.86), False),
        ((0.87, 0.90), True),
        ((0.86, 0.90, 0.87), True),
        ((0.90, 0.86, 0.865), False),  # compared with the best epoch, not with the one before
        ((None, None), True),
        ((1.0, 0.99), False),  # the standard error of 1 is 0
    ],
)
def test_last_epoch_within_one_standard_error_of_the_best_is_used(
    accuracies: tuple[float | None, ...], is_best: bool
) -> None:
    assert tuning._is_best(epochs(*accuracies), 100) == is_best


def test_checkpoint_name_depends_on_every_training_input() -> None:
    tail = NO_LAYERS
    head = Head(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    schedule = Schedule(
        photos=[hashed(0), hashed(1), hashed(2)], classes=np.array([0, 1, 0]), views=("a", "b"), whole=("w",),
        whole_from=3, batch_size=2, seed=1,
    )  # fmt: skip
    validation = ValidationSet([hashed(3), hashed(4)], np.array([0, 1]))
    options = FineTuning(blocks=1)

    def key(**changes: Any) -> str:
        inputs: dict[str, Any] = {"start": (tail, head), "schedule": schedule, "validation": validation}
        return tuning._key(**{**inputs, "options": options, **changes})

    def other(**changes: Any) -> str:
        return key(schedule=dataclasses.replace(schedule, **changes))

    moved = Head(head.weights, np.ones(2, np.float32))
    keys = [
        key(), other(classes=np.array([0, 1, 1])), other(views=("a", "c")), other(whole=("v",)), other(whole_from=2),
        other(seed=2), other(photos=[hashed(0), hashed(1), hashed(5)]),
        key(validation=ValidationSet(validation.photos, np.array([1, 1]))),
        key(validation=ValidationSet([hashed(3), hashed(6)], validation.classes)),
        key(options=FineTuning(blocks=1, weight_decay=0.02)), key(start=(tail, moved)),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys) and key() == keys[0]


def test_default_fine_tuning_options_depend_on_the_architecture() -> None:
    assert FineTuning(blocks=1).resolved(ENTRY).learning_rate == pytest.approx(1e-3)
    assert FineTuning(blocks=1).resolved(architecture("mobilenet_1.0_224")).learning_rate == pytest.approx(2.5e-4)
    assert FineTuning(blocks=1, learning_rate=0.5).resolved(ENTRY).learning_rate == 0.5
    assert [FineTuning().resolved(architecture(name)).epochs for name in (ENTRY.name, "efficientnet_lite0_160")] == [
        60,
        30,
    ]
    assert FineTuning(epochs=7).resolved(ENTRY).epochs == 7
    assert [FineTuning(epochs=count).whole_epochs for count in (3, 4, 16, 60, 80)] == [0, 0, 2, 8, 10]


def trained_by_hand(
    head: Head, features: Matrix, classes: np.ndarray[Any, Any], options: FineTuning, steps_per_epoch: int, steps: int
) -> tuple[list[Matrix], list[Matrix], list[float]]:
    """Train a head alone with AdamW as published; return its weights, averaged weights and losses."""
    weights = [head.weights.astype(np.float64), head.biases.astype(np.float64)]
    average, first, second = ([array.copy() * keep for array in weights] for keep in (1, 0, 0))
    assert options.epochs is not None
    total, count, losses = options.epochs * steps_per_epoch, len(head.biases), []
    for step in range(steps):
        logits = features @ weights[0] + weights[1]
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = np.eye(count)[classes] * (1 - options.label_smoothing) + options.label_smoothing / count
        losses.append(float(-(truth * np.log(scores)).sum(axis=1).mean()))
        errors = (scores - truth) / len(classes)
        assert options.learning_rate is not None
        rate = options.learning_rate * min(1, (step + 1) / steps_per_epoch) * (1 + math.cos(math.pi * step / total)) / 2
        decay = min(options.averaging, (step + 2) / (step + 11))
        for index, gradient in enumerate((features.T @ errors, errors.sum(axis=0))):
            first[index] = 0.9 * first[index] + 0.1 * gradient
            second[index] = 0.999 * second[index] + 0.001 * gradient**2
            change = first[index] / (1 - 0.9 ** (step + 1))
            change = change / (np.sqrt(second[index] / (1 - 0.999 ** (step + 1))) + 1e-7)
            decayed = options.weight_decay * weights[index] if index == 0 else 0
            weights[index] = weights[index] - rate * (change + decayed)
            average[index] = decay * average[index] + (1 - decay) * weights[index]
    return weights, average, losses  # type: ignore[return-value]


@pytest.mark.tensorflow
@pytest.mark.parametrize("eagerly", [False, True])
def test_trainer_agrees_with_published_adamw_and_averages_weights(
    eagerly: bool, request: pytest.FixtureRequest
) -> None:
    """TensorFlow reads compiled functions from their files, so faults planted in memory have an effect only eagerly."""
    request.addfinalizer(lambda: tensorflow().config.run_functions_eagerly(False))
    tensorflow().config.run_functions_eagerly(eagerly)
    rng = np.random.default_rng(0)
    activations = rng.uniform(0, 6, (6, 3, 2, 5)).astype(np.float32)
    features, classes = activations.astype(np.float64).mean(axis=(1, 2)), np.array([0, 1, 2, 1, 0, 0])
    head = Head(rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32))
    options = FineTuning(blocks=1, epochs=6, learning_rate=0.1, weight_decay=0.3, averaging=0.6)
    trainer = Trainer(NO_LAYERS, head, options, 4)
    results = [trainer.train(activations, classes) for _ in range(10)]
    weights, average, losses = trained_by_hand(head, features, classes, options, 4, 10)
    assert [loss for loss, _ in results] == pytest.approx(losses, rel=1e-4)
    assert results[0][1] == int(((features @ head.weights + head.biases).argmax(axis=1) == classes).sum())
    _, averaged = trainer.averaged()
    assert averaged.weights == pytest.approx(average[0], abs=5e-4)
    assert averaged.biases == pytest.approx(average[1], abs=5e-4)
    state = trainer.state()
    assert int(state[0]) == 10 and state[1] == pytest.approx(weights[0], abs=5e-4)
    assert np.abs(weights[0] - average[0]).max() > 1e-2, "the example must tell them apart"
    logits = features @ average[0] + average[1]
    assert trainer.scores(activations) == pytest.approx(
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), abs=1e-3
    )
    resumed = Trainer(NO_LAYERS, head, options, 4)
    resumed.restore(state)
    assert resumed.train(activations, classes) == trainer.train(activations, classes)


def test_weights_are_assigned_to_tail_and_head_in_order() -> None:
    tail, head = with_weights(NO_LAYERS, [np.ones((2, 3), np.float32), np.zeros(3, np.float32)])
    assert head.weights.shape == (2, 3) and head.biases.shape == (3,) and tail.convolutions == ()


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder = tmp_path_factory.mktemp("backbone")
    return prepare_backbone(ENTRY, find_weights(ENTRY, folder, EMBEDDED), folder)


@pytest.fixture
def photo(tmp_path: Path) -> HashedPhoto:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (90, 130, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    [found] = hash_photos([Photo(tmp_path / "x.png", "x/x.png", "x")])
    assert isinstance(found, HashedPhoto)
    return found


def test_activations_are_rounded_to_the_nearest_step(backbone: Backbone, photo: HashedPhoto, tmp_path: Path) -> None:
    network = backbone_network(backbone)
    tail, views = read_tail(network, 2, ENTRY.name), Views(Distortions(), 2)
    with open_activations(backbone, network, tail, views, tmp_path, Silent()) as activations:
        wanted = [View(photo, PLAIN), View(photo, views.names[1])]
        assert activations.compute(wanted, Silent()) == 2
        assert activations.compute(wanted, Silent()) == 0
        found = activations.read(wanted)
    extractor = Extractor(ModelFile(tmp_path / "below", write_float_model(up_to(network, tail.cut))))
    image = Image.open(photo.photo.file)
    for row, view in enumerate(wanted):
        exact = extractor(views.render(image, ENTRY.size, view.name, photo.digest))
        assert found[row].shape == exact.shape and exact.max() > 3
        assert np.abs(found[row] - exact).max() <= RELU6_STEP / 2 + 1e-5


def test_activations_of_a_wrong_length_are_computed_again(
    backbone: Backbone, photo: HashedPhoto, tmp_path: Path
) -> None:
    """Such activations may have been written by a version of poets_edge with a different encoding."""
    network = backbone_network(backbone)
    tail, views = read_tail(network, 1, ENTRY.name), Views(Distortions(), 2)
    with open_activations(backbone, network, tail, views, tmp_path, Silent()) as activations:
        view = View(photo, PLAIN)
        activations.compute([view], Silent())
        exact = activations.read([view])
        activations._rows.write(view.key(activations._encoding), b"short")
        np.testing.assert_array_equal(activations.read([view]), exact)


def test_reading_activations_of_a_changed_photo_raises_photo_error(
    backbone: Backbone, photo: HashedPhoto, tmp_path: Path
) -> None:
    network = backbone_network(backbone)
    tail, views = read_tail(network, 1, ENTRY.name), Views(Distortions(), 2)
    Image.new("RGB", (50, 50)).save(photo.photo.file)
    with (
        open_activations(backbone, network, tail, views, tmp_path, Silent()) as activations,
        pytest.raises(PhotoError),
    ):
        activations.read([View(photo, PLAIN)])
