"""`poets-edge doctor`: what this machine has, and what is missing for which job."""

from __future__ import annotations

import click

from poets_edge.cli.terminal import json_option, print_json, table


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Print what this machine has for poets_edge, and what is missing for which job.

    \b
    Example:
      poets-edge doctor
    """
    from poets_edge.doctor import examine

    found = examine()
    if as_json:
        print_json(found.as_dict())
        return
    click.echo(table([[fact.name, fact.value or "not installed"] for fact in found.facts], left=2))
    click.echo()
    click.echo(table([[job.name, "ready" if job.missing is None else job.missing] for job in found.jobs], left=2))
