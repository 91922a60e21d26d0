"""Execute programs of a system for another processor, with `chroot` and qemu's user-mode emulation.

The files of the system are in a folder. Nothing is mounted, and no binfmt handler is registered in the kernel: in the
folder, Python is replaced by a script that calls the emulator, so that child processes are emulated, too.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.pi.boards import ARCHITECTURES, PYTHON, Architecture

REAL_PYTHON = f"usr/lib/emulated-python{PYTHON}"
_PARTS = {"cortex-a53": 0xD03, "cortex-a72": 0xD08, "cortex-a76": 0xD0B, "cortex-a7": 0xC07}
"""ARM's part number of each processor core; programs choose optimized code by this number."""


def pretend_cpu(root: Path, name: str, cpu: str) -> None:
    """Write files that describe the emulated processor to proc and sys in `root`, the folder of the emulated system.

    XNNPACK, which runs the models, requires these files.
    """
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
    """Run a command on an emulated processor, with `root` as its root directory (chroot).

    Returns:
        The exit status and the output of the command, even if it failed.

    Raises:
        subprocess.TimeoutExpired: the command takes longer than `timeout` seconds.
    """
    return subprocess.run(
        ["/usr/sbin/chroot", str(root), *command],
        env={"QEMU_CPU": cpu, "PATH": "/usr/bin:/bin", "HOME": "/home/pi", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )


def usual_cpu(name: str) -> str:
    """Return the processor core to emulate for commands whose results do not depend on it.

    Args:
        name: name of the architecture, "arm64" or "armhf".
    """
    return "cortex-a7" if name == "armhf" else "cortex-a72"


def emulate_python(architecture: Architecture, root: Path) -> None:
    """Replace the Python in `root`, the folder of the emulated system, with a script that starts it in the emulator."""
    python, real = root / f"usr/bin/python{PYTHON}", root / REAL_PYTHON
    python.rename(real)
    python.write_text(f'#!/usr/bin/busybox sh\nexec /usr/bin/{architecture.qemu} -0 "$0" /{REAL_PYTHON} "$@"\n')
    python.chmod(0o755)


def checked(ended: subprocess.CompletedProcess[str]) -> None:
    """Check the result of an emulated command.

    Raises:
        SystemExit: the command has failed. The message contains its output.
    """
    if ended.returncode:
        raise SystemExit(f"{ended.args}: status {ended.returncode}\n{ended.stdout}{ended.stderr}")
