"""Create a Raspberry Pi system in a folder: Debian 12 for arm64 or armhf, with poets_edge installed.

    python -m tools.pi.root arm64 ROOTS --wheel dist/poets_edge-0.1.0-py3-none-any.whl
    QEMU_CPU=cortex-a72 chroot ROOTS/arm64 /home/pi/poets/bin/python /home/pi/poets/bin/poets-edge --help

Requires root permissions (for chroot) on Debian x86-64. Installs qemu-user-static and busybox-static if necessary.

A finished system is reused unless a module in tools/pi has changed. If the system cannot be created on this machine,
the program prints the reason and exits with status 3.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.pi.boards import ARCHITECTURES, PYTHON, VENV, Architecture, ImpossibleError
from tools.pi.debian import download_debs, last_line, prepare_host, run
from tools.pi.emulation import REAL_PYTHON, checked, emulate, emulate_python, pretend_cpu, usual_cpu

IMPOSSIBLE = 3
_PIP = "/usr/share/python-wheels"
_PIP_SECONDS = 900


def build(name: str, folder: Path, wheel: Path, extra: str = "") -> Path:
    """Create or update an emulated Raspberry Pi system with a wheel of poets_edge installed in `/home/pi/poets`.

    Args:
        name: name of the architecture, "arm64" or "armhf".
        folder: parent of the folder that contains the files of the system.
        wheel: path of the wheel to install.
        extra: optional dependencies (an extra) of poets_edge to install, such as "train"; "" for none.

    Returns:
        The folder that contains the files of the system: `folder/name`, or `folder/name-extra`.

    Raises:
        ImpossibleError: the system cannot be created on this machine.
        subprocess.CalledProcessError: a step failed.
    """
    root = folder / (f"{name}-{extra}" if extra else name)
    with _locked(folder, root.name):
        _system(name, root)
        _install(name, root, wheel, extra)
    return root


def system(name: str, folder: Path) -> Path:
    """Create the files of a Raspberry Pi system without poets_edge; return their folder, `folder/name`.

    Args:
        name: name of the architecture, "arm64" or "armhf".
        folder: parent of the folder that contains the files of the system.

    Raises:
        ImpossibleError: the system cannot be created on this machine.
        subprocess.CalledProcessError: a step failed.
    """
    with _locked(folder, name):
        return _system(name, folder / name)


@contextlib.contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _system(name: str, root: Path) -> Path:
    architecture = ARCHITECTURES[name]
    prepare_host(architecture)
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    stamp = hashlib.sha256(sources + name.encode()).hexdigest()
    if not _is_stamped(root, "system", stamp):
        shutil.rmtree(root, ignore_errors=True)
        _make_system(name, architecture, root)
        _set_stamp(root, "system", stamp)
    return root


def _make_system(name: str, architecture: Architecture, root: Path) -> None:
    packages = (f"python{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", "python3-pip-whl", *architecture.debs)
    # With merged /usr, and without running scripts of packages, which would need emulation.
    for folder in ("bin", "sbin", "lib"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for folder in ("dev", "etc", "home/pi", "proc", "tmp"):
        (root / folder).mkdir(parents=True)
    for deb in download_debs(name, root.with_name(f"{root.name}.apt"), packages):
        unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], check=True, capture_output=True).stdout
        subprocess.run(
            ["tar", "-x", "-C", str(root), "--keep-directory-symlink"], input=unpacked, check=True, capture_output=True
        )
    shutil.rmtree(root.with_name(f"{root.name}.apt"))
    for link, target in architecture.links:
        (root / link).symlink_to(target)
    (root / "dev/null").touch()  # a file suffices, which is removed with the folder
    for program in ("busybox", architecture.qemu):
        shutil.copy(str(shutil.which(program)), root / "usr/bin")
    emulate_python(architecture, root)
    pretend_cpu(root, name, usual_cpu(name))
    make_venv = (f"/usr/bin/python{PYTHON}", "-m", "venv", "--system-site-packages", "--without-pip", f"/{VENV}")
    checked(emulate(root, usual_cpu(name), *make_venv))


def _install(name: str, root: Path, wheel: Path, extra: str) -> None:
    """Install a wheel of poets_edge in an emulated system with pip.

    If the requirements of the wheel are already installed, pip does not look for dependencies.
    """
    needs = hashlib.sha256("\n".join(_requirements(wheel)).encode()).hexdigest()
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wheels = root / "home/pi/wheels"
    if not _is_stamped(root, "needs", needs):
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir()
        _download_wheels(ARCHITECTURES[name], wheels, wheel, extra)
        _pip_install(name, root, f"poets-edge[{extra}]" if extra else ARCHITECTURES[name].install)
        _set_stamp(root, "needs", needs)
    elif not _is_stamped(root, "wheel", content):
        for old in wheels.glob("poets_edge-*.whl"):
            old.unlink()
        shutil.copy(wheel, wheels)
        _pip_install(name, root, "--no-deps", "--force-reinstall", "poets-edge")
    _set_stamp(root, "wheel", content)


def _download_wheels(architecture: Architecture, folder: Path, wheel: Path, extra: str) -> None:
    platforms = [option for name in architecture.platforms for option in ("--platform", name)]
    # The host's pip evaluates environment markers for the host, so the packages are listed where markers differ.
    wanted = (
        ["--no-deps", *architecture.wheels] if architecture.wheels else [f"{wheel}[{extra}]" if extra else str(wheel)]
    )
    try:
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "--only-binary=:all:"),
            *("--python-version", PYTHON, "--implementation", "cp"),
            *("--abi", f"cp{PYTHON.replace('.', '')}", "--abi", "abi3", "--abi", "none"),
            *platforms,
            *wanted,
        )
    except subprocess.CalledProcessError as error:
        raise ImpossibleError(f"Python packages cannot be fetched ({last_line(error)})") from None
    shutil.copy(wheel, folder)


def _pip_install(name: str, root: Path, *arguments: str) -> None:
    # pip reads the Python executable to determine its platform, so it must not find the script that replaces it.
    python = root / VENV / "bin/real-python"
    if not python.is_symlink():
        python.symlink_to(f"/{REAL_PYTHON}")
    pip = next((root / _PIP[1:]).glob("pip-*.whl"))
    checked(
        emulate(
            root,
            usual_cpu(name),
            *(f"/usr/bin/{ARCHITECTURES[name].qemu}", "-0", f"/{VENV}/bin/real-python", f"/{REAL_PYTHON}"),
            *(f"{_PIP}/{pip.name}/pip", "--quiet", "--disable-pip-version-check", "install", "--no-index"),
            # Without compilation to bytecode, which takes longer under emulation than all other steps.
            *("--find-links", "/home/pi/wheels", "--root-user-action", "ignore", "--no-compile"),
            *arguments,
            timeout=_PIP_SECONDS,
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


def main() -> None:
    """Create the emulated system that the command line specifies, and print its folder."""
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
