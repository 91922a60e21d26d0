"""Choose the interpreter package for a machine, and give advice if no package supports it.

The wheels of an interpreter are built for a processor, a range of Python versions and a minimum version of the C
library. If none fits, pip only reports "no matching distribution"; this module determines the reason.
"""

from __future__ import annotations

import os
import platform
import struct
import sys
from dataclasses import dataclass

Version = tuple[int, int]

_RASPBERRY_64 = "Raspberry Pi OS (64-bit; for the Pi 3, 4, 5 and Zero 2 W)"
_IN_32_BIT_USERLAND = "linux32 pip install 'poets-edge[tflite-runtime]'"


@dataclass(frozen=True)
class System:
    """Properties of a machine that determine which wheels can be installed.

    Attributes:
        machine: architecture of the programs: "x86_64", "aarch64", "armv7l" or "armv6l". A 32-bit Raspberry Pi OS with
            a 64-bit kernel is "armv7l".
        python: version of Python, (major, minor).
        libc: C library, "glibc" or "musl"; "" if it is unknown.
        libc_version: version of the C library, (major, minor); (0, 0) if it is unknown.
        kernel: architecture that the kernel reports, which pip's environment markers use.
        name: operating system, for example "Linux".
    """

    machine: str
    python: Version
    libc: str = "glibc"
    libc_version: Version = (0, 0)
    kernel: str = ""
    name: str = "Linux"


@dataclass(frozen=True)
class Support:
    """Interpreter packages that can be installed on a system, or the reason why none can be installed.

    Attributes:
        runtimes: names of the packages on PyPI, in order of preference.
        problem: reason why no package can be installed; empty if one can.
        remedy: advice if no package can be installed; otherwise empty.
    """

    runtimes: tuple[str, ...]
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class _Wheels:
    """Requirements of an interpreter's wheels.

    Attributes:
        glibc: minimum version of glibc.
        pythons: first and last version of Python that both the wheels and poets_edge support.
    """

    package: str
    machine: str
    glibc: Version
    pythons: tuple[Version, Version]


_WHEELS = (
    _Wheels("ai-edge-litert", "x86_64", (2, 27), ((3, 10), (3, 13))),
    _Wheels("ai-edge-litert", "aarch64", (2, 27), ((3, 10), (3, 13))),
    _Wheels("tflite-runtime", "x86_64", (2, 17), ((3, 10), (3, 11))),
    _Wheels("tflite-runtime", "aarch64", (2, 34), ((3, 10), (3, 11))),
    _Wheels("tflite-runtime", "armv7l", (2, 34), ((3, 10), (3, 11))),
)


def this_system() -> System:
    """Return the versions of Python and of the C library, the architecture and the operating system of this machine."""
    libc, version = _libc()
    kernel = platform.machine()
    return System(
        program_architecture(kernel, 8 * struct.calcsize("P")),
        (sys.version_info.major, sys.version_info.minor),
        libc,
        version,
        kernel,
        platform.system(),
    )


def program_architecture(kernel: str, bits: int) -> str:
    """Return the architecture of a system's programs, which may be 32-bit under a 64-bit kernel.

    Args:
        kernel: architecture that the kernel reports.
        bits: width of a program's pointers, 32 or 64.
    """
    narrow = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}
    return narrow.get(kernel, kernel) if bits == 32 else kernel


def support(system: System) -> Support:
    """Return the interpreter packages that a system supports, or the reason why there are none, with advice."""
    if system.name != "Linux":
        return Support(("ai-edge-litert",))  # not known; it may exist for this system
    runtimes = tuple(wheels.package for wheels in _WHEELS if _fits(wheels, system))
    return Support(runtimes) if runtimes else _unsupported(system)


def install_command(system: System) -> str:
    """Return the shell command that installs the preferred interpreter for a system; "" if there is none."""
    found = support(system).runtimes
    if not found:
        return ""
    if found[0] == "ai-edge-litert":
        return "pip install ai-edge-litert"
    # pip asks the kernel for the architecture; `linux32` makes it report that of the programs.
    return _IN_32_BIT_USERLAND if system.kernel == "aarch64" else "pip install 'poets-edge[tflite-runtime]'"


def _fits(wheels: _Wheels, system: System) -> bool:
    return (
        wheels.machine == system.machine
        and system.libc == "glibc"
        and system.libc_version >= wheels.glibc
        and _python_fits(wheels, system)
    )


def _unsupported(system: System) -> Support:
    made = [wheels for wheels in _WHEELS if wheels.machine == system.machine]
    if system.machine == "armv6l":
        return Support(
            (),
            "no TensorFlow Lite interpreter is made for ARMv6 (Raspberry Pi 1, Zero and Zero W).",
            "Use a Raspberry Pi Zero 2 W, 3, 4 or 5.",
        )
    if not made:
        return Support(
            (),
            f"no TensorFlow Lite interpreter is made for {system.machine} programs.",
            f"Use a 64-bit system: x86_64, or {_RASPBERRY_64}.",
        )
    if system.libc != "glibc":
        return Support(
            (),
            f"the interpreters need glibc, and this system has {system.libc or 'another C library'}.",
            "Use a Debian, Ubuntu or Raspberry Pi OS system (in a container: python:3.11-slim, not -alpine).",
        )
    python = ".".join(map(str, system.python))
    if not any(_python_fits(wheels, system) for wheels in made):
        return Support(
            (),
            f"no TensorFlow Lite interpreter is made for Python {python} on {system.machine}.",
            _other_python(system),
        )
    needed = ".".join(map(str, min(wheels.glibc for wheels in made if _python_fits(wheels, system))))
    return Support(
        (),
        f"this system's glibc {'.'.join(map(str, system.libc_version))} is too old; the interpreter needs {needed}.",
        "Put a newer system on the card: Raspberry Pi OS or Debian 12 (bookworm) has glibc 2.36.",
    )


def _python_fits(wheels: _Wheels, system: System) -> bool:
    return wheels.pythons[0] <= system.python <= wheels.pythons[1]


def _other_python(system: System) -> str:
    if system.machine == "armv7l":
        return (
            f"Put {_RASPBERRY_64} on the card; to stay with 32 bits, take its bookworm (Legacy) release,"
            " whose Python is 3.11."
        )
    oldest = min(wheels.pythons[0] for wheels in _WHEELS if wheels.machine == system.machine)
    newest = max(wheels.pythons[1] for wheels in _WHEELS if wheels.machine == system.machine)
    return f"Use Python {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}."


def _libc() -> tuple[str, Version]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        major, minor = version.split(".")[:2]
        return name, (int(major), int(minor))
    except (AttributeError, OSError, ValueError):  # not glibc
        return ("musl" if platform.libc_ver()[0] == "" and platform.system() == "Linux" else ""), (0, 0)
