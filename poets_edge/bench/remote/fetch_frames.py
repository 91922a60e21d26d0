"""The command `deploy --fetch`, which copies the frames that `watch --collect` saved on a device to this computer.

Nothing is removed from the device, and no local file is overwritten. The file `.fetched.json` in the local folder lists
the fetched frames, so that frames are not fetched again even if they have been sorted, moved or deleted.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.remote.answers import Facts, FrameContent, Frames, Service
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.installation import open_folder
from poets_edge.bench.remote.ssh import check_host
from poets_edge.core.files import check_writable, read_bytes, write_bytes
from poets_edge.core.json_checks import check, parse_json
from poets_edge.device.watch.collect import FRAME_NAME, class_folder
from poets_edge.errors import OutputError, RecordError, RemoteError
from poets_edge.progress import Reporter, Silent

_LIST = ".fetched.json"
_LARGEST_LIST = 16 << 20
_JPEG = b"\xff\xd8\xff"
_LARGEST_FRAME = 8 << 20


@dataclass(frozen=True, kw_only=True)
class FetchedFrames:
    """Frames that were copied from a device.

    Attributes:
        host: SSH destination of the device.
        source: folder on the device that contains the frames.
        folder: local folder, which contains a subfolder for each label.
        files: local paths of the new files.
        known: number of frames on the device that were fetched earlier and are now skipped.
    """

    host: str
    source: str
    folder: Path
    files: tuple[Path, ...]
    known: int

    @property
    def per_label(self) -> dict[str, int]:
        """Return the number of new files for each label."""
        return dict(sorted(Counter(path.parent.name for path in self.files).items()))

    def to_json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "source": self.source,
            "folder": str(self.folder),
            "files": [str(path) for path in self.files],
            "per_label": self.per_label,
            "fetched_before": self.known,
        }


def fetch_frames(
    host: str, folder: Path, *, source: str = "", remote_dir: str = "", reporter: Reporter | None = None
) -> FetchedFrames:
    """Copy the frames that a device has saved, except those that were fetched before, to a local folder.

    Args:
        host: SSH destination of the device.
        folder: local folder; each frame is saved in a subfolder named after its label.
        source: folder on the device; by default the one in which the deployed service saves frames.
        remote_dir: value of `DeployOptions.remote_dir` with which the service was deployed.

    Raises:
        RemoteError: the device cannot be reached, the folder `source` does not exist, or the device sends data that are
            not frames.
        OutputError: a file cannot be written.
        RecordError: the list of fetched frames in `folder` is damaged.
    """
    reporter = reporter or Silent()
    check_writable(folder / _LIST)
    listed = _read_list(folder)
    files: list[Path] = []
    with Connection(check_host(host)) as connection:
        found = connection.ask("frames", Frames, folder=source or _collecting(connection, remote_dir, reporter))
        if len(found.names) != len(found.sizes) or len(set(found.names)) != len(found.names):
            raise connection.invalid_answer("names and sizes of frames")
        keys = {f"{name} {size}": (name, size) for name, size in zip(found.names, found.sizes, strict=True)}
        new = {key: frame for key, frame in keys.items() if key not in listed}
        try:
            with reporter.progress(f"{connection.host}: fetching frames", len(new), "frame") as advance:
                for key, (name, size) in new.items():
                    label, _, file = name.rpartition("/")
                    if not _is_label(label) or not FRAME_NAME.fullmatch(file) or size > _LARGEST_FRAME:
                        reporter.warn(f"{connection.host}: left, because of its name or size: {name!r}")
                        continue
                    answer = connection.ask("frame", FrameContent, folder=found.folder, name=name)
                    path = _save(folder / label, file, _jpeg(connection, answer.data, size))
                    files += [path] if path else []
                    listed.add(key)
                    advance(1)
        finally:
            write_bytes(folder / _LIST, json.dumps(sorted(listed), indent=0).encode())
    return FetchedFrames(host=host, source=found.folder, folder=folder, files=tuple(files), known=len(keys) - len(new))


def _collecting(connection: Connection, remote_dir: str, reporter: Reporter) -> str:
    """Return the folder on the device in which the service saves frames. Raises RemoteError if it saves no frames."""
    host = connection.host
    facts = connection.ask("facts", Facts, folder=remote_dir, kind="data", packages=[])
    if facts.state != "ours":
        raise RemoteError(f"{host}: nothing is deployed there. Name the folder of the frames with `collect`.")
    open_folder(connection, facts, default=False, reporter=reporter)
    note = connection.ask("service", Service).note
    if note is None or note.collect is None:
        raise RemoteError(f"{host}: the service there saves no frames. Deploy the model with `collect`.")
    return note.collect


def _is_label(name: str) -> bool:
    return bool(name) and name.isprintable() and class_folder(name) == name


def _jpeg(connection: Connection, data: str, size: int) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise connection.invalid_answer("a frame in base64") from None
    if len(content) != size or not content.startswith(_JPEG):
        raise connection.invalid_answer("a JPEG of the size it has told")
    return content


def _save(folder: Path, name: str, content: bytes) -> Path | None:
    """Write a file under an unused name and return its path, or return None if an identical file already exists."""
    stem, dot, suffix = name.rpartition(".")
    number, path = 1, folder / name
    while path.exists() or path.is_symlink():
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return None
        number += 1
        path = folder / f"{stem}-{number}{dot}{suffix}"
    write_bytes(path, content)
    return path


def _read_list(folder: Path) -> set[str]:
    path = folder / _LIST
    try:
        return set(check(parse_json(read_bytes(path, _LARGEST_LIST)), [str]))
    except FileNotFoundError:
        return set()
    except RecordError as error:
        raise RecordError(
            f"{path}: {error}. It lists the frames that were fetched; move it away to fetch all."
        ) from None
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}.") from None
