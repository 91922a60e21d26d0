"""Tests of the record of verified models, and of the changes after which a model is verified again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from poets_edge.errors import ModelError
from poets_edge.photos.normalization import UNIT
from poets_edge.tflite.read_model import read_model
from poets_edge.tflite.verify import memory, verify
from tests.tiny_model import color_model

MODEL = b"TFL3 and weights"


@pytest.fixture(autouse=True)
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a fake interpreter package, and return its file; the record of verified models is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = tmp_path / "site/a_runtime"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    file = package / "interpreter.py"
    file.write_text("version = 1\n")
    os.utime(file, ns=(10**18, 10**18))
    monkeypatch.setattr(memory, "RUNTIMES", ("a_runtime",))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return file


def test_is_known_returns_true_only_for_remembered_models() -> None:
    assert not memory.is_known(MODEL)
    memory.remember(MODEL)
    assert memory.is_known(MODEL)


def test_model_with_the_first_bytes_of_a_verified_model_does_not_count_as_verified() -> None:
    memory.remember(MODEL)
    assert not memory.is_known(MODEL[:8] + b"other weights")


def test_models_are_verified_again_if_the_rules_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.remember(MODEL)
    monkeypatch.setattr(memory, "_RULES", memory._RULES + 1)
    assert not memory.is_known(MODEL)


def test_models_are_verified_again_if_the_interpreter_has_changed(
    interpreter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.remember(MODEL)
    os.utime(interpreter, ns=(10**18, 10**18 + 1))
    assert not memory.is_known(MODEL), "an upgrade to a file of equal size"
    interpreter.write_text("version = 10\n")
    os.utime(interpreter, ns=(10**18, 10**18))
    assert not memory.is_known(MODEL), "an upgrade with equal times, as in reproducible packages"
    interpreter.write_text("version = 1\n")
    os.utime(interpreter, ns=(10**18, 10**18))
    assert memory.is_known(MODEL)
    monkeypatch.setattr(memory, "_machine", lambda: "another machine with the home folder")
    assert not memory.is_known(MODEL)


def test_errors_when_recording_a_verified_model_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    memory.remember(MODEL)
    assert not memory.is_known(MODEL)


def test_read_model_verifies_a_model_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[Path] = []
    monkeypatch.setattr(verify, "verify", lambda path, content: verified.append(path))
    path = tmp_path / "colors.tflite"
    path.write_bytes(color_model())
    assert read_model(path).verified and read_model(path).verified and verified == [path]
    path.write_bytes(color_model("uint8"))
    assert read_model(path).verified and verified == [path, path]


def test_read_model_refuses_a_model_that_stores_the_checksum_of_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "verify", lambda path, content: None)
    content = color_model(normalization=UNIT, facts={"quantization": "float32"})
    assert content.count(b"for tests") == 1
    (tmp_path / "m.tflite").write_bytes(content.replace(b"for tests", b"for texts"))
    for _ in range(2):  # it must not be recorded as verified
        with pytest.raises(ModelError, match="its checksum does not match"):
            read_model(tmp_path / "m.tflite")
