"""Static files of the studio's web page, including the WebAssembly runtime LiteRT.js, which runs models in the page."""

from __future__ import annotations

import tarfile
import threading
from pathlib import Path

from poets_edge.exporting.web import PAGE as EXPORTED_PAGE
from poets_edge.exporting.web import RUNTIME_ARCHIVE
from poets_edge.studio.refusal import missing

PAGE = Path(__file__).parent / "page"
_WORKER = EXPORTED_PAGE / "worker.js"
"""Script of the web worker that runs a model. The pages that `poets-edge web` writes contain the same script."""

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
"""MIME types of the files, by suffix."""


class PageFiles:
    """Files of the studio's web page, found by name in a dictionary, so that no other file can be read."""

    def __init__(self, folder: Path = PAGE) -> None:
        self._folder = folder
        self._runtime: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def page(self, name: str) -> bytes:
        """Return the content of a file of the web page. Raises RefusedError if there is no file with this name."""
        files = {path.name: path for path in self._folder.iterdir() if path.is_file()}
        files[_WORKER.name] = _WORKER
        if name not in files:
            raise missing(name)
        return files[name].read_bytes()

    def runtime(self, name: str) -> bytes:
        """Return the content of a file of LiteRT.js. Raises RefusedError if there is no file with this name."""
        with self._lock:
            if not self._runtime:
                with tarfile.open(RUNTIME_ARCHIVE) as archive:
                    for entry in archive:
                        content = archive.extractfile(entry)
                        assert content is not None  # the archive contains files only
                        self._runtime[entry.name] = content.read()
        if name not in self._runtime:
            raise missing(name)
        return self._runtime[name]
