"""Tests of hints for commands and options of other programs, and of option names in messages."""

from __future__ import annotations

import click
import pytest

from poets_edge.cli import cli
from poets_edge.cli.hints import _COMMANDS, _OPTIONS, command_hint, option_hint, with_flags

COMMAND = click.Command(
    "c", params=[click.Option(["-t", "--threads"]), click.Option(["-q"]), click.Argument(["photo"], metavar="PHOTO")]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`threads`=1", "--threads 1"),
        ("give `threads`", "give --threads"),
        ("`q`, `photo`", "-q, PHOTO"),
        ("`top`=3 and `threads`", "top=3 and --threads"),
        ("no option, threads=1", "no option, threads=1"),
    ],
)
def test_parameter_names_in_messages_are_replaced_with_options(text: str, expected: str) -> None:
    assert with_flags(text, COMMAND) == expected


def test_hint_for_a_command_of_another_program_names_the_equivalent_command() -> None:
    assert command_hint("predict", ["predicts"]) == "Use: poets-edge label MODEL PHOTO"
    assert command_hint("benchmrk", ["benchmark", "bench"]) == "Did you mean 'benchmark'?"
    assert command_hint("xyz", ["benchmark"]) is None


def test_option_hint_depends_on_the_command() -> None:
    assert option_hint("train", "--lr") == "Use --learning-rate."
    assert option_hint("label", "--lr") is None and option_hint("train", "--no-such") is None
    assert option_hint("watch", "--model") == "The model is named without a flag: poets-edge watch MODEL"
    assert option_hint("train", "--batch_size") == option_hint("train", "--batch-size") is not None


def test_hints_name_commands_and_options_that_exist() -> None:
    context = click.Context(cli)
    names = set(cli.list_commands(context))
    assert not names & set(_COMMANDS)
    assert {line.split()[0] for line in _COMMANDS.values()} <= names
    for option, hints in _OPTIONS.items():
        for name, hint in hints.items():
            command = cli.get_command(context, name)
            assert command is not None, name
            flags = {flag for parameter in command.params for flag in parameter.opts}
            assert f"--{option}" not in flags
            named = [word.strip(".,:)(;") for word in hint.split() if word.startswith("--")]
            assert set(named) <= flags, (option, name, hint)
