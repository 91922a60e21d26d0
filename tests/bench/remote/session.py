"""A session with the agent in this process, and the archives that are sent to it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from poets_edge.bench.remote.on_device.agent import Agent

ITEM = "program/00000000000000aa"


class Session:
    """Session on a device, in which the program's folder is open."""

    def __init__(self, folder: Path, *, adopt: bool = False, alone: bool = False) -> None:
        self.agent = Agent(io.BytesIO(), io.StringIO())
        self.left = self.agent.do_open({"folder": str(folder), "adopt": adopt, "alone": alone})["left"]

    def __del__(self) -> None:
        if self.agent._folder:
            self.agent._folder.close()

    def receive(self, item: str = ITEM) -> None:
        self.agent._requests = io.BytesIO(payload())
        self.agent.do_receive({"item": item, "wheels": True})

    def have(self, *items: str) -> list[str]:
        found: list[str] = self.agent.do_have({"items": list(items)})["items"]
        return found

    def remove(self) -> list[str]:
        left: list[str] = self.agent.do_remove({})["left"]
        return left


def payload() -> bytes:
    """Return a wheel with a module and a script, as `Connection.send_item` sends it."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/__init__.py", "answer = 42\n")
        archive.writestr("thing-1.data/scripts/run", "#!python")
    return sent("thing-1-py3-none-any.whl", wheel.getvalue())


def sent(name: str, content: bytes) -> bytes:
    """Return a file in a tar archive, as `Connection.send_item` sends it."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w|") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return b"%d\n%s0\n" % (len(tar.getvalue()), tar.getvalue())
