"""Tests of model paths that are not regular files: opening a pipe would block until a program writes to it."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from poets_edge.errors import ModelError
from poets_edge.tflite.formats import ModelFormat, model_format
from poets_edge.tflite.read_model import read_model

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="of named pipes")


@pytest.mark.parametrize("name", ["model.tflite", "model.keras", "model"])
def test_named_pipe_is_not_opened_as_a_model(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    found: list[ModelFormat | None] = []
    thread = threading.Thread(target=lambda: found.append(model_format(tmp_path / name)), daemon=True)
    thread.start()
    thread.join(10)
    with contextlib.suppress(OSError):  # nothing reads the pipe
        os.close(os.open(tmp_path / name, os.O_WRONLY | os.O_NONBLOCK))
        thread.join(10)
        found.clear()
    assert found == [None]
    with pytest.raises(ModelError, match="not a regular file"):
        read_model(tmp_path / name)
