"""Install the program on a device, in a folder of its own.

`install` returns an `Installation`, which can run modules of this version on the device. The device's Python is not
changed: packages are unpacked into the folder and found through PYTHONPATH.

    ~/.cache/poets-edge/
        packages/<key>/    required packages; the key depends on the requirements and the device's Python
        program/<key>/     the program; the key depends on its contents
        models/ photos/    measured models and photos; the keys depend on their contents

`own_folder.py` describes the folder and how its files are removed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from poets_edge.bench.remote.answers import Done, Ended, Facts, Items, Left
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.on_device.own_files import SIGNATURE
from poets_edge.bench.remote.systemd_unit import NAME
from poets_edge.bench.remote.wheels import Needs, digest_of, extra_needs, fetched, own_wheel, required_packages
from poets_edge.core.files import scratch_folder
from poets_edge.core.paths import CACHE_VARIABLE
from poets_edge.errors import RemoteError
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.runtimes import System, program_architecture, support

_PACKAGES_MB = {True: 20, False: 170}
"""Disk space that the packages require on a device, in MB, rounded up. The key is True if the packages are
installed without their dependencies, such as numpy (see `Needs.alone`); this is the case on 32-bit systems."""
_CLOCK_SECONDS = 86400.0
_NAMED = 5
_CAMERA = "picamera2"
_WITH_CAMERA = ("numpy", "pillow")
"""Packages that are not installed on devices with picamera2, because it requires the operating system's versions."""

Kind = Literal["cache", "data"]


@dataclass(frozen=True)
class Installation:
    """Installation of the program on a device.

    Attributes:
        folder: the program's folder on the device.
        python: path of the device's Python.
        items: folders of the program and of its packages, relative to `folder`; empty if the program is not installed.
        facts: description of the device, from its agent.
    """

    connection: Connection
    folder: PurePosixPath
    python: str
    items: tuple[str, ...]
    facts: Facts

    @classmethod
    def without_program(cls, connection: Connection, facts: Facts) -> Installation:
        """Return an `Installation` for a device on which the program is not installed."""
        return cls(connection, PurePosixPath(facts.folder), facts.executable, (), facts)

    @property
    def host(self) -> str:
        return self.connection.host

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for running the program with the device's Python."""
        path = ":".join(str(self.folder / item) for item in self.items)
        return {"PYTHONPATH": path, "PYTHONUTF8": "1", CACHE_VARIABLE: str(self.folder / "cache")}

    def run(self, module: str, *arguments: str, text: str = "", line: Callable[[str], object], pause: float) -> Ended:
        """Run a module of the program on the device.

        Args:
            text: text for the standard input of the module.
            line: function that is called with each line that the module writes to standard output.
            pause: longest time without a line of output, in seconds.

        Raises:
            RemoteError: the connection is lost, or the program exceeds the time limit.
        """
        command = [self.python, "-m", module, *arguments]
        return self.connection.run(command, env=self.environment, text=text, line=line, pause=pause)[0]


def install(
    connection: Connection,
    *,
    folder: str = "",
    kind: Kind = "cache",
    extra: str = "",
    reporter: Reporter | None = None,
) -> Installation:
    """Install this version of the program on the device, unless it is installed already.

    Args:
        folder: parent of the program's folder `poets-edge`; by default the user's cache or data folder on the device.
        kind: default for `folder`: "cache" for the cache folder, "data" for the data folder.
        extra: name of a group of optional dependencies, such as "mqtt", that are also installed; "" for none.

    Raises:
        RemoteError: the device is not supported, the folder cannot be written, or packages cannot be downloaded.
    """
    reporter = reporter or Silent()
    facts = connection.ask("facts", Facts, folder=folder, kind=kind, packages=["numpy", "pillow", _CAMERA, "pip"])
    _check_clock(connection.host, facts, reporter)
    system = system_of(facts)
    found = support(system)
    if not found.runtimes:
        raise RemoteError(f"{connection.host}: {found.problem} {found.remedy}")
    wanted = [required_packages(system, found.runtimes[0], own=_WITH_CAMERA if _has_camera(facts) else ())]
    _check_system_packages(connection.host, wanted[0], facts)
    wanted += [extra_needs(extra)] if extra else []
    open_folder(connection, facts, default=not folder, reporter=reporter)
    with scratch_folder() as temporary:
        wheel = own_wheel(temporary)
        python = (*map(str, facts.python[:2]), system.machine)
        packages = {item("packages", *one.requirements, *python): one for one in wanted}
        program = item("program", wheel.read_bytes())
        have = connection.ask("have", Items, items=[*packages, program]).items
        for name, one in packages.items():
            if name not in have:
                _install_packages(connection, system, one, facts, name, reporter)
        if program not in have:
            send(connection, program, {wheel.name: wheel}, reporter, "installing poets_edge", wheels=True)
    return Installation(connection, PurePosixPath(facts.folder), facts.executable, (program, *packages), facts)


def open_folder(
    connection: Connection, facts: Facts, *, default: bool, reporter: Reporter, alone: bool = False
) -> None:
    """Open the program's folder on the device for this session, and create it if needed.

    Args:
        facts: description of the device, including the path of the folder.
        default: whether the folder is the default, which is used even if it contains files of other programs.
        alone: whether to use the folder exclusively, so that no other session can open it until this one ends.

    Raises:
        RemoteError: the folder cannot be written or contains files of other programs, or `alone` is true and another
            session uses it.
    """
    folder = facts.folder
    if ":" in folder:
        raise RemoteError(
            f"{connection.host}: {folder!r}: a ':' separates folders for Python, so no program is found there. Name"
            " another folder with `remote_dir`."
        )
    if not facts.writable:
        raise RemoteError(
            f"{connection.host}: {folder} cannot be written. Name another folder with `remote_dir`, such as /tmp."
        )
    note_older_files(connection.host, facts, reporter)
    try:
        left = connection.ask(
            "open", Left, seconds=connection.limits.work, folder=folder, adopt=default, alone=alone
        ).left
    except RemoteError as error:
        raise with_remedy(error) from None
    warn_remaining_files(connection.host, left, reporter)


def warn_remaining_files(host: str, left: Sequence[str], reporter: Reporter) -> None:
    """Warn that the given files remain in the program's folder because the program did not create them."""
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        reporter.warn(f"{host}: not removed, because the program did not create it: {', '.join(left[:_NAMED])}{more}")


def note_older_files(host: str, facts: Facts, reporter: Reporter) -> None:
    """Tell the user which files on the device were created by older versions of the program and are no longer used."""
    if facts.older:
        reporter.note(
            f"{host}: not used and not removed, because an older version created it: {', '.join(facts.older)}"
        )
        if any(path.endswith("/deployed.json") for path in facts.older):
            reporter.note(f"{host}: its service is stopped there with: systemctl --user disable --now {NAME}")


def item(kind: str, *parts: str | bytes) -> str:
    """Return the path `<kind>/<key>` of an item, which is a folder in the program's folder on a device.

    The key is a digest of `parts`, which describe the contents of the item.
    """
    return f"{kind}/{digest_of(SIGNATURE, *parts)}"


def send(
    connection: Connection,
    item: str,
    members: dict[str, Path],
    reporter: Reporter,
    what: str,
    *,
    wheels: bool = False,
) -> None:
    """Copy local files to the folder `item` in the program's folder on the device, and show the progress.

    Raises:
        RemoteError: the files cannot be written; the message suggests a remedy.
    """
    total = sum(path.stat().st_size for path in members.values())
    try:
        with reporter.progress(f"{connection.host}: {what}", total, "B") as advance:
            connection.send_item(item, members, wheels=wheels, advance=advance)
    except RemoteError as error:
        raise with_remedy(error) from None


def with_remedy(error: RemoteError) -> RemoteError:
    """Return a copy of `error` whose message also suggests a remedy if the device could not write a file."""
    hints = {
        "No space left": "Free some space there, or name a folder on another disk with `remote_dir`.",
        "Read-only": "Name a folder that can be written with `remote_dir`, such as /tmp.",
        "Operation not permitted": "Name a folder that can be written with `remote_dir`.",
        "Permission denied": "Name a folder that can be written with `remote_dir`.",
        "Disk quota": "Free some space there, or name another folder with `remote_dir`.",
    }
    remedy = next((hint for start, hint in hints.items() if error.reason.startswith(start)), "")
    return RemoteError(f"{error} {remedy}".strip(), reason=error.reason)


def system_of(facts: Facts) -> System:
    """Return the properties of a device, such as its processor, that determine which TFLite interpreter it can run."""
    libc = re.match(r"(\w+) (\d{1,4})\.(\d{1,4})", facts.libc, re.ASCII)
    return System(
        program_architecture(facts.machine, facts.bits),
        facts.python[:2],
        libc[1] if libc else "musl" if facts.system == "Linux" else "",
        (int(libc[2]), int(libc[3])) if libc else (0, 0),
        facts.machine,
        facts.system,
    )


def _install_packages(
    connection: Connection,
    system: System,
    wanted: Needs,
    facts: Facts,
    packages: str,
    reporter: Reporter,
) -> None:
    """Download packages on this machine and send them to the device; if that fails, use pip on the device."""
    room = _PACKAGES_MB[wanted.alone] * 1_000_000
    if facts.free < room:
        raise RemoteError(
            f"{connection.host}: {facts.folder}: {facts.free / 1e6:.0f} MB are free, {room / 1e6:.0f} MB are"
            " needed. Free some space there, or name a folder on another disk with `remote_dir`."
        )
    reporter.note(f"{connection.host}: first time: downloading packages for {system.machine} and its Python")
    with ExitStack() as stack:
        try:
            if system.name != "Linux":
                raise RemoteError(f"wheels for {system.name} are not fetched from here.")
            wheels = stack.enter_context(fetched(system, wanted))
        except RemoteError as error:
            _fetch_on_device(connection, wanted, facts, packages, error)
            return
        members = {wheel.name: wheel for wheel in wheels}
        send(connection, packages, members, reporter, "installing packages", wheels=True)


def _fetch_on_device(connection: Connection, wanted: Needs, facts: Facts, packages: str, here: RemoteError) -> None:
    """Download packages with pip on the device. Raises RemoteError if pip is missing or fails."""
    if not facts.versions.get("pip"):
        raise RemoteError(f"{connection.host}: {here} The device has no pip to try with: sudo apt install python3-pip")
    command = [facts.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", "{}"]
    command += ["--only-binary=:all:", *(["--no-deps"] if wanted.alone else []), *wanted.requirements]
    try:
        connection.ask("fetch", Done, seconds=connection.limits.fetch, item=packages, command=command)
    except RemoteError as error:
        raise RemoteError(
            f"{connection.host}: {here} The device cannot download them either"
            f" ({error.reason.removeprefix('ERROR: ')}). One of the two needs internet access for this step."
        ) from None


def _has_camera(facts: Facts) -> bool:
    return all(facts.versions.get(name) for name in (_CAMERA, *_WITH_CAMERA))


def _check_system_packages(host: str, wanted: Needs, facts: Facts) -> None:
    missing = [name for name in wanted.system if not facts.versions.get(name)]
    if missing:
        debian = {"numpy": "python3-numpy", "pillow": "python3-pil"}
        raise RemoteError(
            f"{host}: {' and '.join(missing)} must be packages of its system, because there are no wheels of them for"
            f" 32 bits. Run there: sudo apt install {' '.join(debian[name] for name in missing)}"
        )


def _check_clock(host: str, facts: Facts, reporter: Reporter) -> None:
    off = facts.time - time.time()
    if abs(off) > _CLOCK_SECONDS:
        days = abs(off) / 86400
        amount = f"{days / 365.25:.1f} years" if days > 500 else f"{days:.0f} days"
        reporter.warn(
            f"{host}: its clock is {amount} {'fast' if off > 0 else 'slow'}; the clock of this machine is used."
        )
