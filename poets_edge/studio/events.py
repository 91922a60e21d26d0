"""Server-sent events that inform each open web page when the state of the project or of its jobs changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

_LOOK_SECONDS = 0.2
_KEEP_ALIVE = 75
"""Number of successive polls without a change after which an SSE comment is sent, to detect a closed connection."""


async def state_changes(states: Callable[[], Mapping[str, Mapping[str, Any]]]) -> AsyncIterator[bytes]:
    """Yield server-sent events, endlessly: first one for each state, and then one whenever a state changes.

    Args:
        states: function that returns the current states, as a JSON-compatible value for each event name. It is called
            five times a second, in a worker thread.
    """
    sent: dict[str, str] = {}
    quiet = 0
    while True:
        quiet += 1
        for name, state in (await run_in_threadpool(states)).items():
            text = json.dumps(state)
            if sent.get(name) != text:
                sent[name] = text
                quiet = 0
                yield f"event: {name}\ndata: {text}\n\n".encode()
        if quiet >= _KEEP_ALIVE:
            quiet = 0
            yield b": \n\n"
        await asyncio.sleep(_LOOK_SECONDS)
