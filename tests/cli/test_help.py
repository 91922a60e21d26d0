"""Tests of the command line's help, and of old spellings of options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from poets_edge.cli import COMMANDS, cli
from poets_edge.cli.command import Argument, Command, Option, option, subcommand
from tests.conftest import ROOT, Ran, poets_edge, poets_edge_process

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


MOST_LINES = 60
MOST_VISIBLE = 25
RENAMED = [
    ("train", "--steps=0", "--how_many_training_steps=0", "--steps"),
    ("grid", "--steps=0", "--how_many_training_steps=0", "--steps"),
    ("evaluate", "--split=none", "--set=none", "--split"),
    ("benchmark", "--split=none", "--set=none", "--split"),
]
"""For each command: an option with an invalid value, in its current and in its old spelling, and the option's name in
the error message."""


def _command(name: str) -> Command:
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, Command)
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_usage_and_an_example_first(name: str) -> None:
    lines = poets_edge(name, "--help").ok().stdout.splitlines()
    assert lines[0].startswith(f"Usage: poets-edge {name}")
    assert lines[2] == "Example:" and lines[3].startswith(f"  poets-edge {name}")


def test_help_lists_the_commands_in_sections() -> None:
    shown = poets_edge("--help").ok().stdout
    headings = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings[2:] == ["Browser:", "Train:", "Export:", "Run:", "Devices:", "Data:", "More:"]
    assert "  poets-edge train flower_photos\n" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_spells_options_with_hyphens_and_explains_all_parameters(name: str) -> None:
    command = _command(name)
    for parameter in command.params:
        if isinstance(parameter, Option):
            assert parameter.help, f"{name} {parameter.name}"
            assert all("_" not in word for word in [*parameter.opts, *parameter.secondary_opts])
        else:
            assert isinstance(parameter, Argument) and all(parameter.explained.values())
    shown = poets_edge(name, "--help-all" if any(_advanced(command)) else "--help").ok().stdout
    without_examples = shown[shown.index("\n\n", shown.index("Example:")) :]
    assert "--how-many-training-steps" not in shown and "--set " not in shown
    assert not [word for word in without_examples.split() if word.startswith("--") and "_" in word]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_all_shows_every_option(name: str) -> None:
    command = _command(name)
    advanced = [option.opts[0] for option in _advanced(command)]
    short = poets_edge(name, "--help").ok().stdout
    assert ("--help-all" in short) == bool(advanced)
    assert not [option for option in advanced if f"  {option} " in short]
    if advanced:
        shown = poets_edge(name, "--help-all").ok().stdout
        assert not [option for option in advanced if f"  {option}" not in shown]


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("train --help-all", ["Output", "Codelab", "Help"]),
        ("train --help", ["Output", "Help"]),
        ("evaluate --help-all", ["Output", "Codelab", "Help"]),
        ("web --help", ["Server", "Output", "Help"]),
    ],
)
def test_last_sections_of_help_list_the_output_codelab_and_help_options(line: str, last: list[str]) -> None:
    lines = poets_edge(*line.split()).ok().stdout.splitlines()
    sections = [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert sections[-len(last) :] == last


def test_help_shows_the_testing_percentage_but_not_the_validation_percentage() -> None:
    for command in ("train", "grid", "export", "evaluate"):
        shown = poets_edge(command, "--help").ok().stdout
        assert "--testing-percentage" in shown and "--validation-percentage" not in shown


def test_help_does_not_count_hidden_options_as_rarely_needed() -> None:
    @subcommand("x", "poets-edge x")
    @option("--usual", help="A usual option.")
    @option("--rare", advanced=True, help="A rare option.")
    @option("--removed", advanced=True, hidden=True, help="Removed.")
    def command() -> None: ...

    shown = CliRunner().invoke(command, ["--help"]).output
    assert "Also show 1 options that are rarely needed." in shown and "--rare" not in shown
    shown = CliRunner().invoke(command, ["--help-all"]).output
    assert "--rare" in shown and "--removed" not in shown


def test_train_help_fits_on_a_page() -> None:
    shown = poets_edge_process("train", "--help").ok().stdout
    assert len(shown.splitlines()) <= MOST_LINES
    assert sum(line.startswith(("  --", "  -q, --", "  -h, --")) for line in shown.splitlines()) <= MOST_VISIBLE
    assert "  FOLDER " in shown and "Codelab" not in shown


def _advanced(command: click.Command) -> list[Option]:
    return [option for option in command.params if isinstance(option, Option) and option.advanced and not option.hidden]


def test_tests_cover_both_spellings_of_every_renamed_option() -> None:
    old = {
        (name, spelling)
        for name in COMMANDS
        for parameter in _command(name).params
        if isinstance(parameter, Option)
        for spelling in parameter.old
    }
    assert old == {(name, before.partition("=")[0].replace("_", "-")) for name, _, before, _ in RENAMED}


@pytest.mark.parametrize(("name", "present", "old", "told"), RENAMED)
def test_old_spelling_of_an_option_acts_like_the_current_spelling(name: str, present: str, old: str, told: str) -> None:
    def refused(option: str) -> Ran:
        ran = poets_edge(name, "nowhere.tflite", option)
        assert ran.status not in (0, None) and told in ran.stderr and "No such option" not in ran.stderr
        return ran

    assert refused(present) == refused(old) == refused(old.replace("_", "-"))


def test_web_accepts_output_as_the_old_name_of_output_dir(tmp_path: Path) -> None:
    model = ROOT / "tests/corpus/seeds/seed_graph.tflite"
    poets_edge("web", model, "--output-dir", tmp_path / "present", "--output", tmp_path / "it.json").ok()
    poets_edge("web", model, "--output", tmp_path / "old").ok()
    assert (tmp_path / "it.json").is_file()
    names = {path.name for path in (tmp_path / "present").iterdir()}
    assert "index.html" in names and names == {path.name for path in (tmp_path / "old").iterdir()}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is missing")
def test_full_disk_on_stdout_is_reported_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "poets_edge", "--help"]
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ") and len(ended.stderr.splitlines()) == 1, ended.stderr


@pytest.mark.parametrize("flag", RETRAIN_FLAGS)
@pytest.mark.parametrize("spelling", ["underscores", "hyphens"])
def test_train_accepts_options_of_retrain_in_both_spellings(tmp_path: Path, flag: str, spelling: str) -> None:
    typed = flag if spelling == "underscores" else flag.replace("_", "-")
    value = [] if flag in ("print_misclassified_test_images", "flip_left_right") else ["=1"]
    where = "" if flag == "image_dir" else "--image_dir=nowhere"
    ran = poets_edge("train", *filter(None, [where]), f"--{typed}{''.join(value)}", cwd=tmp_path)
    assert "No such option" not in ran.stderr and ran.status == 1


def test_unknown_command_gets_the_most_similar_command_as_hint() -> None:
    assert "Did you mean 'train'?" in poets_edge("trian").stderr


def test_version_option_prints_the_version() -> None:
    assert poets_edge_process("--version").ok().stdout.startswith("poets-edge, version ")
    assert poets_edge_process("inspect").status == 2
