"""Tests of the exit status and the message for errors, of the start of commands, and of files given twice."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from poets_edge import cli
from poets_edge.cli.command import Command, _files, argument, option
from poets_edge.cli.options import FILE


def needs(package: str, extra: str) -> str:
    return f"Error: this needs {package}, which is not installed. Run: pip install 'poets-edge[{extra}]'\n"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (click.exceptions.Abort(), 130, "Stopped.\n"),
        (click.ClickException("a\nb"), 1, "Error: a\\u000ab\n"),
        (click.UsageError("no such"), 2, "Error: no such\n"),
        (ModuleNotFoundError("x", name="h5py.x"), 1, needs("h5py", "train")),
        (ModuleNotFoundError("x", name="keras"), 1, needs("keras", "tensorflow")),
        (ModuleNotFoundError("x", name="uvicorn"), 1, needs("uvicorn", "studio")),
        (
            ModuleNotFoundError("x", name="poets_edge.training"), 1,
            "Error: this copy of poets_edge holds only what a device needs, without poets_edge.training."
            " Run: pip install 'poets-edge[train]'\n",
        ),
        (OSError(28, "No space left"), 1, "Error: standard output: No space left.\n"),
        (OSError(2, "No such file", "f\x1b"), 1, "Error: f\\u001b: No such file.\n"),
    ],
)  # fmt: skip
def test_commands_that_fail_print_one_line_that_describes_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, status: int, message: str
) -> None:
    def fail(**settings: object) -> None:
        assert settings == {"prog_name": "poets-edge", "standalone_mode": False}
        raise error

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        cli._run()
    assert ended.value.code == status and capsys.readouterr().err == message


def test_import_error_of_a_module_outside_the_extras_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ModuleNotFoundError("x", name="other")

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(ModuleNotFoundError):
        cli._run()


def test_command_exits_with_1_if_its_output_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(cli, "_run", fail)
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1


@pytest.fixture
def blas(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str | None]]:
    """Function that returns the environment variable OPENBLAS_NUM_THREADS; it is not set at first."""
    for name in cli._BLAS_THREADS:
        monkeypatch.delenv(name, raising=False)
    yield lambda: os.environ.get("OPENBLAS_NUM_THREADS")
    gc.unfreeze()


def test_imports_run_without_garbage_collection_and_with_one_blas_thread(
    blas: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with cli._quick_start():
        assert not gc.isenabled() and blas() == "1"
    assert gc.isenabled() and "numpy" in sys.modules and blas() is None, "programs that it starts use all threads"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with pytest.raises(KeyError), cli._quick_start():
        assert blas() is None
        raise KeyError
    assert gc.isenabled() and os.environ["OMP_NUM_THREADS"] == "3"


def test_every_command_has_a_summary_and_a_module() -> None:
    assert {name.replace("-", "_") for name in cli.COMMANDS} == {
        path.stem for path in Path(cli.__file__).parent.glob("*.py") if "\n@subcommand(" in path.read_text("utf-8")
    }


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("in.txt --output other.txt", None),
        ("in.txt --output in.txt", "--output"),
        ("in.txt --output ./in.txt", "--output"),
        ("in.txt --output link.txt", "--output"),
        ("in.txt --labels in.txt", None),
        ("other.txt --labels in.txt --output in.txt", "--output"),
        ("new.txt --output new.txt", None),
        ("in.txt in.txt", None),
    ],
)
def test_command_refuses_to_replace_a_file_that_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, refused: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in.txt", "other.txt"):
        Path(name).touch()
    Path("link.txt").symlink_to("in.txt")
    ran: list[bool] = []

    @click.command("c", cls=Command)
    @argument("files", "[FILE]...", {}, nargs=-1, type=FILE)
    @option("--labels", type=FILE)
    @option("--output", type=FILE)
    def command(**_: object) -> None:
        ran.append(True)

    if refused is None:
        command.main(line.split(), standalone_mode=False)
    else:
        with pytest.raises(click.UsageError, match=f"{refused} .*: also another argument of this command"):
            command.main(line.split(), standalone_mode=False)
    assert ran == ([True] if refused is None else [])


def test_arguments_count_as_files_only_if_they_are_paths_of_existing_files(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.touch()
    assert _files(file) == _files([file, tmp_path, "a", 3, tmp_path / "none", tmp_path / ("x" * 300)]) == [file]
