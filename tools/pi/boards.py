"""Descriptions of the emulated systems: architecture, packages and wheels of each Raspberry Pi."""

from __future__ import annotations

from dataclasses import dataclass

PYTHON = "3.11"
VENV = "home/pi/poets"
POETS_EDGE = (f"/{VENV}/bin/python", f"/{VENV}/bin/poets-edge")
"""First arguments of the commands with which `emulate` runs the installed poets-edge."""


@dataclass(frozen=True)
class Architecture:
    """Components of an emulated Raspberry Pi system for one processor architecture.

    Attributes:
        qemu: file name of the qemu emulator.
        debs: Debian packages in addition to Python.
        install: requirement that pip installs, such as "poets-edge".
        wheels: packages whose wheels the host downloads; if empty, the dependencies of poets_edge's wheel.
        platforms: platform tags of the wheels, such as "manylinux_2_34_armv7l".
        features: value of the line "Features" in /proc/cpuinfo.
        links: symbolic links, as (path, target), that Debian's packages would create when they are configured.
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
    # For 32 bits, numpy and Pillow have no wheels; Debian's packages are used.
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
    """Raised if this machine cannot create or run an emulated system; the message states the reason."""
