"""Tests of the files of a web page, with a small stand-in for the WebAssembly runtime."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import OutputError, UsageError
from poets_edge.exporting.web import PAGE, WrittenPage, write_page
from poets_edge.photos.normalization import UNIT
from tests.tiny_model import COLORS, color_model

RUNTIME = {
    "run.js": b"start();" * 200, "run_threaded.js": b"thread();" * 200, "run_compat.wasm": b"compatible" * 200,
    "noise.wasm": np.random.default_rng(0).bytes(500),
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "runtime").mkdir()
    with tarfile.open(tmp_path / "runtime.tar.xz", "w:xz") as archive:
        for name, content in RUNTIME.items():
            (tmp_path / "runtime" / name).write_bytes(content)
            archive.add(tmp_path / "runtime" / name, name)
    monkeypatch.setattr("poets_edge.exporting.web.RUNTIME_ARCHIVE", tmp_path / "runtime.tar.xz")
    (tmp_path / "colors.tflite").write_bytes(color_model(normalization=UNIT, facts={}))
    return tmp_path / "colors.tflite"


def site(folder: Path) -> dict[str, Any]:
    """Return the description of the page's files in its service worker."""
    found = re.match(r"const SITE=(.*);\n", (folder / "service-worker.js").read_text())
    assert found is not None
    return dict(json.loads(found[1]))


def packed(content: bytes) -> int:
    """Return the download size of a file in bytes: that of its compressed copy, if this is smaller."""
    return min(len(content), len(gzip.compress(content, 6, mtime=0)))


def test_page_states_the_sizes_of_its_files(model: Path, tmp_path: Path) -> None:
    page = write_page(model, tmp_path / "site")
    written = {name: (tmp_path / "site" / name).read_bytes() for name in page.files}
    assert page.size == sum(map(len, written.values()))
    assert page.model_transfer == packed(model.read_bytes()) and page.labels == COLORS
    later = ("runtime/run_threaded.js", "runtime/run_compat.wasm", "icon-192.png", "icon-512.png", "LICENSES.txt")
    first = {name for name in written if not name.endswith(".gz")} - {"model.tflite", *later}
    assert {"index.html", "runtime/run.js", "runtime/noise.wasm", "service-worker.js"} <= first
    sizes = {name: len(written[name]) if name.endswith(".png") else packed(written[name]) for name in first}
    assert page.page_transfer == sum(sizes.values())
    others = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*")}
    assert others - set(page.files) == {"runtime", ".poets-edge.json"}


def test_page_contains_compressed_copies_only_if_they_are_smaller(model: Path, tmp_path: Path) -> None:
    page = write_page(model, tmp_path / "site")
    compressed = {name.removesuffix(".gz") for name in page.files if name.endswith(".gz")}
    assert {"runtime/run.js", "index.html", "model.tflite", "icon.svg"} <= compressed
    assert "runtime/noise.wasm" not in compressed and not {"icon-192.png", "icon-512.png"} & compressed
    data = (tmp_path / "site/runtime/run.js.gz").read_bytes()
    assert gzip.decompress(data) == RUNTIME["run.js"] and data[4:8] == bytes(4), "without the time of writing"


def test_service_worker_lists_the_checksum_of_every_file(model: Path, tmp_path: Path) -> None:
    page = write_page(model, tmp_path / "site")
    found = site(tmp_path / "site")
    names = {name for name in page.files if not name.endswith(".gz")} - {"service-worker.js"}
    contents = {name: (tmp_path / "site" / name).read_bytes() for name in names}
    expected = {
        name: f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"
        for name, content in contents.items()
    }
    assert found["files"] == expected
    assert (tmp_path / "site/service-worker.js").read_bytes().endswith((PAGE / "service-worker.js").read_bytes())
    assert found["version"] == hashlib.sha256(json.dumps(found["files"]).encode()).hexdigest()[:16]


def test_version_of_a_page_depends_on_title_and_model(model: Path, tmp_path: Path) -> None:
    def version(title: str | None = None) -> str:
        write_page(model, tmp_path / "site", title=title)
        return str(site(tmp_path / "site")["version"])

    plain = version()
    assert version("Colors") != plain and version() == plain
    model.write_bytes(color_model(normalization=UNIT, facts={"quantization": "float32"}))
    assert version() != plain


def test_title_is_escaped_in_the_page_and_stored_in_the_manifest(model: Path, tmp_path: Path) -> None:
    title = 'Äpfel & <Birnen> \\1 "x"'
    write_page(model, tmp_path / "site", title=title)
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    escaped = "Äpfel &amp; &lt;Birnen&gt; \\1 &quot;x&quot;"
    assert f"<title>{escaped}</title>" in page and f"<h1>{escaped}</h1>" in page
    manifest = json.loads((tmp_path / "site/manifest.webmanifest").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["short_name"]) == (title, title)


@pytest.mark.parametrize("title", ["", "  ", "two\nlines", "a\x07bell"])
def test_blank_and_unprintable_titles_are_refused(title: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`title` must be one line"):
        write_page(model, tmp_path / "site", title=title)
    assert not (tmp_path / "site").exists()


def write(model: Path, folder: Path) -> WrittenPage:
    return write_page(model, folder)


def test_page_is_written_into_empty_folders_and_over_older_pages(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(model, tmp_path / "empty")
    (tmp_path / "empty/CNAME").write_text("example.org")
    write(model, tmp_path / "empty")
    assert (tmp_path / "empty/CNAME").read_text() == "example.org"
    (tmp_path / "begun/runtime").mkdir(parents=True)
    (tmp_path / "begun/runtime/.x.js.0123abcd.poets_edge.tmp").write_text("left by a killed run")
    write(model, tmp_path / "begun")


@pytest.mark.parametrize("name", ["mine.txt", "runtime/mine.js", "other/.x.0123abcd.poets_edge.tmp"])
def test_page_is_not_written_into_folders_with_other_files(name: str, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "site" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(OutputError, match="it already contains something"):
        write(model, tmp_path / "site")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="it already contains something"):
        write(model, tmp_path / "file")
    assert [found for found in (tmp_path / "site").rglob("*") if found.is_file()] == [path]
