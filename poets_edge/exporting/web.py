"""Export a model as a web page: a folder of static files for any web server.

The folder contains the page, the model, LiteRT for WebAssembly, a manifest and a service worker. The page reads labels
and normalization from the model, as `poets-edge label` does. The package includes the page, which `make web` builds
from `web/`, so users do not need Node.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poets_edge.core.files import finish_pending, is_auxiliary, read_head
from poets_edge.core.json_checks import parse_json
from poets_edge.errors import OutputError, UsageError
from poets_edge.exporting.generated_files import write_generated
from poets_edge.exporting.other_readers import open_for_other_readers
from poets_edge.tflite.session import TensorInfo

PAGE = Path(__file__).parent / "page"
RUNTIME_ARCHIVE = Path(__file__).parent / "page_runtime.tar.xz"
MODEL_NAME = "model.tflite"

_PAGE, _MANIFEST = "index.html", "manifest.webmanifest"
_TITLES = re.compile(r"(<title>|<h1>).*?(</title>|</h1>)")
_WORKER = "service-worker.js"
_RUNTIME = "runtime"
_SITE = b"const SITE="
"""Start of the service worker's first line, which lists the files of the page. A folder whose service worker starts
like this was written by `write_page`."""

_PLAIN = {".png"}
"""Suffixes of files that are already compressed, for which no `.gz` file is written."""

_NOT_ON_FIRST_VISIT = ("compat", "threaded", "icon-", "LICENSES")
"""Substrings in the names of files that a browser does not download on the first visit."""


@dataclass(frozen=True)
class WrittenPage:
    """Description of a web page that `write_page` has written.

    Attributes:
        files: paths of the written files, relative to the folder, with `/` as separator.
        size: total size of the files in bytes.
        page_transfer: compressed size in bytes of the page files that a browser downloads on the first visit.
        model_transfer: compressed size in bytes of the model.
        labels: class names, in the order of the outputs.
        input: description of the input tensor, of shape [1, height, width, 3].
    """

    folder: Path
    files: tuple[str, ...]
    size: int
    page_transfer: int
    model_transfer: int
    labels: tuple[str, ...]
    input: TensorInfo


def write_page(
    model: Path, folder: Path, *, labels: Path | None = None, input_range: str | None = None, title: str | None = None
) -> WrittenPage:
    """Write a web page that runs a model. The folder must be new or empty, or contain an older page.

    Compressible files are also written as `.gz` files, for servers that send precompressed files (nginx's
    `gzip_static`). Either all files are written or none. Other files in the folder are not changed.

    Args:
        labels: labels file that replaces the labels of the model.
        input_range: input values for the pixel values 0 and 255, such as "-1:1"; for models that do not specify them.
        title: title of the page, and name of the app on a home screen; by default "What is this?".

    Raises:
        ModelError: the model is missing or damaged, has no labels, or is not supported by the page.
        UsageError: the title is blank, or has characters that cannot be printed.
        OutputError: the folder contains other files but no page, or is not writable.
    """
    classifier = open_for_other_readers(model, "the page", labels=labels, input_range=input_range)
    _check_folder(folder)
    contents = _contents(classifier.file.content)
    if title is not None:
        contents |= _titled(contents, title)
    script = contents.pop(_WORKER)
    contents[_WORKER] = _SITE + json.dumps(_site(contents), separators=(",", ":")).encode() + b";\n" + script
    packed = {
        name: gzip.compress(data, compresslevel=6, mtime=0)
        for name, data in contents.items()
        if Path(name).suffix not in _PLAIN
    }
    shorter = {name: data for name, data in packed.items() if len(data) < len(contents[name])}
    files = {**{f"{name}.gz": data for name, data in shorter.items()}, **contents}
    write_generated(folder, files)
    transfer = {name: len(shorter.get(name, data)) for name, data in contents.items()}
    model_transfer = transfer.pop(MODEL_NAME)
    page_transfer = sum(transfer[name] for name in transfer if not any(part in name for part in _NOT_ON_FIRST_VISIT))
    size = sum(map(len, files.values()))
    return WrittenPage(folder, tuple(files), size, page_transfer, model_transfer, classifier.labels, classifier.input)


def _contents(model: bytes) -> dict[str, bytes]:
    """Return the contents of all files of the page except `.gz` files, keyed by path relative to the folder."""
    contents = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir())}
    with tarfile.open(RUNTIME_ARCHIVE) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None  # the archive contains files only
            contents[f"{_RUNTIME}/{entry.name}"] = content.read()
    return {**contents, MODEL_NAME: model}


def _titled(contents: Mapping[str, bytes], title: str) -> dict[str, bytes]:
    """Return the HTML page and the manifest with the given title, as a dictionary of contents keyed by file name."""
    if not title.strip() or not title.isprintable():
        raise UsageError(f"`title` must be one line of text, not {title!r}.")
    text, count = _TITLES.subn(lambda found: f"{found[1]}{html.escape(title)}{found[2]}", contents[_PAGE].decode())
    assert count == 2, "the page has a title and a heading"
    manifest = parse_json(contents[_MANIFEST]) | {"name": title, "short_name": title}
    return {_PAGE: text.encode(), _MANIFEST: json.dumps(manifest, indent=2, ensure_ascii=False).encode()}


def _site(contents: dict[str, bytes]) -> dict[str, object]:
    """Return the files that the service worker caches, with their checksums, and a version derived from these."""
    digests = {name: hashlib.sha256(data).digest() for name, data in contents.items()}
    files = {name: f"sha256-{base64.b64encode(digest).decode()}" for name, digest in digests.items()}
    return {"version": hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16], "files": files}


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        return
    try:
        finish_pending(folder)
        ours = all(map(_is_leftover, folder.iterdir())) or read_head(folder / _WORKER, len(_SITE)) == _SITE
    except OSError:
        ours = False
    if not ours:
        raise OutputError(
            f"{folder}: it already contains something. Name a new or empty folder, or one with an older page."
        )


def _is_leftover(path: Path) -> bool:
    """Return whether a file or folder was left behind by a run that was killed before it had written its page."""
    if path.is_dir():
        return path.name == _RUNTIME and all(map(_is_leftover, path.iterdir()))
    return is_auxiliary(path)
