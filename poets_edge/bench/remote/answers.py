"""Answers from the agent on a device, as frozen dataclasses that define the type and limits of every value.

Devices are not trusted. If an answer does not match its class, the connection is closed and a one-line error is shown.
The agent (`agent.py`) runs without this package, so it writes plain JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from poets_edge.core.json_checks import Check, parse_json
from poets_edge.errors import RecordError

LONGEST_LINE = 16 << 20
"""Maximum size of a message in bytes. The largest messages contain up to 1.5 million inference times of a round."""
_MOST_CONTAINERS = 100_000
_MOST_VALUES = 1_600_000
_LONGEST_TEXT = 4096
_LONGEST_LIST = 10_000
_LONGEST_BASE64 = 11_500_000
"""Maximum length of a base64 text in characters, enough for a frame of 8 MB."""


def Number(low: float, high: float) -> Check:  # noqa: N802 - stands in annotations
    """Return an annotation for fields of the answer classes, which accepts only a number from `low` to `high`."""
    return Check(float, f"a number from {low:g} to {high:g}", lambda value: low <= value <= high)


def Integer(low: int, high: int) -> Check:  # noqa: N802
    """Return an annotation for fields of the answer classes, which accepts only an integer from `low` to `high`."""
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
Sizes: TypeAlias = Annotated[
    tuple[Count, ...],
    Check([Integer(0, 1 << 62)], f"a list of at most {_LONGEST_LIST}", lambda value: len(value) <= _LONGEST_LIST),
]
Score = Annotated[float, Number(-1e6, 1e6)]
Distance = Annotated[float, Number(0, 3.5e38)]
Seconds = Annotated[float, Number(-1e12, 1e12)]
Base64 = Annotated[
    str, Check(str, f"at most {_LONGEST_BASE64} characters", lambda value: len(value) <= _LONGEST_BASE64)
]
Path = Annotated[
    str, Check(str, "an absolute path", lambda value: value.startswith("/") and len(value) <= _LONGEST_TEXT)
]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Description of a device, as its agent reports it.

    Attributes:
        python: version of the Python that runs the agent.
        executable: path of the Python interpreter that runs the agent.
        bits: size of a pointer in bits.
        machine, system, host: results of `machine()`, `system()` and `node()` in the module `platform`.
        libc: name and version of the C library.
        config, runtime: values of $XDG_CONFIG_HOME and $XDG_RUNTIME_DIR; None if the variable is not set.
        boot: random identifier of the last boot, unique to the machine; "" if unknown.
        time: time on the device's clock, in seconds since 1970.
        folder: path of the program's folder on the device.
        usual: whether `folder` is the default folder of `deploy`.
        state: state of `folder`; see `OwnFolder.state`.
        older: paths of files on the device that older versions of the program created.
        free: free space on the disk that holds `folder`, in bytes.
        versions: version of each Python package that the request names; None for packages that are not installed.
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
    """Answer to a request that returns no values."""


@dataclass(frozen=True)
class Items:
    """Answer that lists which of the requested folders, such as `models/<key>`, are complete on the device."""

    items: Texts


@dataclass(frozen=True)
class Left:
    """Answer that lists the files on the device that were not removed, because the program did not create them."""

    left: Texts


@dataclass(frozen=True)
class ServiceNote:
    """Record of a deployed service, which is saved on the device.

    Attributes:
        lingered: whether `deploy` enabled lingering, so that the user's systemd runs without a login.
        collect: folder in which the service saves frames; None if the service saves no frames.
    """

    lingered: bool | None
    collect: Path | None


@dataclass(frozen=True)
class Service:
    """Answer that contains the record of the deployed service; `note` is None if no service is deployed."""

    note: ServiceNote | None


@dataclass(frozen=True)
class UnitPath:
    """Answer that contains the path of the unit file for a service on the device."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Links:
    """Answer that describes the links to the program's units in systemd's folder for user units.

    Attributes:
        path: path of the link to the requested unit, whether or not it exists.
        foreign: whether `path` exists but is not a link to the program's unit.
        others: folders of other deployments of the program, found through the links to their units.
    """

    path: Path
    foreign: bool
    others: Texts


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Answer that lists the frames that `watch --collect` saved on a device.

    Attributes:
        folder: path of the folder that contains the frames.
        names: paths of the frames in the folder, `<label>/<file>`.
        sizes: sizes of the frames in bytes, in the order of `names`.
    """

    folder: Path
    names: Texts
    sizes: Sizes


@dataclass(frozen=True)
class FrameContent:
    """Answer that contains the image file of a frame, encoded in base64."""

    data: Base64


@dataclass(frozen=True)
class Ended:
    """Answer that contains the exit status of a program on the device, and the last lines of its standard error."""

    status: Annotated[int, Integer(-1024, 1024)]
    stderr: Texts

    @property
    def last_words(self) -> str:
        return next((line.strip()[:200] for line in reversed(self.stderr) if line.strip()), "no message")


@dataclass(frozen=True)
class Refusal:
    """Answer to a failed request, with the reason and, if a file caused the failure, the path of the file."""

    error: str
    path: str | None


def parse_line(line: str | bytes) -> Any:
    """Parse a line of JSON from the agent. Raises RecordError if the line is invalid or would need too much memory."""
    brackets, comma = ("[{", ",") if isinstance(line, str) else (b"[{", b",")
    containers = line.count(brackets[:1]) + line.count(brackets[1:])  # type: ignore[arg-type]
    if not line.isascii() or containers > _MOST_CONTAINERS or line.count(comma) > _MOST_VALUES:  # type: ignore[arg-type]
        raise RecordError("not a message of this program")
    return parse_json(line)


def shortened(text: str) -> str:
    """Return `text`, truncated to the maximum length that is allowed in a message."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
