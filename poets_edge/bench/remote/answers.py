"""Answers of the agent on a device, as frozen dataclasses with limits on every value.

A device is not trusted: what it sends is one of these, or the connection ends with one line. The agent itself
(`agent.py`) runs where this package is not installed yet, and writes plain JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from poets_edge.core.json_checks import Check, parse_json
from poets_edge.errors import RecordError

LONGEST_LINE = 16 << 20
"""Bytes of a message. The largest are the times of a round, a million and a half at most."""
_MOST_CONTAINERS = 100_000
_MOST_VALUES = 1_600_000
_LONGEST_TEXT = 4096
_LONGEST_LIST = 10_000


def Number(low: float, high: float) -> Check:  # noqa: N802 - stands in annotations
    """Limits of a number."""
    return Check(float, f"a number from {low:g} to {high:g}", lambda value: low <= value <= high)


def Integer(low: int, high: int) -> Check:  # noqa: N802
    """Limits of a whole number."""
    return Check(int, f"a whole number from {low} to {high}", lambda value: low <= value <= high)


_TEXT = Check(str, f"text of at most {_LONGEST_TEXT} characters", lambda value: len(value) <= _LONGEST_TEXT)
Text = Annotated[str, _TEXT]
Texts: TypeAlias = Annotated[
    tuple[Text, ...],
    Check(
        [_TEXT],
        f"a list of at most {_LONGEST_LIST}",
        lambda value: len(value) <= _LONGEST_LIST,
    ),
]
Count = Annotated[int, Integer(0, 1 << 62)]
Index = Annotated[int, Integer(0, 1_000_000)]
Threads = Annotated[int, Integer(1, 4096)]
Score = Annotated[float, Number(-1e6, 1e6)]
Seconds = Annotated[float, Number(-1e12, 1e12)]
Path = Annotated[
    str, Check(str, "an absolute path", lambda value: value.startswith("/") and len(value) <= _LONGEST_TEXT)
]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A device, as the agent describes it.

    Attributes:
        python: version of the Python that runs the agent.
        executable: its path.
        bits: of a pointer.
        machine, system, libc, host: as `platform` and `confstr` give them.
        config, runtime: $XDG_CONFIG_HOME and $XDG_RUNTIME_DIR.
        boot: identifies the machine and its start; "" if unknown.
        time: of its clock, seconds since 1970.
        folder: the program's own folder.
        usual: the folder is the one that `deploy` takes by default.
        state: of the folder; see `OwnFolder.state`.
        older: paths that versions without a folder of their own have left.
        free: bytes.
        versions: of the packages asked for; None for one that is missing.
    """

    python: tuple[Index, Index, Index]
    executable: Path
    bits: Literal[32, 64]
    machine: Text
    system: Text
    libc: Text
    host: Text
    home: Text
    user: Text
    uid: Count
    config: Text | None
    runtime: Text | None
    boot: Text
    time: Seconds
    folder: Path
    usual: bool
    state: Literal["missing", "empty", "ours", "link", "other"]
    older: Texts
    free: Count
    writable: bool
    versions: dict[str, Text | None]


@dataclass(frozen=True)
class Done:
    """The answer to a request that asks for nothing but to be done."""


@dataclass(frozen=True)
class Items:
    """Those of the items asked for that are there."""

    items: Texts


@dataclass(frozen=True)
class Left:
    """Paths that are not the program's, and stay."""

    left: Texts


@dataclass(frozen=True)
class ServiceNote:
    """What `deploy` has noted: whether it has had the user's systemd run without a login."""

    lingered: bool | None


@dataclass(frozen=True)
class Service:
    """The note of `deploy`; None if there is none."""

    note: ServiceNote | None


@dataclass(frozen=True)
class UnitPath:
    """The file of a service's unit."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Links:
    """Units of the program in systemd's folder.

    Attributes:
        path: of the link to this unit.
        foreign: something else has the link's place.
        others: the program's folders that other units use.
    """

    path: Path
    foreign: bool
    others: Texts


@dataclass(frozen=True)
class Ended:
    """How a program on the device ended: its status, and the last lines of its standard error."""

    status: Annotated[int, Integer(-1024, 1024)]
    stderr: Texts

    @property
    def last_words(self) -> str:
        return next((line.strip()[:200] for line in reversed(self.stderr) if line.strip()), "no message")


@dataclass(frozen=True)
class Refusal:
    """A request that failed: the reason, and the file it is about."""

    error: str
    path: str | None


def parse_line(line: str | bytes) -> Any:
    """Parse the JSON of one line, if it cannot take much memory. Raises RecordError."""
    brackets, comma = ("[{", ",") if isinstance(line, str) else (b"[{", b",")
    containers = line.count(brackets[:1]) + line.count(brackets[1:])  # type: ignore[arg-type]
    if not line.isascii() or containers > _MOST_CONTAINERS or line.count(comma) > _MOST_VALUES:  # type: ignore[arg-type]
        raise RecordError("not a message of this program")
    return parse_json(line)


def shortened(text: str) -> str:
    """Return the text if a message can hold it, or its beginning."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
