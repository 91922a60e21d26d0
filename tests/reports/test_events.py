"""Tests that TensorBoard reads the event files, and that training does not import unused packages."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New, masked_crc32c

from poets_edge.reports.events import event_file, remove_event_files, write_record
from poets_edge.training.fine_tuning.curves import remove_curves, write_curves
from poets_edge.training.fine_tuning.trainer import Epoch
from poets_edge.training.head import Head
from tests.conftest import ROOT


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_event_records_are_written_with_length_and_checksums(data: bytes) -> None:
    file = io.BytesIO()
    write_record(file, data)
    record = file.getvalue()
    length, data_end = record[:8], 12 + len(data)
    assert int.from_bytes(length, "little") == len(data) and record[12:data_end] == data
    assert int.from_bytes(record[8:12], "little") == masked_crc32c(length)
    assert int.from_bytes(record[data_end:], "little") == masked_crc32c(data)


def test_tensorboard_reads_event_files_and_rejects_damaged_ones(tmp_path: Path) -> None:
    with event_file(tmp_path) as events:
        for step in range(3):
            events.add(step, {"accuracy": step / 3}, {"weights": np.linspace(-1, 1, 50, dtype=np.float32)})
    [path] = tmp_path.iterdir()
    assert _events(path) == 4  # with the one that says the format
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    with pytest.raises(Exception, match="crc"):
        _events(path)


def test_train_module_does_not_import_tensorboard_plugins_or_template_engine() -> None:
    code = (
        "import sys, poets_edge.training.train\n"
        "slow = {'tensorboard.summary', 'tensorboard.plugins', 'asyncio', 'jinja2', 'absl', 'fsspec', 'h5py'}\n"
        "print(*sorted(slow & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""


def _events(path: Path) -> int:
    reader, count = PyRecordReader_New(str(path)), 0
    while True:
        try:
            reader.GetNext()
        except Exception as error:
            if type(error).__name__ == "OutOfRangeError":
                return count
            raise
        count += 1


def test_histogram_counts_values_up_to_the_upper_end_of_each_bin(tmp_path: Path) -> None:
    values = np.array([0, 1, 1, 2, 3, 3, 3, 4], np.float32)
    with event_file(tmp_path) as file:
        file.add(7, {}, {"weights": values})
    [path] = tmp_path.iterdir()
    [*_, event] = events_of(path)
    found = event.summary.value[0].histo
    assert (event.step, found.min, found.max, found.num) == (7, 0, 4, 8)
    assert (found.sum, found.sum_squares) == (17, 0 + 1 + 1 + 4 + 9 * 3 + 16)
    assert list(found.bucket_limit) == pytest.approx(np.linspace(0, 4, 9)[1:])
    assert list(found.bucket) == [1, 0, 2, 0, 1, 0, 3, 1]


def test_event_file_replaces_only_files_that_poets_edge_wrote(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"of another program")
    for step in range(2):
        with event_file(tmp_path) as file:
            file.add(step, {"accuracy": 0.5})
    assert len(list(tmp_path.iterdir())) == 2
    remove_event_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["events.out.tfevents.1.host"]


def events_of(path: Path) -> list[Any]:
    """Parse an event file (length, checksum, data, checksum), and return its events."""
    data, found = path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def test_fine_tuning_curves_have_validation_points_only_for_evaluated_epochs(tmp_path: Path) -> None:
    head = Head(np.ones((2, 3), np.float32), np.zeros(3, np.float32))
    write_curves(tmp_path, [Epoch(1, 0.5, 0.75, None, None), Epoch(2, 0.625, 0.25, 0.875, 0.125)], head)
    points: dict[str, list[tuple[int, str, float]]] = {}
    histograms: dict[str, int] = {}
    for path in tmp_path.glob("*/events.*"):
        values = [(event.step, value) for event in events_of(path) for value in event.summary.value]
        points[path.parent.name] = sorted(
            (step, value.tag, value.simple_value) for step, value in values if not value.HasField("histo")
        )
        histograms |= {value.tag: step for step, value in values if value.HasField("histo")}
    assert points == {
        "fine_tuning_train": [
            (1, "accuracy", 0.5), (1, "cross_entropy", 0.75), (2, "accuracy", 0.625), (2, "cross_entropy", 0.25),
        ],
        "fine_tuning_validation": [(2, "accuracy", 0.875), (2, "cross_entropy", 0.125)],
    }  # fmt: skip
    assert histograms == {"head/weights": 2, "head/biases": 2}
    remove_curves(tmp_path)
    assert not list(tmp_path.glob("*/events.*"))


def test_histogram_of_equal_values_spans_one_unit(tmp_path: Path) -> None:
    with event_file(tmp_path) as file:
        file.add(0, {}, {"biases": np.full(3, -2, np.float32), "many": np.arange(100, dtype=np.float32)})
    [path] = tmp_path.iterdir()
    first, last = events_of(path)
    equal, many = (value.histo for value in last.summary.value)
    assert first.file_version == "brain.Event:2"
    assert (equal.min, equal.max, list(equal.bucket)) == (-2, -2, [0, 3, 0])
    assert list(equal.bucket_limit) == pytest.approx([-2.5 + 1 / 3, -2.5 + 2 / 3, -1.5])
    assert len(many.bucket) == 30 and sum(many.bucket) == 100 and many.max == 99


def test_event_files_have_timestamps_in_their_names_and_events(tmp_path: Path) -> None:
    before = time.time()
    with event_file(tmp_path / "run") as file:
        file.add(5, {"accuracy": 0.5, "loss": 2.0})
    [path] = (tmp_path / "run").iterdir()
    assert re.fullmatch(r"events\.out\.tfevents\.\d{20}\..+\.poets_edge", path.name)
    events = events_of(path)
    assert all(before - 1 <= event.wall_time <= time.time() + 1 for event in events)
    assert [(value.tag, value.simple_value) for value in events[1].summary.value] == [("accuracy", 0.5), ("loss", 2.0)]
    remove_event_files(tmp_path / "run")
    assert not (tmp_path / "run").exists(), "the empty folder is removed, too"
    remove_event_files(tmp_path / "run")


def test_interrupted_event_file_does_not_replace_an_earlier_one(tmp_path: Path) -> None:
    with event_file(tmp_path) as file:
        file.add(1, {"accuracy": 0.5})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt), event_file(tmp_path):
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
