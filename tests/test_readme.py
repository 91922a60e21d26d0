"""Tests of the command lines and transcripts in the README and in docs/."""

from __future__ import annotations

import hashlib
import io
import pkgutil
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from poets_edge import __version__ as poets_edge_version
from poets_edge.cli import COMMANDS, cli
from poets_edge.photos import fetch
from tests.conftest import DAISY, ROOT, poets_edge
from tests.photos.server import Files, serving
from tests.studio.client import running_command as running_studio

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("**/*.md")
}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
RUN = ("README.md", "docs/index.md", "docs/your-photos.md", "docs/commands.md", "docs/quickstart.md", "docs/phone.md")
"""Pages whose command lines are run in order in one folder; on other pages, the tests check only the options."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (language, text) for each fenced code block of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```", PAGES[page], flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def served_flowers(
    few_flowers: Callable[[int], Path], flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Files]:
    """Write eight photos per class to `flower_photos`, and serve an archive of them for `fetch-flowers`."""
    folder = few_flowers(8)
    (folder / DAISY).unlink(missing_ok=True)
    (folder / DAISY).symlink_to(flowers / DAISY)
    folder.rename(tmp_path / "flower_photos")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", dereference=True) as packed:
        packed.add(tmp_path / "flower_photos", "flower_photos")
    content = file.getvalue()
    with serving(Files({"/flower_photos.tgz": content})) as server:
        archive = fetch.Archive(f"{server.url}/flower_photos.tgz", len(content), hashlib.sha256(content).hexdigest())
        defaults = fetch.fetch_flowers.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "archive", archive)
        yield server


@pytest.mark.timeout(1500)  # every command once, two benchmarks among them: minutes, on a busy machine
def test_command_blocks_print_the_documented_output(
    served_flowers: Files, keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "android_demo", "android_demo")  # `android` writes into it
    ran = []
    for page in RUN:
        for language, text in blocks(page):
            assert language in ("sh", "console", "python", "text"), f"{page}: a block of another kind: {language}"
            if language == "python":
                exec(compile(text, page, "exec"), {})
            for line, shown in _commands(language, text):
                words = shlex.split(line, comments=True)
                ran.append(words[:2])
                match words:
                    case ["poets-edge", "benchmark" | "grid" as name, *arguments]:
                        poets_edge(name, *arguments, "--rounds", "2", "--min-seconds", "0.2", cwd=tmp_path).ok()
                    case ["poets-edge", "studio", *arguments]:
                        with running_studio(*arguments, cwd=tmp_path) as client:
                            client.get("/api/project").ok()
                    case ["poets-edge", *arguments]:
                        printed = poets_edge(*arguments, cwd=tmp_path).ok().stdout
                        if language == "console" and shown != "...\n":
                            assert _form(shown) == _form(printed), f"{page}: {line}"
                    case ["make", target]:
                        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
                    case _:
                        pytest.fail(f"{page}: a line that is not known to this test: {line}")
    assert ran[:2] == [["make", "quickstart"], ["make", "test"]], "the README opens with these"
    assert served_flowers.requests


@pytest.mark.parametrize("page", sorted(PAGES))
def test_command_lines_have_existing_options(page: str) -> None:
    for language, text in blocks(page):
        for line, _ in _commands(language, text):
            for words in re.findall(r"(?:^|[/\s])poets-edge (\w[^|;#\n]*)", line):
                name, *arguments = shlex.split(words)
                group = click.Context(cli, **cli.context_settings)
                command = cli.get_command(group, name)
                assert command is not None, f"{page}: no command {name}"
                context = click.Context(command, parent=group, info_name=name)
                command.make_parser(context).parse_args(arguments)  # raises an error for an unknown option


@pytest.mark.parametrize("page", sorted(PAGES))
def test_wheel_names_have_the_current_version(page: str) -> None:
    for version in re.findall(r"poets_edge-([\d.]+)-py3", PAGES[page]):
        assert version == poets_edge_version


def _commands(language: str, text: str) -> list[tuple[str, str]]:
    """Return the command lines of a block, each with the output that a transcript (`console`) shows for it."""
    if language == "console":
        return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE)
    return [(line, "") for line in text.replace("\\\n", " ").splitlines()] if language == "sh" else []


def _form(text: str) -> list[str]:
    """Return the lines of an output without the parts that depend on photos: numbers, verdicts and the best label."""
    lines = [re.sub(r"[\d.]*\d", "0", " ".join(line.split())) for line in text.splitlines()]
    lines = [re.sub(r"(compared with [\w.]+:) .*", r"\1", line) for line in lines]
    return [re.sub(r"^\w+ \(score", "label (score", line) for line in lines]


def test_objects_on_the_library_page_exist() -> None:
    for name in re.findall(r"^::: ([\w.]+)", PAGES["docs/library.md"], re.MULTILINE):
        assert pkgutil.resolve_name(name) is not None


def test_every_command_has_a_section() -> None:
    text = "".join(page for name, page in PAGES.items() if name != "README.md")
    for name in COMMANDS:
        assert re.search(rf"^##+ .*`(poets-edge )?{name}`", text, re.MULTILINE), f"`{name}` has no section in docs/"
