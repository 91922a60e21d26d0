"""The service that `deploy` has started on a device: its systemd unit, and a record of it.

This module runs on the device with the standard library only; see `own_folder.py`.
"""

from __future__ import annotations

import hashlib
import os

from poets_edge.bench.remote.on_device.own_files import (
    State,
    is_directory,
    own_directory,
    read_state,
    remove_empty,
    sha256,
    state_bytes,
)
from poets_edge.bench.remote.on_device.own_items import replace_file

_RECORD = ".poets-edge-service.json"
_UNITS = "service"


class OwnService:
    """Files of the service that is deployed in the program's folder: its systemd unit, and a record of the service.

    The record contains checksums of the unit file, so that a unit file that the user has edited is not overwritten or
    removed.
    """

    def __init__(self, folder: str, incoming: str) -> None:
        """Store the paths, without reading or writing anything.

        Args:
            folder: the program's folder.
            incoming: folder for incomplete files.
        """
        self._folder = folder
        self._incoming = incoming
        self._record = os.path.join(folder, _RECORD)

    def read(self) -> State:
        """Return the record that `write` saved; empty if there is none. Raises OSError if its file is damaged."""
        found = read_state(self._record)
        if found is None and os.path.lexists(self._record):
            raise OSError(0, "is damaged or was not written by this program; move it away", self._record)
        record = (found or {}).get("service")
        return record if isinstance(record, dict) else {}

    def unit_path(self, unit: str) -> str:
        """Return the path of the unit file for a service. Raises OSError if the name of the service is invalid."""
        if not unit.replace("-", "").isalnum():
            raise OSError(0, "not a name for a unit", unit)
        return os.path.join(self._folder, _UNITS, f"{unit}.service")

    def write(self, record: State, text: str = "") -> None:
        """Write the unit file and the record of the service.

        Args:
            record: JSON-compatible values that `read` returns later; the key "unit" contains the name of the service.
            text: text of the unit file; "" leaves the file unchanged.

        Raises:
            OSError: a file cannot be written, or the unit file was edited by hand.
        """
        path = self.unit_path(record["unit"])
        known = _checksums(self.read())
        if text:
            regular = os.path.isfile(path) and not os.path.islink(path)
            there = sha256(path) if regular else ""
            if os.path.lexists(path) and there not in known:
                raise OSError(0, "was changed since this program wrote it; move it away", path)
            new = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
            known = [one for one in (there, new) if one]
        replace_file(self._incoming, self._record, state_bytes({"service": {**record, "sha256": known}}))
        if text:
            own_directory(os.path.dirname(path))
            replace_file(self._incoming, path, text.encode("utf-8", "surrogateescape"))

    def remove(self) -> None:
        """Remove the unit file, unless it was edited by hand, and the record of the service."""
        units = os.path.join(self._folder, _UNITS)
        found = read_state(self._record)
        known = _checksums((found or {}).get("service"))
        for entry in list(os.scandir(units)) if is_directory(units) else ():
            if entry.is_file(follow_symlinks=False) and sha256(entry.path) in known:
                os.unlink(entry.path)
        remove_empty(units)
        if found is not None:
            os.unlink(self._record)


def _checksums(record: object) -> list[str]:
    """Return the checksums of the unit file from the record of a service; an empty list if there are none."""
    sums = record.get("sha256") if isinstance(record, dict) else None
    return [one for one in sums if isinstance(one, str)] if isinstance(sums, list) else []
