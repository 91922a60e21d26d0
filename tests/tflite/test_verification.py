"""Tests of how a model is verified: its rules, its metadata, and then its trial, which a stand-in replaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.photos.normalization import PIXELS
from poets_edge.tflite.flatbuffer import pack_model, schema, unpack_model
from poets_edge.tflite.verify import verify as module
from poets_edge.tflite.verify.tables import FlawError, OtherNetworkError, UnsupportedError
from tests.tiny_model import color_model

MODEL = color_model("uint8", 1 / 128, 128, normalization=PIXELS)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Arguments of each trial, which succeeds."""
    found: list[Any] = []
    monkeypatch.setattr(module, "run_trial", lambda *arguments: found.append(arguments))
    return found


def test_model_that_obeys_the_rules_is_run_once_with_limits_derived_from_its_cost(trials: list[Any]) -> None:
    module.verify(Path("m.tflite"), MODEL)
    assert trials == [(MODEL, module.check(MODEL))] and trials[0][1].memory > 8 * 8 * 3


def test_model_that_violates_a_rule_is_not_run(trials: list[Any]) -> None:
    model = unpack_model(MODEL)
    model.version = 2
    with pytest.raises(ModelError, match=r"m\.tflite: damaged, or not an image classifier \(version 2 of the format"):
        module.verify(Path("m.tflite"), pack_model(model))
    assert trials == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FlawError("it crashes"), r"damaged, or not an image classifier \(it crashes\)\. Export it again, or copy it"),
        (OtherNetworkError("cannot be loaded."), r"cannot be loaded\.$"),
        (UnsupportedError("the operator X. Convert it."), r"not supported here: the operator X\. Convert it\.$"),
    ],
)
def test_failure_of_the_trial_is_reported_with_the_path(
    error: FlawError, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(content: bytes, cost: object) -> None:
        raise error

    monkeypatch.setattr(module, "run_trial", fail)
    with pytest.raises(ModelError, match=f"^m\\.tflite: {message}"):
        module.verify(Path("m.tflite"), MODEL)


def with_entry(name: str, content: bytes) -> bytes:
    """Return the model with a metadata entry in place of its own."""
    model, entry, buffer = unpack_model(MODEL), schema().MetadataT(), schema().BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [entry]
    return pack_model(model)


def metadata(field: int, write: Callable[[Any, int], None]) -> bytes:
    """Return a metadata FlatBuffer with one field."""
    builder = flatbuffers.Builder(64)
    builder.StartObject(field + 1)
    write(builder, field)
    builder.Finish(builder.EndObject(), file_identifier=b"M001")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("name", "content", "is_sound"),
    [
        ("TFLITE_METADATA", metadata(0, lambda builder, field: None), True),
        # A newer version of the schema has more fields, which no program here reads.
        ("TFLITE_METADATA", metadata(30, lambda builder, field: builder.PrependUint8Slot(field, 1, 0)), True),
        ("TFLITE_METADATA", metadata(0, lambda builder, field: builder.PrependUint32Slot(field, 1 << 20, 0)), False),
        ("TFLITE_METADATA", b"M001", False),
        ("TFLITE_METADATA", b"", False),
        ("OTHER", b"M001", True),
    ],
)
def test_verify_accepts_unknown_metadata_fields_but_no_offsets_out_of_range(
    name: str, content: bytes, is_sound: bool, trials: list[Any]
) -> None:
    changed = with_entry(name, content)
    if is_sound:
        module.verify(Path("m.tflite"), changed)
    else:
        with pytest.raises(ModelError, match="damaged, or not an image classifier"):
            module.verify(Path("m.tflite"), changed)
    assert len(trials) == is_sound
