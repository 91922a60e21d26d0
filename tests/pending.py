"""Files as they are after `write_together` was killed before its first rename."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def interrupt(files: Mapping[Path, bytes]) -> None:
    """Write the temporary files and the journal of a program that was killed before it renamed any of `files`.

    Args:
        files: new content of each file; the journal is in the folder of the first one.
    """
    renames = []
    for number, (path, content) in enumerate(files.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.killed_{number}.poets_edge.tmp")
        temporary.write_bytes(content)
        renames.append([str(temporary.resolve()), str(path.resolve())])
    (next(iter(files)).parent / ".poets_edge.pending").write_text(json.dumps(renames))
