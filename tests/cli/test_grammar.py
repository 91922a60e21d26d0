"""Tests that all commands follow the same conventions, and give hints for names that other programs use."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from poets_edge.cli import COMMANDS, cli
from poets_edge.cli.hints import with_flags
from poets_edge.cli.options import Number
from tests.conftest import poets_edge

STREAMING = {"watch"}
"""Commands that print a JSON line for each result instead of one JSON document."""


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in STREAMING])
def test_every_command_has_the_options_json_and_output(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = {option: parameter for parameter in command.params for option in parameter.opts}
    assert isinstance(options["--json"], click.Option) and options["--json"].is_flag
    output = options["--output"]
    assert isinstance(output, click.Option) and output.metavar == "FILE" and "as JSON" in str(output.help)


def test_output_option_writes_the_json_that_the_json_option_prints(tmp_path: Path) -> None:
    ran = poets_edge("doctor", "--json", "--output", tmp_path / "doctor.json").ok()
    assert json.loads(ran.stdout) == json.loads((tmp_path / "doctor.json").read_text())
    shown = poets_edge("doctor", "--output", tmp_path / "again.json").ok()
    assert "cores" in shown.stdout and not shown.stdout.startswith("{")
    assert json.loads((tmp_path / "again.json").read_text())["facts"]["cores"]


def test_missing_model_is_reported_in_one_line(tmp_path: Path) -> None:
    poets_edge("label", "photo.jpg", cwd=tmp_path).failed("no model named", "tf_files/retrained_graph.pb")
    poets_edge("evaluate", "--image_dir", "photos", cwd=tmp_path).failed("no model named")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["predict", "photo.jpg"], "poets-edge label MODEL PHOTO"),
        (["val"], "poets-edge evaluate MODEL"),
        (["info"], "poets-edge inspect MODEL"),
        (["trian"], "Did you mean 'train'?"),
        (["train", "--epochs", "3"], "--steps"),
        (["train", "--lr", "0.1"], "--learning-rate"),
        (["train", "--model", "x"], "--architecture"),
        (["train", "--augment"], "--flip-left-right"),
        (["train", "--batch", "8"], "--train-batch-size"),
        (["train", "--data", "x"], "poets-edge train flower_photos"),
        (["export", "--format", "ncnn"], "'coreml', 'onnx'"),
        (["label", "https://example.org/model.tflite"], "Fetch it first"),
        (["export", "--quantize", "graph.pb"], "export graph.pb --quantize int8"),
        (["label", "--model", "x"], "poets-edge label MODEL"),
        (["train"], "poets-edge train flower_photos"),
        (["train", "a", "b"], "one folder of photos"),
    ],
    ids=" ".join,
)
def test_commands_and_options_of_other_programs_get_a_hint(typed: list[str], told: str, tmp_path: Path) -> None:
    ran = poets_edge(*typed, cwd=tmp_path)
    assert ran.status not in (0, None) and told in ran.stderr


def test_train_and_grid_accept_the_photo_folder_as_argument(tmp_path: Path) -> None:
    poets_edge("train", "nowhere", cwd=tmp_path).failed("nowhere")
    poets_edge("grid", "nowhere", cwd=tmp_path).failed("nowhere")


def test_parameter_names_in_messages_are_replaced_with_command_options() -> None:
    @click.command
    @click.option("--how_many_training_steps", "steps")
    @click.option("-q", "--quiet", "quiet")
    @click.argument("model")
    def command() -> None: ...

    said = with_flags("`steps`=1, `quiet` or `model`; `other`=2 stays, and so does a ` alone", command)
    assert said == "--how_many_training_steps 1, --quiet or MODEL; other=2 stays, and so does a ` alone"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_number_options_reject_values_that_are_not_finite(value: str) -> None:
    numbers = [
        (name, option)
        for name in COMMANDS
        for option in cli.get_command(click.Context(cli), name).params  # type: ignore[union-attr]
        if isinstance(option.type, (Number, type(click.FLOAT), click.FloatRange))
    ]
    assert {("label", "threshold"), ("watch", "below"), ("train", "learning_rate"), ("audit", "target")} <= {
        (name, option.name) for name, option in numbers
    }
    for name, option in numbers:
        with pytest.raises(click.BadParameter, match="not a finite number"):
            option.type.convert(value, option, click.Context(click.Command(name)))
