"""Tests of output to terminals, pipes and files: control characters, encodings, closed and full streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from poets_edge.cli.streams import escaped
from tests.conftest import ROOT, poets_edge_process

MODEL = ROOT / "tests/corpus/seeds/seed_graph.tflite"


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), "yellow").save(path, "PNG")
    return path


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    program = f"{sys.executable} -m poets_edge"
    return subprocess.run(
        ["bash", "-c", line.replace("poets-edge", program)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        timeout=200,
    )


def test_control_characters_are_escaped() -> None:
    assert escaped("a\x1b[2J\x9bb\x7f\u202e\n") == "a\\u001b[2J\\u009bb\\u007f\\u202e\n"
    assert escaped("a\nb", line=True) == "a\\u000ab"


@pytest.mark.skipif(os.name == "nt", reason="Windows does not allow these names")
def test_names_with_control_characters_or_invalid_encoding_are_escaped(tmp_path: Path) -> None:
    names = [b"a\x1b[2J.png", b"caf\xe9.png", b"line\nbreak.png"]
    for name in names:
        photo(tmp_path / "photos" / os.fsdecode(name))
    for locale in ("C.UTF-8", "C"):
        environment = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        ended = shell(f"poets-edge label {MODEL} photos --json", tmp_path, **environment)
        assert ended.returncode == 0 and b"\x1b" not in ended.stdout, ended.stderr
        found = {os.fsencode(answer["photo"].removeprefix("photos/")) for answer in json.loads(ended.stdout)}
        assert found == set(names)
    ended = shell(f"poets-edge label {MODEL} $'no\\nsuch\\x1b.png'", tmp_path)
    assert ended.returncode == 1 and ended.stderr.count(b"\n") == 1 and b"\x1b" not in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="requires a POSIX shell")
def test_closed_and_full_streams_cause_at_most_one_error_line(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    full = shell(f"poets-edge label {MODEL} photo.png > /dev/full", tmp_path)
    assert full.returncode == 1 and full.stderr == b"Error: standard output: No space left on device.\n"
    for redirection, status in ((">&-", 0), ("2>&- <&-", 0), ("2>/dev/full", 0)):
        ended = shell(f"poets-edge label {MODEL} photo.png {redirection}", tmp_path)
        assert ended.returncode == status and b"Traceback" not in ended.stderr
    assert shell(f"poets-edge label {MODEL} none.png 2>/dev/full", tmp_path).returncode == 1


def test_characters_that_the_output_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    file = photo(tmp_path / "€.png")
    ended = shell(f"poets-edge label {MODEL} {file} {file}", tmp_path, PYTHONIOENCODING="latin-1")
    assert ended.returncode == 0 and b"\\u20ac.png" in ended.stdout
    assert poets_edge_process("label", MODEL, file).ok().stdout


def test_invalid_arguments_with_line_breaks_are_reported_in_one_line(tmp_path: Path) -> None:
    ended = shell(f"poets-edge watch {MODEL} $'a\\nb' $'\\x1b[2J'", tmp_path)
    assert ended.returncode == 2 and ended.stderr.splitlines()[-1].endswith(rb"(a\u000ab \u001b[2J)")
