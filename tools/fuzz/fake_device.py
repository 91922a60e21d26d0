"""Hostile device: a script that replaces ssh and answers like poets_edge's program on a device, except for one line.

    python -S -E fake_device.py PLAN

The plan is a JSON file with the correct answers, the number of the line to change, and the action at that line. This
script imports only modules of the standard library that load fast, because it is started for every test.
"""

import base64
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

MARKER = b"poets-edge agent 1"
FRAME = b"\xff\xd8\xff a JPEG"


class Device:
    """Device that answers requests with lines of JSON, and replaces one of the lines as specified in a plan."""

    def __init__(self, plan: dict) -> None:  # type: ignore[type-arg]
        self.plan = plan
        self.count = 0
        self.out = sys.stdout.buffer
        self.lock = threading.Lock()

    def send(self, message: object) -> None:
        """Send a message as a line of JSON. If the plan selects this line, carry out the plan's action instead."""
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def send_bytes(self, line: bytes) -> None:
        self.count += 1
        if self.count == self.plan["at"]:
            self.act(line)
        else:
            self.write(line)

    def write(self, data: bytes) -> None:
        with self.lock:
            self.out.write(data)
            self.out.flush()

    def beat(self) -> None:
        while True:
            time.sleep(1)
            self.write(b'{"beat": true}\n')

    def act(self, line: bytes) -> None:
        """Carry out the plan's action instead of sending `line`, such as replacing, repeating or dropping the line."""
        action, data = self.plan["action"], base64.b64decode(self.plan["data"])
        if action == "replace":
            self.write(data)
        elif action == "twice":
            self.write(line + line)
        elif action == "skip":
            pass
        elif action == "flood":
            while True:
                self.write((data or line) * 64)
        elif action == "flood stderr":
            while True:
                os.write(2, data * 64)
        elif action == "trickle":
            for byte in line:
                self.write(bytes([byte]))
                time.sleep(0.7)
        elif action == "mute":
            time.sleep(1000)
        elif action == "beats only" or action == "deaf":
            self.beat()
        elif action == "end":
            os._exit(self.plan["status"])
        elif action == "close":
            os.close(1)
            time.sleep(1000)

    def answer(self, request: dict) -> None:  # type: ignore[type-arg]
        """Answer a request as poets_edge's program on a device would, but with values from the plan."""
        number, do = request.get("id"), request["do"]
        if number is None:
            return
        known: dict[str, dict[str, object]] = {
            "facts": self.plan["facts"],
            "open": {"left": []},
            "have": {"items": request.get("items", [])},
            "service": {"note": {"lingered": False, "collect": "/home/pi/unsure"} if self.plan["deployed"] else None},
            "set_service": {"path": "/home/pi/.local/share/poets-edge/service/poets-edge-watch.service"},
            "links": {"path": "/home/pi/.config/systemd/user/x.service", "foreign": False, "others": []},
            "remove": {"left": []},
            "frames": {
                "folder": "/home/pi/unsure",
                "names": ["daisy/collected-20261130-120000-00000.jpg"],
                "sizes": [len(FRAME)],
                **self.plan.get("frames", {}),
            },
            "frame": {"data": base64.b64encode(FRAME).decode(), **self.plan.get("frame", {})},
        }
        if do == "run":
            for line in self.lines(request):
                self.send_line(number, line)
            self.send({"id": number, "done": True, "status": 0, "stderr": []})
        else:
            self.send({"id": number, "done": True, **known.get(do, {})})

    def send_line(self, number: int, line: dict | str) -> None:  # type: ignore[type-arg]
        """Send a message with a line of a program's output; the plan may replace the line or the whole message.

        Args:
            number: number of the request that started the program.
            line: the line, or a value that is converted to a line of JSON.
        """
        text = line if isinstance(line, str) else json.dumps(line)
        if self.count + 1 == self.plan["at"] and self.plan["inner"]:
            self.count += 1
            text = base64.b64decode(self.plan["data"]).decode("utf-8", "surrogateescape")
            if self.plan["action"] == "flood":
                while True:
                    self.write(json.dumps({"id": number, "line": text}).encode() + b"\n")
            self.write(json.dumps({"id": number, "line": text}).encode() + b"\n")
            return
        self.send({"id": number, "line": text})

    def lines(self, request: dict) -> list:  # type: ignore[type-arg]
        """Return the lines that the program in a request would print to standard output."""
        command = request["command"]
        if "poets_edge.bench.remote.measure" in command:
            return self.measure(json.loads(request["input"]))
        if "show" in command:
            return ["ExecMainPID=7", "ActiveState=active", "SubState=running", "NRestarts=0"]
        if command[0] == "journalctl":
            return ["watching", "10:00:00  daisy (score = 0.9)", "10:00:01  roses (score = 0.8)"]
        return []

    def measure(self, asked: dict) -> list:  # type: ignore[type-arg]
        """Return the messages that the program for latency measurements on a device would print.

        Measured values are taken from the plan.

        Args:
            asked: the input of the program: the task, the configuration and the folder of photos.
        """
        machine = self.plan["machine"]
        lines = [{"kind": "Machine", **machine}, {"kind": "Note", "text": "measuring"}]
        if asked["task"] == "rounds":
            stamp = json.dumps([machine, asked["config"]], sort_keys=True).encode()
            for number in range(asked["config"]["rounds"]):
                round = {
                    "stamp": hashlib.sha256(stamp).hexdigest()[:16],
                    "sha256": self.plan["sha256"],
                    "threads": 1,
                    "round": number,
                    "entry": self.plan["timing"],
                }
                lines += [
                    {"kind": "Begin", "what": "measuring", "total": 1, "unit": "run"},
                    {"kind": "FinishedRound", "round": round},
                    {"kind": "Advance", "amount": 1},
                    {"kind": "End"},
                ]
            if asked["image_dir"]:
                lines += [
                    {"kind": "PhotoScores", "model": 0, "photo": name, "scores": scores}
                    for name, scores in self.plan["scores"]
                ]
        if asked["task"] == "sustained":
            lines += [{"kind": "Window", "model": 0, "window": self.plan["window"]}] * 3
        return [*lines, {"kind": "Result", "warnings": ["warm"]}]


def main() -> None:
    with Path(sys.argv[1]).open("rb") as file:
        device = Device(json.load(file))
    requests = sys.stdin.buffer
    requests.read(int(requests.readline()))
    device.send_bytes(b"Welcome!\n")
    device.send_bytes(MARKER + b"\n")
    while line := requests.readline():
        request = json.loads(line)
        if request["do"] == "receive":
            while size := int(requests.readline()):
                requests.read(size)
        device.answer(request)


main()
