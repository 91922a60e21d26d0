"""The command line as a newcomer meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from poets_edge.cli import COMMANDS, cli
from tests.conftest import ROOT, poets_edge, poets_edge_process

RETRAIN_FLAGS = [
    "image_dir",
    "output_graph",
    "intermediate_output_graphs_dir",
    "intermediate_store_frequency",
    "output_labels",
    "summaries_dir",
    "how_many_training_steps",
    "learning_rate",
    "testing_percentage",
    "validation_percentage",
    "eval_step_interval",
    "train_batch_size",
    "test_batch_size",
    "validation_batch_size",
    "print_misclassified_test_images",
    "model_dir",
    "bottleneck_dir",
    "final_tensor_name",
    "flip_left_right",
    "random_crop",
    "random_scale",
    "random_brightness",
    "architecture",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    ran = poets_edge(name, "--help").ok()
    assert ran.stdout.startswith(f"Usage: poets-edge {name}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_gets_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "poets_edge", "--help"]
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ") and len(ended.stderr.splitlines()) == 1, ended.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize("flag", RETRAIN_FLAGS)
@pytest.mark.parametrize("spelling", ["underscores", "hyphens"])
def test_every_flag_of_the_original_is_understood_in_both_spellings(tmp_path: Path, flag: str, spelling: str) -> None:
    typed = flag if spelling == "underscores" else flag.replace("_", "-")
    value = [] if flag in ("print_misclassified_test_images", "flip_left_right") else ["=1"]
    where = "" if flag == "image_dir" else "--image_dir=nowhere"
    ran = poets_edge("train", *filter(None, [where]), f"--{typed}{''.join(value)}", cwd=tmp_path)
    assert "No such option" not in ran.stderr and ran.status == 1


def test_an_unknown_command_gets_the_nearest_one() -> None:
    assert "Did you mean 'train'?" in poets_edge("trian").stderr


def test_it_runs_as_a_module_and_tells_its_version() -> None:
    assert poets_edge_process("--version").ok().stdout.startswith("poets-edge, version ")
    assert poets_edge_process("inspect").status == 2
