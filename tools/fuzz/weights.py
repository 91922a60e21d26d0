"""Hostile weights files: incorrect arrays, small files with huge contents, and archives with links or huge members."""

from __future__ import annotations

import io
import tarfile
import zipfile
from random import Random

import numpy as np

from tools.fuzz.records import break_bytes


def change_arrays(genuine: bytes, rng: Random) -> bytes:
    """Return a copy of an npz file in which one array is missing, renamed, or has an incorrect shape, type or value."""
    with np.load(io.BytesIO(genuine)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = rng.choice(sorted(arrays))
    action = rng.randrange(5)
    if action == 0:
        del arrays[name]
    elif action == 1:
        arrays[name] = arrays[name].reshape(-1)
    elif action == 2:
        arrays[name] = np.full_like(arrays[name], rng.choice((np.nan, np.inf, 6e4)))
    elif action == 3:
        arrays[name] = arrays[name].astype(rng.choice(("U8", "c8", "i8", "f8", "O")))
    else:
        arrays["../../x"] = arrays.pop(name)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def make_bomb(rng: Random) -> bytes:
    """Return an npz file whose members are much larger than the file, or have headers with incorrect shapes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for index in range(rng.choice((1, 3, 136))):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": "<f4", "fortran_order": False, "shape": (rng.choice((16, 1 << 20, 1 << 40)),)}
            )
            archive.writestr(f"arr_{index}.npy", header.getvalue() + bytes(rng.choice((64, 64 << 20))))
    return file.getvalue()


def make_archive(rng: Random) -> bytes:
    """Return a tar.gz file, possibly damaged, in which the frozen graph is a link, too large or all zeros."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("mobilenet/frozen_graph.pb")
        kind = rng.randrange(4)
        if kind == 0:
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        elif kind == 1:
            member.type, member.linkname = tarfile.LNKTYPE, "mobilenet/frozen_graph.pb"
        elif kind == 2:
            member.size = 600 << 20
            archive.addfile(member, _Zeros())
            return file.getvalue()
        else:
            member.size = 100
        archive.addfile(member, io.BytesIO(bytes(member.size)) if member.size else None)
    data = file.getvalue()
    return break_bytes(data, rng) if rng.random() < 0.3 else data


class _Zeros(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)
