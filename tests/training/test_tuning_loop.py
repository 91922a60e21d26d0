"""Tests of the loop of fine-tuning with a trainer whose results are prescribed, without TensorFlow."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import OutputError
from poets_edge.nets.layers import Layer
from poets_edge.photos.folder import Photo
from poets_edge.progress import Silent
from poets_edge.training.bottlenecks import PLAIN, HashedPhoto
from poets_edge.training.fine_tuning import activations, checkpoint, tuning
from poets_edge.training.fine_tuning.activations import View, _check_space
from poets_edge.training.fine_tuning.checkpoint import Checkpoint
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.schedule import Schedule
from poets_edge.training.fine_tuning.tail import Tail
from poets_edge.training.fine_tuning.trainer import Epoch
from poets_edge.training.fine_tuning.tuning import DivergedError, Tuned, ValidationSet, tune
from poets_edge.training.head import Head
from tests.recorder import Recorder

TAIL = Tail(blocks=1, cut=Layer("cut", "convolution", ("input",), activation="relu6"), layers=(), parameters={})
START = Head(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))


def hashed(number: int) -> HashedPhoto:
    return HashedPhoto(Photo(Path(f"{number}.jpg"), f"x/{number}.jpg", "x"), bytes([number]) * 32)


PHOTOS = [hashed(number) for number in range(6)]
VALIDATION = ValidationSet(PHOTOS[4:], np.array([0, 1]))


class Activations:
    """Fake cache of activations, which returns the number of each view's photo and records the views in `seen`."""

    file = Path("backbone.activations.sqlite")

    def __init__(self) -> None:
        self.seen: list[View] = []

    def read(self, views: Sequence[View]) -> Any:
        self.seen += views
        return np.array([view.photo.digest[0] for view in views], np.float32)


class Prescribed:
    """Trainer that returns prescribed losses, and classifies correctly in prescribed epochs.

    Attributes:
        losses: loss of each step.
        correct: for each epoch, whether its weights classify the validation photos correctly.
        poisoned: whether the weights contain a value that is not finite.
    """

    losses: Sequence[float] = (1.0,) * 99
    correct: Sequence[bool] = (True,) * 99
    poisoned = False
    restored: Any = None

    def __init__(self, tail: Tail, head: Head, options: FineTuning, steps: int) -> None:
        self._step, self._steps = 0, steps

    def train(self, activations: Any, classes: Any) -> tuple[float, int]:
        self._step += 1
        return self.losses[self._step - 1], 1

    def averaged(self) -> tuple[Tail, Head]:
        value = math.nan if self.poisoned else float(self._step)
        return TAIL, Head(np.full((2, 2), value, np.float32), np.zeros(2, np.float32))

    def scores(self, activations: Any) -> Any:
        right = self.correct[self._step // self._steps - 1]
        truth = np.array([0 if number == 4 else 1 for number in activations])
        return np.where(np.arange(2)[None] == (truth if right else 1 - truth)[:, None], 0.8, 0.2).astype(np.float32)

    def state(self) -> list[Any]:
        return [np.array(self._step)]

    def restore(self, state: Sequence[Any]) -> None:
        self._step = int(state[0])
        Prescribed.restored = self._step


def tuned(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    activations: Any = None,
    photos: int = 4,
    reporter: Any = None,
    **prescribed: Any,
) -> Tuned:
    """Tune for three epochs of two steps with a prescribed trainer."""
    monkeypatch.setattr(tuning, "Trainer", Prescribed)
    monkeypatch.setattr(tuning, "version", lambda name: "2")
    for name, value in {"restored": None, **prescribed}.items():
        monkeypatch.setattr(Prescribed, name, value)
    schedule = Schedule(
        photos=PHOTOS[:photos],
        classes=np.array([0, 1, 0, 1, 0])[:photos],
        views=("a",),
        whole=(),
        whole_from=9,
        batch_size=2,
        seed=1,
    )
    options = FineTuning(blocks=1, epochs=3)
    activations = activations or Activations()
    return tune((TAIL, START), schedule, VALIDATION, activations, options, folder, reporter or Silent())[0]


def test_fine_tuning_reports_average_loss_and_accuracy_of_each_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = tuned(monkeypatch, tmp_path, losses=[1.0, 2.0, 3.0, 5.0, 0.5, 0.5], correct=[True] * 3)
    assert [epoch.epoch for epoch in found.epochs] == [1, 2, 3] and found.chosen == 3
    assert [epoch.train_cross_entropy for epoch in found.epochs] == [1.5, 4.0, 0.5]
    assert [epoch.train_accuracy for epoch in found.epochs] == [0.5, 0.5, 0.5]
    assert [epoch.validation_cross_entropy for epoch in found.epochs] == pytest.approx([-math.log(0.8)] * 3)


def test_training_accuracy_is_the_fraction_of_shown_photos_classified_correctly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of five photos, two batches of two are shown, and one photo of each is classified correctly."""
    assert [epoch.train_accuracy for epoch in tuned(monkeypatch, tmp_path, photos=5).epochs] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("correct", "chosen"), [([True, False, False], 1), ([False, True, False], 2)])
def test_fine_tuning_returns_the_weights_of_the_best_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, correct: list[bool], chosen: int
) -> None:
    found = tuned(monkeypatch, tmp_path, correct=correct)
    assert found.chosen == chosen and found.head.weights[0, 0] == 2 * chosen
    assert [epoch.validation_accuracy for epoch in found.epochs] == [float(right) for right in correct]


@pytest.mark.parametrize(
    "prescribed", [{"losses": [1.0, 1.0, math.inf, 1.0]}, {"losses": [1.0, 1.0, 1.0, math.nan]}, {"poisoned": True}]
)
def test_fine_tuning_that_diverges_raises_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prescribed: dict[str, Any]
) -> None:
    epoch = 1 if "poisoned" in prescribed else 2
    with pytest.raises(DivergedError, match=f"no longer a number in epoch {epoch}") as raised:
        tuned(monkeypatch, tmp_path, **prescribed)
    assert [one.epoch for one in raised.value.epochs] == list(range(1, epoch))


def test_fine_tuning_continues_from_its_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The weights of the best epoch are kept, even if it lies before the interruption."""
    with pytest.raises(DivergedError):
        tuned(monkeypatch, tmp_path, losses=[1.0, 1.0, 1.0, 1.0, math.inf], correct=[True, False])
    found = tuned(monkeypatch, tmp_path, losses=[1.0] * 6, correct=[True, False, False])
    assert Prescribed.restored == 4 and found.chosen == 1 and found.head.weights[0, 0] == 2
    assert [epoch.epoch for epoch in found.epochs] == [1, 2, 3]


def test_fine_tuning_validates_on_undistorted_photos_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    activations = Activations()
    tuned(monkeypatch, tmp_path, activations)
    plain = [view for view in activations.seen if view.name == PLAIN]
    assert plain == [View(photo, PLAIN) for photo in VALIDATION.photos] * 3


EPOCH = Epoch(1, 0.5, 1.0, None, None)


def test_checkpoint_restores_state_and_best_weights(tmp_path: Path) -> None:
    """Eleven arrays are saved, because sorting their names as text would put array 10 before array 2."""
    state = [np.full(number + 1, number) for number in range(11)]
    saved = Checkpoint((EPOCH,), 1, state, [np.array([-1.0]), np.array([-2.0])])
    checkpoint.save(tmp_path / "x.npz", saved)
    found = checkpoint.load(tmp_path / "x.npz")
    assert found is not None and (found.epochs, found.chosen) == ((EPOCH,), 1)
    assert [array.tolist() for array in found.state] == [array.tolist() for array in state]
    assert [array.tolist() for array in found.best] == [[-1.0], [-2.0]]


def test_loading_a_checkpoint_runs_no_code_from_the_file(tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    saved = Checkpoint((EPOCH,), 1, [np.array([Planted()], object)], [])
    checkpoint.save(tmp_path / "x.npz", saved)
    assert checkpoint.load(tmp_path / "x.npz") is None and not (tmp_path / "ran").exists()


def test_activations_require_enough_disk_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed = _check_space(tmp_path / "x", 1000, 5000)
    assert needed == 5_500_000 + (16 << 20), "with the log of the database"
    usage = SimpleNamespace(free=needed)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert _check_space(tmp_path / "x", 1000, 5000) == needed
    usage.free = needed - 1
    with pytest.raises(OutputError, match="1000 activations of 5 kB"):
        _check_space(tmp_path / "x", 1000, 5000)


class Bar(Recorder):
    """Reporter that records the total and the steps of a progress bar."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.steps = 0, list[int]()

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "") -> Iterator[Callable[[int], None]]:
        self.total = total
        yield self.steps.append


def test_progress_of_a_resumed_run_includes_the_completed_epochs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each of three epochs shows four photos in two batches; training diverges in the second batch of the last."""
    bar = Bar()
    with pytest.raises(DivergedError):
        tuned(monkeypatch, tmp_path, reporter=bar, losses=[1.0] * 5 + [math.nan])
    assert (bar.total, bar.steps) == (12, [0, 2, 2, 2, 2, 2]) and len(bar.notes) == 2
    bar = Bar()
    tuned(monkeypatch, tmp_path, reporter=bar, losses=[1.0] * 6)
    assert (bar.total, bar.steps) == (12, [8, 2, 2])
    assert bar.notes[0] == "fine-tuning continues after epoch 2, where an earlier run was stopped."
    assert bar.notes[1].startswith("epoch   3 of 3   train  50.0%   cross entropy 1.0000   validation 100.0%")


def test_damage_to_the_cache_of_activations_is_reported_once_per_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One damaged file is found when the cache is opened, and two are found while it is used."""
    opened: list[Any] = []

    @contextlib.contextmanager
    def open_rows(path: Path, table: str) -> Iterator[Any]:
        opened.append((path, table))
        yield SimpleNamespace(set_aside=[Path("second"), Path("third")]), Path("first")

    monkeypatch.setattr(activations, "open_row_store", open_rows)
    monkeypatch.setattr(activations, "write_float_model", lambda network: b"")
    monkeypatch.setattr(activations, "up_to", lambda network, cut: network)
    backbone: Any = SimpleNamespace(model=Path("cache/net-1.tflite"))
    network: Any = SimpleNamespace(shapes=lambda: {"cut": (2, 3, 4)})
    reporter = Recorder()
    views: Any = None
    with activations.open_activations(backbone, network, TAIL, views, tmp_path, reporter) as found:
        assert found.shape == (2, 3, 4) and len(reporter.warnings) == 1
    assert opened == [(tmp_path / "net-1-last1.activations.sqlite", "activations")] and found.file == opened[0][0]
    assert [line.partition("moved to ")[2].split()[0] for line in reporter.warnings] == ["first", "second", "third"]
