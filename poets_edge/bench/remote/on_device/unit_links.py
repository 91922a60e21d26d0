"""Find and remove the links in systemd's folder that lead to the unit files of deployed services.

This module runs on the device with the standard library only; see `agent.py`.
"""

from __future__ import annotations

import os

from poets_edge.bench.remote.on_device.own_folder import NAME, OwnFolder


def link_path(folder: str, unit: str) -> str:
    """Return the path in systemd's folder for the link to a unit."""
    return os.path.join(folder, f"{unit}.service")


def is_foreign(link: str, target: str) -> bool:
    """Return whether the path `link` exists, but is not a link to `target`."""
    return os.path.lexists(link) and not _leads_to(link, target)


def other_deployments(folder: str, prefix: str, link: str) -> list[str]:
    """Return the folders of other deployments of the program, found through the links to their unit files.

    Args:
        folder: systemd's folder for user units, which contains the links.
        prefix: prefix of the names of the links.
        link: path of this deployment's link, which is left out.
    """
    others = []
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        if entry.path != link and entry.name.startswith(prefix) and entry.is_symlink():
            other = os.path.dirname(os.path.dirname(os.readlink(entry.path)))
            if os.path.basename(other) == NAME and OwnFolder(other).state == "ours":
                others.append(other)
    return others


def remove_links(folder: str, unit: str, target: str) -> None:
    """Remove the links to the unit file `target` from systemd's folder and from its folder of enabled units."""
    for parent in (folder, os.path.join(folder, "default.target.wants")):
        link = link_path(parent, unit)
        if _leads_to(link, target):
            os.unlink(link)


def _leads_to(link: str, target: str) -> bool:
    return os.path.islink(link) and os.readlink(link) == target
