"""Installation of Debian packages on this computer (the host), and downloads of packages for an emulated system."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.pi.boards import Architecture, ImpossibleError

_SUITE = "bookworm"
_HOST_PROGRAMS = {"busybox": "busybox-static", "dpkg-deb": "dpkg", "apt-get": "apt"}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def prepare_host(architecture: Architecture) -> None:
    """Install the Debian packages that emulation requires on this computer.

    Raises:
        ImpossibleError: the packages cannot be installed, or this computer cannot run emulated systems.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise ImpossibleError("it is made on Linux on x86-64 only")
    if os.geteuid() != 0:
        raise ImpossibleError("chroot needs root")
    if not _KEYRING.exists() or shutil.which("apt-get") is None:
        raise ImpossibleError("it is made from Debian's packages, on Debian only")
    programs = {**_HOST_PROGRAMS, architecture.qemu: "qemu-user-static"}
    missing = sorted({package for program, package in programs.items() if shutil.which(program) is None})
    if missing:
        with _host_packages():
            try:
                run("apt-get", "-q", "update")
                run("apt-get", "-q", "install", "-y", "--no-install-recommends", *missing)
            except subprocess.CalledProcessError as error:
                raise ImpossibleError(f"cannot install {', '.join(missing)} ({last_line(error)})") from None


@contextlib.contextmanager
def _host_packages() -> Iterator[None]:
    """Context manager that locks the package manager apt of this computer.

    The lock is needed because several emulated systems may be created concurrently.
    """
    with Path("/run/lock/poets-edge-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def download_debs(name: str, apt: Path, packages: tuple[str, ...]) -> list[Path]:
    """Download Debian packages and their dependencies for an emulated system; return the paths of the files.

    Args:
        name: Debian's name of the architecture, "arm64" or "armhf".
        apt: folder for a separate configuration of apt and for the downloads.
        packages: names of the packages.

    Raises:
        ImpossibleError: the packages cannot be downloaded.
    """
    shutil.rmtree(apt, ignore_errors=True)
    for folder in ("etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (apt / folder).mkdir(parents=True)
    host_settings = Path("/etc/apt/apt.conf.d")
    if host_settings.is_dir():  # a proxy, for example
        shutil.copytree(host_settings, apt / "etc/apt/apt.conf.d")
    status = apt / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.touch()
    (apt / "etc/apt/sources.list").write_text(f"deb [signed-by={_KEYRING}] {_debian_mirror()} {_SUITE} main\n")
    options = []
    for setting in (
        f"Dir={apt}",
        f"Dir::State::status={status}",
        f"APT::Architecture={name}",
        f"APT::Architectures={name}",
        "APT::Sandbox::User=root",
        "APT::Install-Recommends=false",
        "Acquire::Languages=none",
    ):
        options += ["-o", setting]
    try:
        run("apt-get", "-q", *options, "update")
        run("apt-get", "-q", *options, "install", "-y", "--download-only", *packages)
    except subprocess.CalledProcessError as error:
        raise ImpossibleError(f"Debian's packages cannot be fetched ({last_line(error)})") from None
    return sorted((apt / "var/cache/apt/archives").glob("*.deb"))


def _debian_mirror() -> str:
    """Return the URL of the Debian mirror that this computer uses. Raises ImpossibleError if there is none."""
    with _host_packages():
        listed = run("apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN)", "Created-By: Packages")
    sites = [line.split()[0] for line in listed.splitlines() if line.endswith(" Debian") and "security" not in line]
    if not sites:
        raise ImpossibleError("apt knows no Debian archive (run apt-get update)")
    return sites[0]


def run(*command: str) -> str:
    """Run a program on this computer, outside the emulator, and return its output.

    Raises:
        subprocess.CalledProcessError: the program fails.
    """
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", errors="replace").stdout


def last_line(error: subprocess.CalledProcessError) -> str:
    """Return the last line that a failed program wrote to standard error, which usually states the reason."""
    return (str(error.stderr).strip().splitlines() or ["no message"])[-1]
