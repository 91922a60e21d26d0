"""`poets-edge doctor`: show what is installed, and what is missing for each task."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.command import subcommand
from poets_edge.cli.options import result_options
from poets_edge.cli.terminal import output_json, table


@subcommand("doctor", "poets-edge doctor")
@result_options
def command(as_json: bool, output: Path | None) -> None:
    """Show what is installed on this machine, and what is missing for each job."""
    from poets_edge.cli.checks import diagnose

    found = diagnose()
    if output_json(found.to_json(), as_json=as_json, output=output):
        return
    click.echo(table([[fact.name, fact.value or "not installed"] for fact in found.facts], left=2))
    click.echo()
    click.echo(table([[job.name, "ready" if job.missing is None else job.missing] for job in found.jobs], left=2))
