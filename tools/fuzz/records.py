"""Mutations of training records and benchmark results in JSON, and of the bytes of other files."""

from __future__ import annotations

import json
from random import Random
from typing import Any

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1 << 40, 0.5, -1e300, "", "x", "../../etc/passwd", "\x1b[2J", "\ud800"),
    *([], {}, [[]], [None], {"a": 1}, float("nan"), float("inf")),
)
_BROKEN = (b"", b"{", b"[" * 200_000, b"\xff\xfe", b"null", b"NaN")


def mutate(record: bytes, rng: Random) -> bytes:
    """Return a copy of a JSON document (bytes) with one to three changed, removed or added values, or damaged text."""
    if rng.random() < 0.15:
        return rng.choice(
            (b"", b"{", b"[" * 200_000, b"\xff\xfe", b"null", b"NaN", record[: rng.randrange(len(record))])
        )
    value = json.loads(record)
    for _ in range(rng.randint(1, 3)):
        place = value
        while True:
            keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.7:
                place = place[key]
                continue
            if rng.random() < 0.2:
                del place[key]
            else:
                place[key] = rng.choice(_VALUES)
            break
    return json.dumps(value).encode()


def break_bytes(data: bytes, rng: Random) -> bytes:
    """Return a copy of `data` that is truncated or has some changed bytes."""
    changed = bytearray(data)
    kind = rng.randrange(3)
    if kind == 0:
        return bytes(changed[: rng.randrange(len(changed))])
    for _ in range(rng.randrange(1, 12)):
        place = rng.randrange(min(len(changed), 4096) if kind == 1 else len(changed))
        changed[place] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)
