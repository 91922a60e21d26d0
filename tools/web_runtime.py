"""Pack the WebAssembly files of LiteRT.js into the package: `python -m tools.web_runtime`.

The files are read from web/build/runtime, the output of `npm run build`. The archive compresses 28 MB to 2.5 MB,
because the runtime consists of three builds that are largely identical. `poets-edge web` unpacks it, so that neither
building nor using a wheel requires Node.
"""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

from poets_edge.exporting.web import RUNTIME_ARCHIVE

_BUILT = Path(__file__).resolve().parent.parent / "web/build/runtime"
_DICTIONARY = 32 << 20  # window size in bytes: more than all files together
_LONG_AGO = 315532800  # 1980


def main() -> None:
    """Write the archive of the WebAssembly files. Equal input files give archives that are equal byte for byte."""
    packed = io.BytesIO()
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": _DICTIONARY}]
    with (
        lzma.open(packed, "wb", filters=filters) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in sorted(_BUILT.iterdir()):
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mtime = path.stat().st_size, _LONG_AGO
            with path.open("rb") as content:
                archive.addfile(entry, content)
    RUNTIME_ARCHIVE.write_bytes(packed.getvalue())


if __name__ == "__main__":
    main()
