"""Tests of the registry of architectures, with an architecture that is added by one module and one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge.demo.draw import draw_photo
from poets_edge.errors import UsageError
from poets_edge.nets import architectures
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import DEFAULT_ARCHITECTURE, RECOMMENDED, architecture, known_architectures
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import find_weights
from poets_edge.sweep.chart.styles import series_of, series_styles
from poets_edge.training.fine_tuning.tail import check_blocks
from tests import yardstick
from tests.conftest import Ran, poets_edge
from tests.nets.mobilenet_v2 import MOBILENET_V2

NAME = "mobilenet_v2_1.0_224"


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Architecture:
    monkeypatch.setattr(architectures, "FAMILIES", (*architectures.FAMILIES, MOBILENET_V2))
    return architecture(NAME)


def save_random_weights(entry: Architecture, path: Path) -> None:
    """Save random weights, with the shapes of the layers, in the format of Keras; features vary between photos."""
    from poets_edge.nets.layers import keras_order, shapes

    rng, known, arrays = np.random.default_rng(0), shapes(entry.layers(), entry.size), []
    for layer, norm in keras_order(entry.layers()):
        if norm:
            low_high = ((0.8, 1.2), (-0.1, 0.5), (-0.1, 0.1), (0.5, 1.5))  # gamma, beta, mean, variance
            arrays += [rng.uniform(low, high, layer.outputs).astype(np.float32) for low, high in low_high]
        else:
            kernel = layer.kernel_shape(known[layer.source][-1])
            deviation = 1.4 / np.sqrt(np.prod(kernel) / layer.outputs)
            arrays.append(rng.normal(0, deviation, kernel).astype(np.float32))
    np.savez(path, *arrays)


def command(*arguments: str | Path, cwd: Path) -> Ran:
    return poets_edge(*arguments, "--quiet", cwd=cwd).ok()


def test_added_architecture_is_trained_exported_and_evaluated(added: Architecture, tmp_path: Path) -> None:
    save_random_weights(added, tmp_path / "v2.npz")
    for label in ("daisy", "roses"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            (tmp_path / f"photos/{label}/{number}.jpg").write_bytes(draw_photo(label, number))
    train = ("train", "photos", "--architecture", NAME, "--weights", "v2.npz", "--folds", "0")
    command(*train, "--how_many_training_steps", "50", cwd=tmp_path)
    command("export", "--quantize", "int8", "--calibration_photos", "4", cwd=tmp_path)
    shown = poets_edge("inspect", "tf_files/retrained_graph_int8.tflite", cwd=tmp_path).ok().stdout
    assert NAME in shown


def test_features_of_an_added_architecture_equal_the_features_from_keras(added: Architecture, tmp_path: Path) -> None:
    from tests.nets.test_efficientnet_lite import features, pictures

    applications = yardstick.tensorflow().keras.applications
    save_random_weights(added, tmp_path / "v2.npz")
    network = read_backbone(added, find_weights(added, tmp_path, str(tmp_path / "v2.npz")))
    model = applications.MobileNetV2((*added.size, 3), include_top=False, pooling="avg", weights=None)
    with np.load(tmp_path / "v2.npz") as stored:
        model.set_weights([stored[name] for name in stored.files])
    inputs = pictures(added, 2)
    found, wanted = features(network, inputs), model.predict_on_batch(inputs)
    assert found.std(axis=0).mean() > 1e-3
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * float(np.abs(wanted).max()))


def test_added_architectures_are_listed_and_have_distinct_chart_styles(added: Architecture) -> None:
    with pytest.raises(UsageError, match=r"mobilenet_v2_1\.0_224; each also with _gray and _quantized"):
        architecture("resnet")
    styles = series_styles()
    assert len(set(styles.values())) == len(styles) == len({series_of(entry) for entry in known_architectures()})
    markers = {entry.family: styles[series_of(entry)].marker for entry in known_architectures()}
    assert len(set(markers.values())) == len(markers) == 4


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("mobilenet_0.5_224", "mobilenet_0.50_224"),
        ("MobileNet_v1_1_192", "mobilenet_1.0_192"),
        ("efficientnet_lite0_224_quantized", "efficientnet_lite0_224_quantized"),
        ("inception_v3", "inception_v3"),
        ("mobilenet_v1_0.5_96_gray_quantized", "mobilenet_0.50_96_gray_quantized"),
    ],
)
def test_architecture_is_returned_with_its_standard_name(name: str, standard: str) -> None:
    assert architecture(name).name == standard
    assert architecture(name).quantized == standard.endswith("_quantized")


def test_every_published_figure_names_its_source() -> None:
    for entry in known_architectures():
        assert entry.published is None or entry.published.source
    assert architecture("efficientnet_lite0_160").published is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--network", "accurate", "--weights", "w.h5"), "a .pth file for efficientnet_lite0_224"),
        (("--network", "small", "--weights", "w.pth"), ".pb file for mobilenet_0.25_224"),
        (("--network", "small", "--architecture", "inception_v3"), "mobilenet_0.25_224"),
        (("--network", "large"), "small"),
    ],
)
def test_network_option_selects_a_recommended_architecture(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    for label in ("daisy", "roses"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            (tmp_path / f"photos/{label}/{number}.jpg").write_bytes(draw_photo(label, number))
    poets_edge("train", "photos", *flags, cwd=tmp_path).failed(said)


def test_recommended_architectures_are_known_and_ordered_by_cost() -> None:
    costs = [architecture(RECOMMENDED[network]).mmacs for network in ("small", "balanced", "accurate")]
    assert costs == sorted(costs) and RECOMMENDED["balanced"] == DEFAULT_ARCHITECTURE


def test_architectures_with_blocks_have_fine_tuning_defaults() -> None:
    for entry in known_architectures():
        if entry.tuning is None:
            with pytest.raises(UsageError, match="no chain of blocks"):
                check_blocks(entry.layers(), 1, entry.name)
        else:
            check_blocks(entry.layers(), 3, entry.name)
