"""Commands whose help has an example, a list of arguments, and sections of options.

By default, click lists all options of a command in one section. Here each option belongs to a section. Options that few
people need are listed by `--help-all` but not by `--help`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from poets_edge.cli.hints import option_hint

OUTPUT = "Output"
CODELAB = "Codelab"
"""Heading of options that only commands from the codelab "TensorFlow for Poets" need; shown by `--help-all`."""

_HELP = "Help"
_LAST = (OUTPUT, CODELAB, _HELP)
_WIDEST = 27
"""Maximum width of an option's name in the help, in characters. Explanations of longer names start on a new line."""
_HELP_ALL = f"{__name__}.help_all"
_METAVARS = {"integer": "N", "integer range": "N", "number": "X"}

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Argument(click.Argument):
    """Command-line argument with an explanation in the help.

    Args:
        explained: explanation of each placeholder in the usage line, such as MODEL.
    """

    def __init__(self, *args: Any, explained: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.explained = explained


class Option(click.Option):
    """Option that the help lists in a section.

    Args:
        section: heading of the section.
        advanced: whether the option is listed by `--help-all` only.
        old: former names of the option, which are accepted but not listed.
    """

    def __init__(
        self,
        *args: Any,
        section: str = "Options",
        advanced: bool = False,
        old: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.section = section
        self.advanced = advanced or section == CODELAB
        self.old = tuple(old)
        if self.metavar is None and not self.is_flag:
            self.metavar = _METAVARS.get(self.type.name)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Register the option under its current and former names; messages and help show only the current names."""
        shown = self.opts
        self.opts = [*shown, *self.old]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class Command(click.Command):
    """Command with an example and sections of options in its help, and with hints for users of other programs' options.

    Args:
        example: command lines that the help shows first.
    """

    def __init__(self, *args: Any, example: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.example = example

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; for an unknown option that other programs have, suggest the corresponding option."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = option_hint(self.name or "", error.option_name)
            if hint is None:
                raise
            ctx.fail(f"No such option: {error.option_name}. {hint}")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Reports a usage error if it would replace a file that it reads."""
        self._check_outputs(ctx)
        return super().invoke(ctx)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of the command, including `--help` and, if there are advanced options, `--help-all`."""
        params = super().get_params(ctx)
        hidden = sum(isinstance(param, Option) and param.advanced and not param.hidden for param in self.params)
        if not hidden:
            return params
        show = click.Option(
            ["--help-all"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_all,
            help=f"Also show {hidden} options that are rarely needed.",
        )
        return [*params, show]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, example, description, arguments and options."""
        self.format_usage(ctx, formatter)
        format_example(self.example, formatter)
        self.format_help_text(ctx, formatter)
        self._format_arguments(formatter)
        self.format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Argument):
                continue
            section, advanced = (param.section, param.advanced) if isinstance(param, Option) else (_HELP, False)
            record = param.get_help_record(ctx)
            if record is not None and (not advanced or ctx.meta.get(_HELP_ALL)):
                sections.setdefault(section, []).append(record)
        width = max(len(name) for rows in sections.values() for name, _ in rows if len(name) <= _WIDEST)
        for section in sorted(sections, key=lambda name: _LAST.index(name) if name in _LAST else -1):
            with formatter.section(section):
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in sections[section]], col_max=width)

    def _check_outputs(self, ctx: click.Context) -> None:
        """Report a usage error if an existing file is both an output of the command and another of its arguments."""
        files = [(param, path) for param in self.params for path in _files(ctx.params.get(param.name or ""))]
        for param, path in files:
            written = isinstance(param, Option) and (param.section == OUTPUT or param.opts[0].startswith("--output"))
            if written and any(path.samefile(other) for also, other in files if also is not param):
                ctx.fail(f"{param.opts[0]} {path}: also another argument of this command. Name another file.")

    def _format_arguments(self, formatter: click.HelpFormatter) -> None:
        rows = [row for param in self.params if isinstance(param, Argument) for row in param.explained.items()]
        if rows:
            with formatter.section("Arguments"):
                formatter.write_dl(rows)


def _files(value: object) -> list[Path]:
    """Return the existing files among `value`, the value of a command-line parameter: one value, or several.

    Values other than paths are ignored.
    """
    found = []
    for path in value if isinstance(value, (list, tuple)) else [value]:
        with contextlib.suppress(OSError):  # too long, or without permission
            if isinstance(path, Path) and path.is_file():
                found.append(path)
    return found


def format_example(example: str, formatter: click.HelpFormatter) -> None:
    """Write command lines under the heading `Example`, without wrapping them."""
    if example:
        with formatter.section("Example"):
            for line in example.strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


def subcommand(name: str, example: str, cls: type[Command] = Command) -> Callable[[Callable[..., Any]], Command]:
    """Decorator that declares a command of `poets-edge`, with an example for its help."""
    return click.command(name, cls=cls, example=example)


def argument(
    name: str, metavar: str, explained: Mapping[str, str], **settings: Any
) -> Callable[[_Function], _Function]:
    """Decorator that adds an `Argument` to a command."""
    return click.argument(name, cls=Argument, metavar=metavar, explained=explained, **settings)


def option(name: str, *more: Any, **settings: Any) -> Callable[[_Function], _Function]:
    """Decorator that adds an `Option` to a command; the help shows its default value unless it is a flag."""
    return click.option(name, *more, cls=Option, **{"show_default": not settings.get("is_flag"), **settings})


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_HELP_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
