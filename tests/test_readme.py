"""Every command block of the README runs, in the README's order, in one folder."""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poets_edge.photos import fetch
from tests.conftest import DAISY, ROOT, poets_edge
from tests.photos.server import Files, serving

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def served_flowers(
    few_flowers: Callable[[int], Path], flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Files]:
    """Eight photos a class in `flower_photos`, and where `fetch-flowers` looks instead of the codelab's server."""
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


def test_every_command_block_runs(
    served_flowers: Files, keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "android_demo", "android_demo")  # `android` looks for it here, and writes into it
    ran = []
    for language, text in BLOCKS:
        assert language in ("sh", "console", "python", "text"), f"a block of another kind: {language}"
        if language == "python":
            exec(compile(text, "README.md", "exec"), {})
        for line in _commands(language, text):
            words = shlex.split(line, comments=True)
            ran.append(words[:2])
            match words:
                case ["poets-edge", *arguments]:
                    poets_edge(*arguments, cwd=tmp_path).ok()
                case ["make", target]:
                    subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
                case _:
                    pytest.fail(f"the README's line is not known to this test: {line}")
    assert ran[:2] == [["make", "quickstart"], ["make", "test"]], "the README opens with these"
    assert served_flowers.requests


def _commands(language: str, text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    if language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return lines if language == "sh" else []


def test_every_command_is_in_the_readme() -> None:
    from poets_edge.cli import COMMANDS

    for name in COMMANDS:
        assert re.search(rf"(?:poets-edge |make |`){name}\b", README), f"{name} is not in the README"
