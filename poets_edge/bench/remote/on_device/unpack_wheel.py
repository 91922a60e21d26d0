"""Unpack wheels on a device that has no `pip`.

This module runs on the device with the standard library only; see `agent.py`.
"""

from __future__ import annotations

import os
import shutil
import zipfile

from poets_edge.bench.remote.on_device.own_items import Staging

_ROOTS = ("purelib", "platlib")


def unpack_wheel(wheel: str, staging: Staging) -> None:
    """Unpack a wheel (PyPA, "Binary distribution format") as `pip install --target` does, then delete it."""
    with zipfile.ZipFile(os.path.join(staging.path, wheel)) as archive:
        for member in archive.infolist():
            first, _, rest = member.filename.partition("/")
            if first.endswith(".data"):
                root, _, rest = rest.partition("/")
                if root not in _ROOTS:  # scripts and headers are not needed here
                    continue
            else:
                rest = member.filename
            if rest and not member.is_dir():
                with archive.open(member) as source, staging.create(rest) as file:
                    shutil.copyfileobj(source, file)
    staging.drop(wheel)
