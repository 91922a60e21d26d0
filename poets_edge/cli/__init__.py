"""Command line: a thin layer over the library. Each command is a module, which is imported when the command is run."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import click

import poets_edge
from poets_edge.cli.command import format_example
from poets_edge.cli.hints import command_hint, with_flags
from poets_edge.cli.streams import escaped, guarded
from poets_edge.core.interrupts import preserved_interrupts
from poets_edge.errors import PoetsEdgeError

_SECTIONS = {
    "Browser": {
        "studio": "Every step in a browser: photos, training, models.",
    },
    "Train": {
        "train": "Retrain a network on a folder of photos.",
        "grid": "Retrain and measure every network, and recommend one.",
        "runs": "List training runs, or compare two of them.",
    },
    "Export": {
        "export": "Convert the trained graph to TensorFlow Lite files.",
        "annotate": "Write labels and normalization into a foreign model.",
        "web": "Write a model as a web page, for any phone.",
        "android": "Put a model into the Android app.",
    },
    "Run": {
        "label": "Label photos.",
        "watch": "Label what a camera sees, live.",
        "evaluate": "Measure the accuracy of models on labeled photos.",
        "inspect": "Describe a model file.",
    },
    "Devices": {
        "benchmark": "Measure how fast models are, here or over ssh.",
        "compare": "Compare benchmarks.",
        "deploy": "Install a model on a device, as a service.",
    },
    "Data": {
        "audit": "Find label errors, near-duplicates and outliers in photos.",
        "fetch-flowers": "Download the codelab's flower photos.",
        "draw-photos": "Draw flower photos, without a network.",
    },
    "More": {
        "quickstart": "Run every step in a minute, without network and photos.",
        "doctor": "Show what is installed, and what is missing for each job.",
        "cache": "List the caches of training, or remove them.",
        "codelab": "Make a folder in which the codelab's own lines run.",
    },
}
"""Summaries of the commands in `poets-edge --help`, by section and command name."""

COMMANDS = {name: text for commands in _SECTIONS.values() for name, text in commands.items()}
"""Summary of each command, by name. A command `a-b` is defined in the module `a_b`."""

_EXAMPLE = """
poets-edge train flower_photos
poets-edge export --quantize
poets-edge label tf_files/retrained_graph_int8.tflite photo.jpg
"""

_EXTRAS = {
    **dict.fromkeys(("google", "google_crc32c", "h5py", "jinja2", "markupsafe", "matplotlib", "tensorboard"), "train"),
    **dict.fromkeys(("keras", "tensorflow"), "tensorflow"),
    **dict.fromkeys(("anyio", "h11", "starlette", "uvicorn"), "studio"),
}
"""Name of the pip extra that installs each package, by the package's import name. A plain install has none of them."""

_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Environment variables that limit the number of threads in OpenBLAS."""


class _LazyGroup(click.Group):
    """Command group that imports only the module of the command that is run, so that the command starts quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with _quick_start():
            module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and (hint := command_hint(args[0], COMMANDS)):
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PoetsEdgeError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "") or self
            raise click.ClickException(escaped(with_flags(str(error), command), line=True)) from error

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        format_example(_EXAMPLE, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From COMMANDS, since importing all commands would take seconds.
        width = max(map(len, COMMANDS))
        for section, commands in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in commands.items()])


@click.group(
    cls=_LazyGroup,
    # Options are shown with hyphens; the codelab writes them with underscores.
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
    epilog="The folder flower_photos holds one folder of photos for each class. No photos yet: poets-edge quickstart",
)
@click.version_option(poets_edge.__version__, prog_name="poets-edge")
def cli() -> None:
    """Retrain a MobileNet on your own photos, and run it on a Raspberry Pi or a phone."""


@contextlib.contextmanager
def _quick_start() -> Iterator[None]:
    """Context manager that makes imports faster by disabling garbage collection and the threads of OpenBLAS.

    Imports create hardly any garbage, but garbage collection takes a tenth of their time. OpenBLAS, which numpy loads,
    would start a busy-waiting thread for each core; this program uses threads and processes of its own instead.
    """
    chosen = any(name in os.environ for name in _BLAS_THREADS)
    gc.disable()
    if not chosen:
        os.environ[_BLAS_THREADS[0]] = "1"
    try:
        yield
    finally:
        gc.freeze()  # imported modules stay, and later collections need not visit them
        gc.enable()
        if (
            not chosen and "numpy" in sys.modules
        ):  # numpy has read the variable; programs started by `watch` must not inherit it
            del os.environ[_BLAS_THREADS[0]]


def main() -> None:
    """Run the command line in `sys.argv`. Errors are reported in one line, and determine the exit status."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        with guarded():
            _run()
    except OSError:  # stdout or stderr cannot be written; printing a message was attempted
        sys.exit(1)


def _run() -> None:
    try:
        with preserved_interrupts():
            cli.main(prog_name="poets-edge", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # since click 8.2, the message of this error is the help
            # The message may repeat an argument that contains a line break.
            error.message = escaped(error.message, line=True)  # type: ignore[misc]  # Final since click 8.2
        error.show()
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "poets_edge":
            click.echo(
                f"Error: this copy of poets_edge holds only what a device needs, without {error.name}."
                " Run: pip install 'poets-edge[train]'",
                err=True,
            )
            sys.exit(1)
        if package not in _EXTRAS:
            raise
        click.echo(
            f"Error: this needs {package}, which is not installed. Run: pip install 'poets-edge[{_EXTRAS[package]}]'",
            err=True,
        )
        sys.exit(1)
    except OSError as error:
        # Most likely, stdout is redirected to a full disk; Python would report this again when it flushes at exit.
        # (A reader that has closed the pipe, such as head, is handled by click.)
        with contextlib.suppress(OSError, ValueError):  # not a real file, as in a test
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or "standard output"
        click.echo(escaped(f"Error: {where}: {error.strerror or error}.", line=True), err=True)
        sys.exit(1)
