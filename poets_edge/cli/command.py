"""Commands with an example, arguments, and sections of options in their help.

click lists all options of a command in one column. Here each option belongs to a section, and `--help` omits options
that few people need, which `--help-all` lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from poets_edge.cli.hints import option_hint

OUTPUT = "Output"
CODELAB = "Codelab"
"""Section of the options that only the codelab's own command lines need; shown by `--help-all`."""

_HELP = "Help"
_LAST = (OUTPUT, CODELAB, _HELP)
_WIDEST = 27
"""Maximum width of a name with its explanation on the same line."""
_HELP_ALL = f"{__name__}.help_all"
_METAVARS = {"integer": "N", "integer range": "N", "number": "X"}

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Argument(click.Argument):
    """Argument with an explanation in the help.

    Args:
        explained: explanation of each word that the argument has in the usage line.
    """

    def __init__(self, *args: Any, explained: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.explained = explained


class Option(click.Option):
    """Option that is listed in a section of the help.

    Args:
        section: heading of the section.
        advanced: whether only `--help-all` lists the option.
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
        """Register the current and the former names; messages and help show only the current names."""
        shown = self.opts
        self.opts = [*shown, *self.old]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class Command(click.Command):
    """Command with an example, sections of options, and hints for options of other programs.

    Args:
        example: command lines at the start of the help.
    """

    def __init__(self, *args: Any, example: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.example = example

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; suggest the corresponding option for an option of another program."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = option_hint(self.name or "", error.option_name)
            if hint is None:
                raise
            ctx.fail(f"No such option: {error.option_name}. {hint}")

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's parameters, `--help`, and `--help-all` if there are advanced options."""
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

    def _format_arguments(self, formatter: click.HelpFormatter) -> None:
        rows = [row for param in self.params if isinstance(param, Argument) for row in param.explained.items()]
        if rows:
            with formatter.section("Arguments"):
                formatter.write_dl(rows)


def format_example(example: str, formatter: click.HelpFormatter) -> None:
    """Write command lines under the heading `Example`, unwrapped."""
    if example:
        with formatter.section("Example"):
            for line in example.strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


def subcommand(name: str, example: str, cls: type[Command] = Command) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command of `poets-edge`, with the example in its help."""
    return click.command(name, cls=cls, example=example)


def argument(
    name: str, metavar: str, explained: Mapping[str, str], **settings: Any
) -> Callable[[_Function], _Function]:
    """Declare an `Argument`."""
    return click.argument(name, cls=Argument, metavar=metavar, explained=explained, **settings)


def option(name: str, *more: Any, **settings: Any) -> Callable[[_Function], _Function]:
    """Declare an `Option`; the help shows its default, except for flags."""
    return click.option(name, *more, cls=Option, **{"show_default": not settings.get("is_flag"), **settings})


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_HELP_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
