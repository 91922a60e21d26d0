"""Tests of option values: limits of numbers, the codelab's options, and the models among a command's arguments."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import numpy as np
import pytest

from poets_edge.cli import label
from poets_edge.cli.codelab_options import check_codelab_options
from poets_edge.cli.model_options import merged_range, models_and_rest
from poets_edge.cli.options import FILE, NUMBERS, PHOTOS, Number, thread_list
from poets_edge.core.paths import GRAPH
from poets_edge.device.scorer import ModelOutput
from poets_edge.errors import ModelError, PhotoError, UsageError
from poets_edge.photos.address import photo_path
from tests.conftest import ROOT, poets_edge

SEED = ROOT / "tests/corpus/seeds/seed_graph.tflite"


@pytest.mark.parametrize("text", ["0.25", "4", "1e0"])
def test_number_option_accepts_values_at_its_limits(text: str) -> None:
    assert Number(0.25, 4).convert(text, None, None) == float(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.249", "0.249 is below 0.25"),
        ("4.01", "4.01 is above 4."),
        ("nan", "nan is not a finite number"),
        ("inf", "inf is not a finite number"),
        ("x", "not a valid float"),
    ],
)
def test_number_option_refuses_values_outside_its_limits(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        Number(0.25, 4).convert(text, None, None)


def test_options_accept_lists_of_numbers() -> None:
    assert NUMBERS.convert("1,2.5,-3", None, None) == (1.0, 2.5, -3.0)
    assert thread_list("1,2,4") == (1, 2, 4) and thread_list("  ") == ()
    with pytest.raises(UsageError, match="`threads` 1;2"):
        thread_list("1;2")


def scorer(mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    normalization = SimpleNamespace(mean=mean, std=std)
    return SimpleNamespace(
        size=(4, 6), nodes={"input": "input:0", "output": "final:0"},
        input_range=SimpleNamespace(normalization=normalization),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_mean": (128.0,), "input_std": (127.0,)}, None),
        ({"input_mean": (128.01,)}, "--input-mean 128.01: the model's is 127.5"),
        ({"input_std": (126.99,)}, "--input-std 126.99: the model's is 127.5"),
        ({"input_mean": (127.5, 127.5, 127.5)}, None),
        ({"input_mean": (127.5, 127.5, 129.0)}, "--input-mean 127.5, 127.5, 129"),
        ({"input_mean": (127.5, 127.5)}, "--input-mean"),
        ({"input_size": 4, "input_height": 4, "input_width": 6}, None),
        ({"input_size": 6}, "--input-size 6: the model's is 4"),
        ({"input_height": 6}, "--input-height 6: the model's is 4"),
        ({"input_width": 4}, "--input-width 4: the model's is 6"),
        ({"input_layer": "input:0", "output_layer": "final:0", "other": 3}, None),
        ({"input_layer": "final:0"}, "--input-layer final:0: the model's is input:0"),
        ({"output_layer": "input:0", "input_mean": None}, "--output-layer input:0: the model's is final:0"),
    ],
)
def test_codelab_options_that_contradict_the_model_are_refused(given: dict[str, Any], message: str | None) -> None:
    if message is None:
        check_codelab_options(scorer((127.5,), (127.5,)), given)
        return
    with pytest.raises(UsageError, match=message):
        check_codelab_options(scorer((127.5,), (127.5,)), given)


def test_codelab_normalization_options_are_checked_for_each_channel_of_the_model() -> None:
    model = scorer((10.0, 20.0, 30.0), (1.0, 1.0, 1.0))
    check_codelab_options(model, {"input_mean": (10.5, 20.0, 29.5), "input_std": (1.5,)})
    for mean in ((10.0,), (10.0, 20.0, 31.0)):
        with pytest.raises(UsageError, match="the model's is 10, 20, 30"):
            check_codelab_options(model, {"input_mean": mean})


def test_input_range_is_derived_from_mean_and_standard_deviation() -> None:
    assert merged_range("0:1", None, None) == "0:1" and merged_range(None, None, None) is None
    assert merged_range(None, (127.5,), (127.5,)) == "-1.0:1.0"
    for arguments in (("0:1", (0.0,), (1.0,)), (None, (0.0,), (1.0, 1.0, 1.0)), (None, (0.0,), (0.0,))):
        with pytest.raises(UsageError):
            merged_range(*arguments)


@pytest.mark.parametrize("option", ["--input-mean", "--input-std"])
def test_input_mean_and_standard_deviation_must_be_given_together(tmp_path: Path, option: str) -> None:
    for command in ("web", "android", "annotate", "evaluate", "watch"):
        poets_edge(command, SEED, option, "127.5", cwd=tmp_path).failed("--input-mean and --input-std belong together")


def test_models_and_photos_among_the_arguments_are_distinguished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo, folder = tmp_path / "a.jpg", tmp_path / "folder"
    photo.touch()
    folder.mkdir()
    assert models_and_rest((photo, SEED, folder), None) == ((SEED,), (photo, folder))
    assert models_and_rest((SEED, photo), folder) == ((folder,), (SEED, photo)), "`--graph` is the only model"
    with pytest.raises(UsageError, match="no model named"):
        models_and_rest((photo,), None)
    (tmp_path / "tf_files").mkdir()
    (tmp_path / GRAPH).touch()
    assert models_and_rest((photo, folder), None) == ((GRAPH,), (photo, folder))
    (tmp_path / "notes.txt").write_text("text")
    for name, message in (("notes.txt", "neither a model that is known"), ("none.xyz", "no such file")):
        with pytest.raises(UsageError, match=message):
            models_and_rest((Path(name), photo), None)


def test_models_among_the_arguments_are_recognized_by_content_or_suffix(tmp_path: Path) -> None:
    keras, folder = tmp_path / "m.h5", tmp_path / "birds.tflite"
    keras.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    folder.mkdir()
    with pytest.raises(ModelError, match="an HDF5 file, as Keras writes, not a TensorFlow Lite model"):
        models_and_rest((SEED, keras), None)
    assert models_and_rest((SEED, folder), None) == ((SEED,), (folder,)), "a folder of photos"
    absent = tmp_path / "absent.tflite"
    assert models_and_rest((absent, folder), None) == ((absent,), (folder,)), "for the message that it is missing"
    address = photo_path("https://host/photos.zip")
    assert models_and_rest((SEED, address), None) == ((SEED,), (address,))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [FILE, PHOTOS])
def test_address_of_a_model_is_refused_without_printing_its_password(kind: click.ParamType) -> None:  # type: ignore[type-arg]
    with pytest.raises(click.BadParameter, match=r"https://models.example/m\.tflite is an address") as raised:
        kind.convert("https://me:s3cret@models.example/m.tflite", None, None)
    assert "s3cret" not in raised.value.message


class FakeScorer:
    labels, remarks = ("a", "b", "c"), ("a remark",)

    def predict(self, source: Path) -> ModelOutput:
        if source.name == "bad.jpg":
            raise PhotoError("bad.jpg: cut off")
        return ModelOutput(np.array([0.25, 0.5, 0.125], np.float32), 1.5 if source.name == "odd.jpg" else 0.5)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    opened: list[Any] = []

    def open_scorer(*arguments: Any, **settings: Any) -> Any:
        opened.append((arguments, settings))
        return cast(Any, FakeScorer())

    monkeypatch.setattr(label, "open_scorer", open_scorer)
    monkeypatch.setattr(label, "check_codelab_options", lambda scorer, given: None)
    return opened


def test_label_command_prints_scores_at_or_above_the_threshold(fake: list[Any], tmp_path: Path) -> None:
    ran = poets_edge("label", SEED, "good.jpg", "--threshold", "0.25", "--top", "3", cwd=tmp_path).ok()
    assert ran.stdout == "b (score = 0.50000)\na (score = 0.25000)\n" and ran.stderr == "a remark\n"
    assert poets_edge("label", SEED, "good.jpg", "--top", "1", cwd=tmp_path).ok().stdout == "b (score = 0.50000)\n"
    assert poets_edge("label", SEED, "good.jpg", "--threshold", "0.51", cwd=tmp_path).ok().stdout == "unknown\n"
    assert len(fake) == 3 and fake[0] == ((SEED, None, 1), {"input_range": None, "delegate": None})


def test_label_command_prints_unknown_and_the_nearest_label_for_an_unknown_photo(
    fake: list[Any], tmp_path: Path
) -> None:
    ran = poets_edge("label", SEED, "odd.jpg", "good.jpg", cwd=tmp_path).ok()
    assert ran.stdout.splitlines() == [
        "odd.jpg:", "  unknown (unlike the training photos)", "  nearest: b (score = 0.50000)",
        "good.jpg:", "  b (score = 0.50000)", "  a (score = 0.25000)", "  c (score = 0.12500)",
    ]  # fmt: skip
    accepted = poets_edge("label", SEED, "odd.jpg", "--accept-all", "--top", "1", cwd=tmp_path).ok()
    assert accepted.stdout == "b (score = 0.50000)\n"


def test_label_command_exits_with_1_if_a_photo_cannot_be_read(fake: list[Any], tmp_path: Path) -> None:
    ran = poets_edge("label", SEED, "bad.jpg", "good.jpg", "--top", "1", cwd=tmp_path)
    assert ran.status == 1 and ran.stderr == "a remark\nError: bad.jpg: cut off\n"
    assert ran.stdout == "good.jpg:\n  b (score = 0.50000)\n", "the other photos are labeled"
