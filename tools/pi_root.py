"""Makes the system of a Raspberry Pi in a folder: Debian 12 for arm64 or armhf, with poets_edge installed in it.

    python tools/pi_root.py arm64 ROOTS --wheel dist/poets_edge-0.1.0-py3-none-any.whl
    QEMU_CPU=cortex-a72 chroot ROOTS/arm64 /home/pi/poets/bin/python /home/pi/poets/bin/poets-edge --help

Its programs run under qemu's user-mode emulation. Nothing is mounted, and no binfmt handler is registered in the
kernel: inside the folder Python's own file is a script that calls the emulator, so that programs started by programs
are emulated too. Needs root (for chroot) on a Debian x86-64; installs qemu-user-static and busybox-static if missing.

A finished system is used again as long as it is what this file would make. Exits with status 3, and a line that says
why, where such a system cannot be made here.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"
PYTHON = "3.11"
VENV = "home/pi/poets"
POETS_EDGE = (f"/{VENV}/bin/python", f"/{VENV}/bin/poets-edge")
"""How `emulate` runs the installed program."""
IMPOSSIBLE = 3

_HOST_PROGRAMS = {"busybox": "busybox-static", "dpkg-deb": "dpkg", "apt-get": "apt"}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PIP = "/usr/share/python-wheels"
_REAL_PYTHON = f"usr/lib/emulated-python{PYTHON}"
_PARTS = {"cortex-a53": 0xD03, "cortex-a72": 0xD08, "cortex-a76": 0xD0B, "cortex-a7": 0xC07}
"""ARM's number of each core, by which programs choose code made for it."""


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


def build(name: str, folder: Path, wheel: Path) -> Path:
    """Make `folder/name`, a root folder with the wheel installed in `home/pi/poets`, or bring it up to date.

    Raises:
        ImpossibleError: not on this machine.
        subprocess.CalledProcessError: a step failed.
    """
    architecture = ARCHITECTURES[name]
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _prepare_host(architecture)
        stamp = hashlib.sha256(Path(__file__).read_bytes() + name.encode()).hexdigest()
        if not _is_stamped(root, "system", stamp):
            shutil.rmtree(root, ignore_errors=True)
            _make_system(name, architecture, root)
            _set_stamp(root, "system", stamp)
        _install(name, root, wheel)
    return root


def pretend_cpu(root: Path, name: str, cpu: str) -> None:
    """Write the /proc and /sys files from which programs tell the processor; without them XNNPACK gives up."""
    features = ARCHITECTURES[name].features + (" asimdhp atomics asimddp" if cpu == "cortex-a76" else "")
    lines = [
        "processor\t: 0",
        f"Features\t: {features}",
        "CPU implementer\t: 0x41",
        f"CPU architecture: {7 if name == 'armhf' else 8}",
        "CPU variant\t: 0x0",
        f"CPU part\t: {_PARTS[cpu]:#x}",
        "CPU revision\t: 3",
    ]
    for file in ("possible", "present"):
        path = root / "sys/devices/system/cpu" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0\n")
    (root / "proc/cpuinfo").write_text("\n".join(lines) + "\n")


def emulate(root: Path, cpu: str, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command inside, on the given processor. Its status and output are the caller's to judge."""
    return subprocess.run(
        ["/usr/sbin/chroot", str(root), *command],
        env={"QEMU_CPU": cpu, "PATH": "/usr/bin:/bin", "HOME": "/home/pi", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )


def _prepare_host(architecture: Architecture) -> None:
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
                _run("apt-get", "-q", "update")
                _run("apt-get", "-q", "install", "-y", "--no-install-recommends", *missing)
            except subprocess.CalledProcessError as error:
                raise ImpossibleError(f"cannot install {', '.join(missing)} ({_last_line(error)})") from None


@contextlib.contextmanager
def _host_packages() -> Iterator[None]:
    """The host's apt, one user at a time: two systems may be made at once, beside the Android app's build,
    which takes the same lock."""
    with Path("/run/lock/poets-edge-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_system(name: str, architecture: Architecture, root: Path) -> None:
    packages = (f"python{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", "python3-pip-whl", *architecture.debs)
    # With merged /usr, and without running any package's own scripts: they would have to be emulated.
    for folder in ("bin", "sbin", "lib"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for folder in ("dev", "etc", "home/pi", "proc", "tmp"):
        (root / folder).mkdir(parents=True)
    for deb in _download_debs(name, root.with_name(f"{name}.apt"), packages):
        unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], check=True, capture_output=True).stdout
        subprocess.run(
            ["tar", "-x", "-C", str(root), "--keep-directory-symlink"], input=unpacked, check=True, capture_output=True
        )
    shutil.rmtree(root.with_name(f"{name}.apt"))
    for link, target in architecture.links:
        (root / link).symlink_to(target)
    (root / "dev/null").touch()  # a file will do: what is written there is thrown away with the folder
    for program in ("busybox", architecture.qemu):
        shutil.copy(str(shutil.which(program)), root / "usr/bin")
    _emulate_python(architecture, root)
    pretend_cpu(root, name, _cpu(name))
    _checked(emulate(root, _cpu(name), f"/usr/bin/python{PYTHON}", "-m", "venv", *_VENV_OPTIONS, f"/{VENV}"))


_VENV_OPTIONS = ("--system-site-packages", "--without-pip")


def _cpu(name: str) -> str:
    return "cortex-a7" if name == "armhf" else "cortex-a72"


def _emulate_python(architecture: Architecture, root: Path) -> None:
    """Put a script in Python's place: the kernel runs that, wherever Python is started from."""
    python, real = root / f"usr/bin/python{PYTHON}", root / _REAL_PYTHON
    python.rename(real)
    python.write_text(f'#!/usr/bin/busybox sh\nexec /usr/bin/{architecture.qemu} -0 "$0" /{_REAL_PYTHON} "$@"\n')
    python.chmod(0o755)


def _download_debs(name: str, apt: Path, packages: tuple[str, ...]) -> list[Path]:
    """Fetch packages and what they need, with an apt that knows nothing of the host's packages."""
    shutil.rmtree(apt, ignore_errors=True)
    for folder in ("etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (apt / folder).mkdir(parents=True)
    host_settings = Path("/etc/apt/apt.conf.d")
    if host_settings.is_dir():  # a proxy, for example
        shutil.copytree(host_settings, apt / "etc/apt/apt.conf.d")
    status = apt / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.touch()
    (apt / "etc/apt/sources.list").write_text(f"deb [signed-by={_KEYRING}] {_debian_mirror()} {SUITE} main\n")
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
        _run("apt-get", "-q", *options, "update")
        _run("apt-get", "-q", *options, "install", "-y", "--download-only", *packages)
    except subprocess.CalledProcessError as error:
        raise ImpossibleError(f"Debian's packages cannot be fetched ({_last_line(error)})") from None
    return sorted((apt / "var/cache/apt/archives").glob("*.deb"))


def _debian_mirror() -> str:
    """Where the host has its own packages from."""
    with _host_packages():
        listed = _run("apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN)", "Created-By: Packages")
    sites = [line.split()[0] for line in listed.splitlines() if line.endswith(" Debian") and "security" not in line]
    if not sites:
        raise ImpossibleError("apt knows no Debian archive (run apt-get update)")
    return sites[0]


def _install(name: str, root: Path, wheel: Path) -> None:
    """Install the wheel as a user does; later versions of it alone as long as it needs the same packages."""
    needs = hashlib.sha256("\n".join(_requirements(wheel)).encode()).hexdigest()
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wheels = root / "home/pi/wheels"
    if not _is_stamped(root, "needs", needs):
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir()
        _download_wheels(ARCHITECTURES[name], wheels, wheel)
        _pip_install(name, root, ARCHITECTURES[name].install)
        _set_stamp(root, "needs", needs)
    elif not _is_stamped(root, "wheel", content):
        for old in wheels.glob("poets_edge-*.whl"):
            old.unlink()
        shutil.copy(wheel, wheels)
        _pip_install(name, root, "--no-deps", "--force-reinstall", "poets-edge")
    _set_stamp(root, "wheel", content)


def _download_wheels(architecture: Architecture, folder: Path, wheel: Path) -> None:
    platforms = [option for name in architecture.platforms for option in ("--platform", name)]
    # The host's pip judges "only on this machine" by the host, so where it matters the packages are named.
    wanted = ["--no-deps", *architecture.wheels] if architecture.wheels else [str(wheel)]
    try:
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "--only-binary=:all:"),
            *("--python-version", PYTHON, "--implementation", "cp"),
            *("--abi", f"cp{PYTHON.replace('.', '')}", "--abi", "abi3", "--abi", "none"),
            *platforms,
            *wanted,
        )
    except subprocess.CalledProcessError as error:
        raise ImpossibleError(f"Python packages cannot be fetched ({_last_line(error)})") from None
    shutil.copy(wheel, folder)


def _pip_install(name: str, root: Path, *arguments: str) -> None:
    # pip looks into Python's own file to see what it is made for, so it must not find the script of that name.
    python = root / VENV / "bin/real-python"
    if not python.is_symlink():
        python.symlink_to(f"/{_REAL_PYTHON}")
    pip = next((root / _PIP[1:]).glob("pip-*.whl"))
    _checked(
        emulate(
            root,
            _cpu(name),
            *(f"/usr/bin/{ARCHITECTURES[name].qemu}", "-0", f"/{VENV}/bin/real-python", f"/{_REAL_PYTHON}"),
            *(f"{_PIP}/{pip.name}/pip", "--quiet", "--disable-pip-version-check", "install", "--no-index"),
            *("--find-links", "/home/pi/wheels", "--root-user-action", "ignore"),
            *arguments,
        )
    )


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    return [line for line in lines if line.startswith(("Requires-Dist:", "Requires-Python:"))]


def _is_stamped(root: Path, key: str, value: str) -> bool:
    return _stamps(root).get(key) == value


def _set_stamp(root: Path, key: str, value: str) -> None:
    (root / "made-from.json").write_text(json.dumps({**_stamps(root), key: value}))


def _stamps(root: Path) -> dict[str, str]:
    try:
        stamps: dict[str, str] = json.loads((root / "made-from.json").read_text())
    except (OSError, ValueError):
        return {}
    return stamps


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", errors="replace").stdout


def _checked(ended: subprocess.CompletedProcess[str]) -> None:
    if ended.returncode:
        raise SystemExit(f"{ended.args}: status {ended.returncode}\n{ended.stdout}{ended.stderr}")


def _last_line(error: subprocess.CalledProcessError) -> str:
    return (str(error.stderr).strip().splitlines() or ["no message"])[-1]


def main() -> None:
    """Make one system."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheel", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        print(build(arguments.architecture, arguments.folder.resolve(), arguments.wheel))
    except ImpossibleError as error:
        print(f"no Raspberry Pi system: {error}", file=sys.stderr)
        sys.exit(IMPOSSIBLE)


if __name__ == "__main__":
    main()
