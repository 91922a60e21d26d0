"""Hostile devices for the option `--on`, which runs commands on another device over SSH.

The functions write random plans of incorrect responses, which `fake_device.py` carries out.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shlex
import sys
from pathlib import Path
from random import Random
from typing import Any

from poets_edge.bench.machine import machine_facts, machine_state
from poets_edge.bench.remote import connection, ssh
from poets_edge.bench.remote.limits import Limits
from poets_edge.bench.remote.on_device.agent import Agent
from poets_edge.bench.timing import Timing
from poets_edge.core.files import sha256_of
from poets_edge.device.classifier import Classifier
from tools.fuzz import records

_FAKE = Path(__file__).with_name("fake_device.py")
_LIMITS = Limits(login=6.0, silence=3.0, taking=6.0, answer=4.0, work=6.0, fetch=6.0, program=4.0, measuring=5.0)
"""Time limits for connections, in seconds; they are short so that a thousand silent devices take less than a day."""
_GARBAGE: tuple[bytes, ...] = (
    b"",
    b"\n",
    b"{}\n",
    b"null\n",
    b"[]\n",
    b'"id"\n',
    b"\xff\xfe\x00\n",
    b"[" * 300_000 + b"\n",
    b'{"id": NaN}\n',
    b'{"id": 1e999}\n',
    b'{"id": ' + b"9" * 5000 + b"}\n",
    b'{"id": ' + b"9" * 400 + b', "done": true}\n',
    b"[" + b"[]," * 5_000_000 + b"[]]\n",
    b'{"id": 1, "line": "' + b"\\u20ac" * 2_000_000 + b'"}\n',
    b'{"id": 1, "error": "' + b"x" * 100_000 + b'"}\n',
    b'{"id": 1, "error": "\\u001b[2J\\ud800", "path": "\\u0000"}\n',
    b'{"id": 1, "error": {}, "path": []}\n',
    b'{"id": true, "done": true}\n',
    b'{"beat": true}\n',
)
_FLOODS: tuple[bytes, ...] = (
    b"x" * 1000,
    b"noise\n" * 100,
    b'{"beat": true}\n' * 20,
    b'{"id": 7777, "line": "x"}\n' * 20,
    b'{"id": 0, "line": "x"}\n' * 20,
    b'{"id": 1, "line": "x"}\n' * 20,
    b"",
)
_LINES: tuple[bytes, ...] = (
    b"",
    b"null",
    b"x" * 200_000,
    b"\xff",
    b"[" * 100_000,
    b'{"kind": "Note", "text": "x"}',
    b'{"kind": "Warn", "text": "\\u001b[2Jx"}',
    b'{"kind": "Begin", "what": "x", "total": 4611686018427387904, "unit": "B"}',
    b'{"kind": "Advance", "amount": 4611686018427387904}',
    b'{"kind": "End"}',
    b'{"kind": "Result", "warnings": []}',
    b'{"kind": "Failure", "error": "x", "name": "__builtins__"}',
    b'{"kind": "Failure", "error": "x", "name": "AccuracyDropError"}',
    b'{"kind": "PhotoScores", "model": 0, "photo": "nothing.jpg", "scores": [1]}',
    b'{"kind": "Round"}',
)


def prepare(seeds: Path, folder: Path) -> None:
    """Write the responses of a correct device to `seeds/device.json`, and shorten the time limits of connections.

    Fuzz tests make hostile devices by changing these responses.

    Args:
        seeds: folder of the valid files that are mutated.
        folder: folder of photos whose scores are among the responses.
    """
    connection.LIMITS = _LIMITS  # type: ignore[attr-defined]  # replaces the imported default
    model = seeds / "seed_graph.tflite"
    agent = Agent(io.BytesIO(), io.StringIO())
    request = {"folder": "", "kind": "cache", "packages": ["numpy", "pillow", "picamera2", "pip"]}
    facts = {**agent.do_facts(request), "state": "ours", "free": 10**10, "writable": True, "older": [], "usual": True}
    timing = Timing(
        load_ms=1.5,
        first_ms=2.0,
        warm_up_runs=3,
        steady=True,
        samples_ms=(1.0, 1.1, 1.25),
        decode_ms=(1.0, 2.0),
        resize_ms=(1.0, 2.0),
        inference_ms=(1.0, 2.0),
        peak_memory_mb=60.0,
        accelerated=True,
        state=machine_state(),
    )
    window = {"seconds": 0.3, "runs": 3, "late": 0, "median_ms": 1.0, "p90_ms": 1.2, "samples_ms": [1.0, 1.1, 1.2]}
    classifier = Classifier(model)
    from PIL import Image

    scores = [
        [path.relative_to(folder).as_posix(), classifier.scores(Image.open(path).convert("RGB")).tolist()]
        for path in sorted(folder.rglob("*.png"))
    ]
    honest = {
        "facts": facts,
        "machine": machine_facts(),
        "timing": timing.to_json(),
        "window": {**window, "state": machine_state().to_json()},
        "scores": scores,
        "frames": {"names": ["daisy/collected-20261130-120000-00000.jpg"], "sizes": [10]},
        "sha256": sha256_of(model),
    }
    (seeds / "device.json").write_text(json.dumps(honest))


def make(seeds: Path, work: Path, rng: Random) -> tuple[list[str], Path]:
    """Write a plan, a JSON file that states how a hostile device answers, with randomly chosen faults.

    Args:
        seeds: folder of the valid files that are mutated, including `device.json`.
        work: folder in which the command runs, and to which the plan is written.
        rng: random number generator.

    Returns:
        The command line that connects to the device, and the path of the plan.
    """
    honest = json.loads((seeds / "device.json").read_bytes())
    plan: dict[str, Any] = {**honest, "deployed": rng.random() < 0.5, "status": rng.choice((0, 1, 97, 127, 255))}
    plan |= {
        "at": rng.choice((1, 2, 3, 4, rng.randint(3, 12), rng.randint(3, 20))),
        "action": "replace",
        "inner": False,
    }
    data = b""
    chance = rng.random()
    if chance < 0.35:  # honest answers with wrong values
        part = rng.choice(("facts", "facts", "machine", "timing", "window", "scores", "frames"))
        plan["at"] = -1
        plan[part] = _mutated(honest[part], rng)
    elif chance < 0.5:
        data = rng.choice(_GARBAGE)
        if data == b"":
            data = rng.randbytes(rng.randrange(2000))
    elif chance < 0.65:
        plan |= {"inner": True, "at": rng.randint(8, 16), "action": rng.choice(("replace", "replace", "flood"))}
        data = rng.choice(_LINES)
    elif chance < 0.75:
        plan["action"], data = "flood", rng.choice(_FLOODS)
    else:
        quick = ("twice", "skip", "end", "end", "close")
        slow = ("mute", "beats only", "trickle", "deaf", "flood stderr")
        plan["action"] = rng.choice(quick if rng.random() < 0.7 else slow)
        data = b"warning " * 100 if plan["action"] == "flood stderr" else b""
    plan["data"] = base64.b64encode(data).decode()
    file = work / "plan.json"
    file.write_text(json.dumps(plan))
    os.environ[ssh.SSH_VARIABLE] = shlex.join([sys.executable, "-S", "-E", str(_FAKE), str(file)])
    model, on = str(seeds / "seed_graph.tflite"), ["--on", "pi"]
    measure = ["benchmark", model, "--threads", "1", "--min-seconds", "0.01", "--rounds", "2", *on]
    commands = [
        [*measure, "--json"],
        [*measure, "--json", "--image_dir", "folder", "--set", "all"],
        measure,
        ["benchmark", model, "--threads", "1", "--sustained", "1s", *on, "--json"],
        ["deploy", model, *on, "--source", "stream.mjpeg"],
        ["deploy", *on, "--remove"],
        ["deploy", *on, "--fetch", str(work / "fetched")],
    ]
    return rng.choices(commands, (4, 3, 2, 2, 2, 1, 1))[0], file


def _mutated(value: Any, rng: Random) -> Any:
    """Return a copy of a JSON value with one to three random changes, after which it is still valid JSON."""
    for _ in range(20):
        try:
            return json.loads(records.mutate(json.dumps(value).encode(), rng))
        except (ValueError, RecursionError):
            continue
    return value
