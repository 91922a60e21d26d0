"""Which file system a folder lies on: some of them cannot hold a database that several programs write."""

from __future__ import annotations

import os
from pathlib import Path

NETWORK = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "pvfs2",
        "orangefs", "ocfs2", "gfs2", "davfs", "ncpfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone",
        "fuse.glusterfs", "fuse.ceph", "fuse.juicefs", "fuse.mount-s3",
    }
)  # fmt: skip
"""Types as Linux names them. SQLite's write-ahead log needs memory that all its users share: one machine."""

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


def network_type(folder: Path) -> str | None:
    """The type of the network file system that a folder, or what will hold it, lies on; None where it lies on none.

    Only Linux says; elsewhere it is always None.
    """
    kind = _type_of(os.path.realpath(folder))
    return kind if kind in NETWORK else None


def on_network_remark(folder: Path) -> str | None:
    """A warning for a user whose `bottleneck_dir` is on a network file system; None where it is not."""
    kind = network_type(folder)
    if kind is None:
        return None
    return (
        f"`bottleneck_dir` {folder} is on a network file system ({kind}), where SQLite is not safe: bottlenecks are"
        " kept as files of some hundred each, and photos are read again in every run."
    )


def _type_of(path: str) -> str | None:
    best, found = "", None
    for point, kind in _mounts():
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount on the same place hides the earlier one
            best, found = point, kind
    return found


def _mounts() -> list[tuple[str, str]]:
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [mount for line in lines if (mount := _parse(line))]


def _parse(line: str) -> tuple[str, str] | None:
    """(place, type) of a line: `36 35 98:0 /root /place rw,noatime shared:1 - ext4 /dev/sda rw`."""
    before, _, after = line.partition(" - ")
    words, rest = before.split(" "), after.split(" ")
    if len(words) < 5 or not rest[0]:
        return None
    point = words[4]
    for escaped, character in _ESCAPES.items():
        point = point.replace(escaped, character)
    return point, rest[0]
