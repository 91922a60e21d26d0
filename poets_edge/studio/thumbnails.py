"""Thumbnails of the photos in a project, made by helper processes and cached in files.

The name of a cached file is the photo's stamp, a hash that changes when the photo is modified. Every photo is decoded
once in the background, which also detects unreadable photos. Requests from the web page are handled first.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from poets_edge.core.files import read_bytes, write_text
from poets_edge.core.parallel import cores
from poets_edge.core.processes import Helper, HelperEndedError
from poets_edge.errors import OutputError, PoetsEdgeError
from poets_edge.studio import messages
from poets_edge.studio.decoding import Decoded, DecodeRequest, decode
from poets_edge.studio.places import Places
from poets_edge.studio.scan import stamp_of

SIDE = 192
"""Length of the longer side of a thumbnail in pixels."""
_UPLOADED = "picture"
"""Placeholder for the name of an uploaded file in messages from the decoder."""
_LARGEST = 1 << 20
"""Maximum size in bytes of a file in the cache."""
_MOST_SECONDS = 60.0
_MOST_HELPERS = 2


@dataclass(frozen=True)
class _Task:
    request: DecodeRequest
    future: Future[Decoded]
    stamp: str = ""


class Thumbnails:
    """Thumbnail cache that decodes photos in up to two helper processes, which are started when first needed."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._ready = threading.Condition()
        self._urgent: deque[_Task] = deque()
        self._waiting: OrderedDict[str, str] = OrderedDict()
        self._known = {path.stem for path in places.thumbnails.glob("*.jpg")}
        self._problems = {path.stem: _text(path) for path in places.thumbnails.glob("*.txt")}
        self._threads: list[threading.Thread] = []
        self._paused = False

    @property
    def problems(self) -> Mapping[str, str]:
        """Why photos are unreadable, keyed by stamp, a hash that changes when the photo is modified."""
        return self._problems

    def check(self, stamps: Mapping[str, str]) -> None:
        """Start to decode, in the background, those photos of a project that have not been decoded before.

        Args:
            stamps: for each photo in the project, keyed by its name, a hash that changes when the file is modified (see
                `stamp_of`). This replaces the list from the previous call: photos that are not in it are no longer
                waiting to be decoded.
        """
        with self._ready:
            known, problems = self._known, self._problems
            self._waiting = OrderedDict(
                (stamp, name) for name, stamp in stamps.items() if stamp not in known and stamp not in problems
            )
            if self._waiting:
                self._start()
                self._ready.notify_all()

    def pause(self, paused: bool) -> None:
        """Pause or resume background decoding. It is paused while a job runs, so that the job can use all cores."""
        with self._ready:
            self._paused = paused
            self._ready.notify_all()

    def thumbnail(self, name: str, stamp: str) -> Decoded:
        """Return the thumbnail of a photo. If it is not cached, the photo is decoded before other waiting photos.

        Args:
            name: path of the photo relative to the project folder.
            stamp: hash that changes when the photo is modified (see `stamp_of`); the thumbnail is cached under it.
        """
        path = self._places.thumbnails / f"{stamp}.jpg"
        with contextlib.suppress(OSError):
            return Decoded(read_bytes(path, _LARGEST))
        if problem := self._problems.get(stamp):
            return Decoded(problem=problem)
        decoded = self._ask(name, SIDE, path)
        return decoded if decoded.jpeg or decoded.problem else Decoded(read_bytes(path, _LARGEST))

    def photo(self, name: str, side: int) -> Decoded:
        """Return a photo, scaled down so that its longer side has at most `side` pixels."""
        return self._ask(name, side)

    def check_files(self, paths: Iterable[Path]) -> Iterator[str]:
        """Decode uploaded files and save their thumbnails; for each file, yield the reason why it is unreadable, or "".

        All files are queued for decoding before the first result is awaited.
        """
        queued = [self._queue(_Task(self._check_request(path), Future())) for path in paths]
        for future in queued:
            yield future.result().problem.removeprefix(f"{_UPLOADED}: ")

    def _check_request(self, path: Path) -> DecodeRequest:
        return DecodeRequest(path, _UPLOADED, SIDE, self._places.thumbnails / f"{stamp_of(path.lstat())}.jpg")

    def _ask(self, name: str, side: int, target: Path | None = None) -> Decoded:
        request = DecodeRequest(self._places.photo(name), name, side, target)
        return self._queue(_Task(request, Future())).result()

    def _queue(self, task: _Task) -> Future[Decoded]:
        with self._ready:
            self._urgent.append(task)
            self._start()
            self._ready.notify()
        return task.future

    def _start(self) -> None:
        while len(self._threads) < min(cores(), _MOST_HELPERS):
            # Each helper belongs to a thread: on Linux a helper ends with the thread that started it.
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        helper: Helper[DecodeRequest, Decoded] | None = None
        while True:
            task = self._next()
            try:
                helper = helper or Helper(decode, one_core=True)
                decoded = helper.ask(task.request, task.request.name, seconds=_MOST_SECONDS)
            except HelperEndedError as error:
                if helper is not None:
                    helper.close()
                helper = None
                decoded = Decoded(problem=str(error))
            except (OSError, PoetsEdgeError) as error:  # no process can be started
                decoded = Decoded(problem=str(error), gone=True)
            if task.stamp:
                self._remember(task.stamp, decoded)
            task.future.set_result(decoded)

    def _next(self) -> _Task:
        with self._ready:
            while True:
                if self._urgent:
                    return self._urgent.popleft()
                if self._waiting and not self._paused:
                    stamp, name = self._waiting.popitem(last=False)
                    target = self._places.thumbnails / f"{stamp}.jpg"
                    return _Task(DecodeRequest(self._places.root / name, name, SIDE, target), Future(), stamp)
                self._ready.wait()

    def _remember(self, stamp: str, decoded: Decoded) -> None:
        with self._ready:
            if decoded.gone:
                return
            if not decoded.problem:
                self._known.add(stamp)
                return
            self._problems = {**self._problems, stamp: decoded.problem}
        with contextlib.suppress(OutputError):  # a full disk
            write_text(self._places.thumbnails / f"{stamp}.txt", decoded.problem)


def _text(path: Path) -> str:
    try:
        return read_bytes(path, _LARGEST).decode(errors="replace")
    except OSError:
        return messages.NOT_DECODED
