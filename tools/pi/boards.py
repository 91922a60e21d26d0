"""The boards: what makes the system of one differ from that of another."""

from __future__ import annotations

from dataclasses import dataclass

PYTHON = "3.11"
VENV = "home/pi/poets"
POETS_EDGE = (f"/{VENV}/bin/python", f"/{VENV}/bin/poets-edge")
"""How `emulate` runs the installed program."""


@dataclass(frozen=True)
class Architecture:
    """How a Pi's system is put together.

    Attributes:
        qemu: the emulator's file name.
        debs: Debian packages beside Python.
        install: what the user gives to `pip install`.
        wheels: what the host fetches for that; the wheel's own dependencies where empty.
        platforms: of the wheels that fit.
        features: the line in /proc/cpuinfo.
        links: symbolic links that Debian's packages make when they are configured, which needs no doing here.
    """

    qemu: str
    debs: tuple[str, ...]
    install: str
    wheels: tuple[str, ...]
    platforms: tuple[str, ...]
    features: str
    links: tuple[tuple[str, str], ...] = ()


ARCHITECTURES = {
    "arm64": Architecture(
        "qemu-aarch64-static",
        ("libstdc++6", "zlib1g"),
        "poets-edge",
        (),
        (*(f"manylinux_2_{glibc}_aarch64" for glibc in (36, 34, 31, 28, 27, 17)), "manylinux2014_aarch64"),
        "fp asimd evtstrm crc32 cpuid",
    ),
    # For 32 bits nobody makes wheels of numpy and Pillow: they are Debian's.
    "armhf": Architecture(
        "qemu-arm-static",
        ("python3-numpy", "python3-pil"),
        "poets-edge[tflite-runtime]",
        ("click", "flatbuffers", "tqdm", "tflite-runtime"),
        ("manylinux_2_34_armv7l",),
        "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm",
        tuple((f"usr/lib/arm-linux-gnueabihf/lib{x}.so.3", f"{x}/lib{x}.so.3") for x in ("blas", "lapack")),
    ),
}


class ImpossibleError(Exception):
    """This machine cannot make or run such a system; the message says why."""
