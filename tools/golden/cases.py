"""List of golden cases: test cases whose outputs are stored as text in tests/golden.

A golden case consists of the first command lines of a case in `tools.compare`, which also lists the values that differ
between runs.
"""

from __future__ import annotations

from dataclasses import replace

from tools.compare.cases import CASES, FIXTURES
from tools.compare.rules import Volatile
from tools.compare.volatile import VOLATILE

_LINES = {
    "trained": 2,
    "draw-photos": 1,
    "train": 1,
    "export": 1,
    "fixed-graph": 5,
    "label": 5,
    "evaluate": 3,
    "inspect": 5,
    "benchmark": 1,
    "compare-fixed": 1,
    "audit": 1,
    "grid-measured-one": 1,
    "runs": 4,
    "cache-trained": 1,
    "web": 1,
    "android": 1,
    "watch": 1,
    "codelab": 1,
}
"""Number of command lines with golden outputs in each case."""

NOT_GOLDEN = {
    "deploy": "needs a server",
    "fetch-flowers": "needs a server",
    "studio": "is a server",
    "doctor": "describes the machine",
    "quickstart": "runs commands that have golden outputs",
}
"""Commands without golden outputs, with the reasons."""

FIXTURES_BY_NAME = {fixture.name: fixture for fixture in FIXTURES}

_BY_NAME = {case.name: case for case in (*FIXTURES, *CASES)}

GOLDEN = tuple(replace(_BY_NAME[name], lines=_BY_NAME[name].lines[:count]) for name, count in _LINES.items())

EXACT_EVERYWHERE = frozenset({"fixed-graph"})
"""Golden cases whose values are equal on all 64-bit machines.

The weights in a float32, float16 or dynamic `.tflite` depend only on its graph, and the scores of an int8 model are
computed with integers. Trained weights, float scores and int8 ranges depend on the machine's arithmetic (see
`tools.golden.arithmetic`).
"""

GOLDEN_VOLATILE = (
    *(
        Volatile(reason="Versions, and the machine.", json=f"/{path}/*", nullable=True)
        for path in ("versions", "machine", "*/versions", "*/machine", "**/exported_with")
    ),
    Volatile(reason="The machine.", case="benchmark", file="*.stdout", text=r"^.*, \d+ cores.*", shown="MACHINE"),
    Volatile(reason="The time of a training run.", case="runs", json="/*/name"),
    *(
        Volatile(reason="Checksums of photos changed within two seconds are not stored.", case="cache*", json=json)
        for json in ("/caches/2/rows", "/caches/2/bytes")
    ),
    Volatile(reason="Copies of files that the case shows.", file="files/tf_files/runs/*", skipped=True),
    Volatile(reason="Compression depends on the version of zlib.", file="*.gz", skipped=True),
    Volatile(reason="The runtime of another project.", case="web", file="*/runtime/*", skipped=True),
    *VOLATILE,
)
"""Rules for the values that golden texts omit, since they differ between runs, versions or machines."""
