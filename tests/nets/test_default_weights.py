"""Tests of the choice of weights: embedded ones, those of the default grid, and the checksum of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from poets_edge.errors import UsageError, WeightsError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import EMBEDDED_FILE, default_grid, find_weights
from poets_edge.nets.weights_file import Weights


def test_embedded_weights_exist_only_for_one_mobilenet_and_its_quantized_variant(tmp_path: Path) -> None:
    for name in ("mobilenet_0.25_128", "mobilenet_0.25_128_quantized"):
        found = find_weights(architecture(name), tmp_path, "embedded")
        assert found.path == EMBEDDED_FILE and found.digest == hashlib.sha256(EMBEDDED_FILE.read_bytes()).hexdigest()
    for name in ("mobilenet_0.25_160", "mobilenet_0.50_128_quantized"):
        with pytest.raises(UsageError, match=r"exists for mobilenet_0\.25_128 only"):
            find_weights(architecture(name), tmp_path, "embedded")


def test_default_grid_contains_only_networks_with_obtainable_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "none"))
    monkeypatch.setattr("poets_edge.nets.efficientnet_lite.importlib.util.find_spec", lambda name: None)
    names = [entry.name for entry in default_grid(tmp_path)]
    assert len(names) == len(set(names)) and sum(name.startswith("mobilenet") for name in names) == 16
    assert not any(name.startswith("efficientnet") for name in names) and "mobilenet_0.25_96" not in names
    lite = architecture("efficientnet_lite0_224")
    (tmp_path / lite.weights.file).touch()
    found = [entry.name for entry in default_grid(tmp_path) if entry.name.startswith("efficientnet")]
    assert found == ["efficientnet_lite0_160", "efficientnet_lite0_192", "efficientnet_lite0_224"]


def test_weights_with_a_different_checksum_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert Weights(tmp_path / "w.h5", digest).read() == b"weights"
    for place in (0, 20, 63):
        other = f"{digest[:place]}{'0' if digest[place] != '0' else '1'}{digest[place + 1 :]}"
        with pytest.raises(WeightsError, match="has changed while it was being read"):
            Weights(tmp_path / "w.h5", other).read()
