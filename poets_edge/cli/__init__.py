"""The command line: a thin skin over the library. One small file for each command, loaded only when it is called."""

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
from poets_edge.cli.hints import command_hint, with_flags
from poets_edge.cli.streams import escaped, guarded
from poets_edge.core.interrupts import heeded_interrupts
from poets_edge.errors import PoetsEdgeError

COMMANDS = {
    "train": "Retrain a MobileNet on a folder of photos.",
    "audit": "Say which photos hurt, and whether more would help.",
    "runs": "List training runs, and put two side by side.",
    "export": "Turn the trained graph into TensorFlow Lite files, quantized or not.",
    "label": "Label photos.",
    "watch": "Label what a camera sees, live.",
    "evaluate": "Measure a model's accuracy on labelled photos.",
    "inspect": "Show what a model is and what it carries.",
    "cache": "Show what training has kept for the next run, or remove it.",
    "quickstart": "Try everything in a minute, with no network and no photos.",
    "doctor": "Show what this machine has, and what is missing for which job.",
    "fetch-flowers": "Download the codelab's flower photos.",
    "draw-photos": "Draw flower photos, where there is no network.",
    "benchmark": "Measure how fast models are on this device.",
    "compare": "Put benchmarks of several devices side by side.",
    "grid": "Retrain and measure every MobileNet, and recommend one.",
    "deploy": "Put a model on a device as a service, over ssh.",
    "codelab": "Make a folder in which the codelab's own lines run.",
    "android": "Put a model into the Android app.",
    "web": "Make a model a web page, for any phone.",
}
"""Name -> what `poets-edge --help` says of it. Each lives in the module of the same name, `-` as `_`."""


_EXTRAS = {
    **dict.fromkeys(("google", "google_crc32c", "h5py", "jinja2", "markupsafe", "matplotlib", "tensorboard"), "train"),
    **dict.fromkeys(("keras", "tensorflow"), "tensorflow"),
}
"""Package -> the extra that brings it; a plain install, as on a Raspberry Pi, has neither."""


_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""The variables that OpenBLAS heeds."""


class _LazyGroup(click.Group):
    """Loads a command's module when it is called: `label` must not pay for what `train` imports."""

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Without loading every command for its first line of help.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    # The codelab writes --image_dir; most programs would write --image-dir. Both are understood everywhere.
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
    epilog="Start with: poets-edge train FOLDER, where FOLDER holds one folder of photos for each class."
    " No photos yet: poets-edge quickstart",
)
@click.version_option(poets_edge.__version__, prog_name="poets-edge")
def cli() -> None:
    """Retrain a MobileNet on your own photos, and run it on a Raspberry Pi or a phone.

    photos -> train -> retrained_graph.pb -> export -> .tflite -> label
    """


@contextlib.contextmanager
def _quick_start() -> Iterator[None]:
    """For importing what a command needs: nothing is looked for that is not there, and no thread waits for work.

    An import makes no garbage, and looking for it takes a tenth of its time. numpy's OpenBLAS starts a thread for each
    core, which wait for work in a loop; what is worth more than one core here runs in threads or processes of our own.
    """
    chosen = any(name in os.environ for name in _BLAS_THREADS)
    gc.disable()
    if not chosen:
        os.environ[_BLAS_THREADS[0]] = "1"
    try:
        yield
    finally:
        gc.freeze()  # what was imported stays, and need not be looked through later either
        gc.enable()
        if not chosen and "numpy" in sys.modules:  # which has read it; the programs that `watch` runs shall not
            del os.environ[_BLAS_THREADS[0]]


def main() -> None:
    """Entry point: one line for every error, and the exit status shells expect."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        with guarded():
            _run()
    except OSError:  # what stdout or stderr is sent to has failed, and that is said, if it can be
        sys.exit(1)


def _run() -> None:
    try:
        with heeded_interrupts():
            cli.main(prog_name="poets-edge", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        click.echo(
            f"Error: this needs {package}, which is not installed. Run: pip install 'poets-edge[{_EXTRAS[package]}]'",
            err=True,
        )
        sys.exit(1)
    except OSError as error:
        # Of stdout, most likely: what it is sent to is full. Python would complain again when it flushes it at exit.
        # (A reader that has gone, as head does, is click's business.)
        with contextlib.suppress(OSError, ValueError):  # no real file, as in a test
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or "standard output"
        click.echo(escaped(f"Error: {where}: {error.strerror or error}.", line=True), err=True)
        sys.exit(1)
