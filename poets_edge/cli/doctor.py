"""`poets-edge doctor`: what this machine has, and what is missing for which job."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.options import result_options, subcommand
from poets_edge.cli.terminal import give, table


@subcommand("doctor")
@result_options
def command(as_json: bool, output: Path | None) -> None:
    """Print what this machine has for poets_edge, and what is missing for which job.

    \b
    Example:
      poets-edge doctor
    """
    from poets_edge.cli.checks import examine

    found = examine()
    if give(found.to_json(), as_json=as_json, output=output):
        return
    click.echo(table([[fact.name, fact.value or "not installed"] for fact in found.facts], left=2))
    click.echo()
    click.echo(table([[job.name, "ready" if job.missing is None else job.missing] for job in found.jobs], left=2))
