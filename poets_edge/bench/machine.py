"""Description of the machine on which a benchmark runs, and its state during a measurement.

The values are read from /proc and /sys; values that are not available are None.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.json_checks import COUNT, Optional, check
from poets_edge.core.parallel import cores
from poets_edge.tflite.interpreter import find_runtime

_CPU = Path("/sys/devices/system/cpu")
_THERMAL = Path("/sys/class/thermal")
_PI_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

_PI_NOW = {0x1: "under-voltage", 0x2: "frequency capped", 0x4: "throttled", 0x8: "soft temperature limit"}
"""Meanings of the low bits of `get_throttled` in the Raspberry Pi's firmware, which describe the current state."""
_PI_SINCE_START = 16
"""Offset of the bits in `get_throttled` for events since the Pi started; they are in the order of `_PI_NOW`."""
_HOT = 80
"""CPU temperature in °C at or above which a measurement results in a warning."""


_STATE = {
    "temperature_c": Optional(float),
    "frequency_mhz": Optional(float),
    "throttled": Optional([str]),
    "throttle_count": Optional(COUNT),
}


@dataclass(frozen=True, kw_only=True)
class MachineState:
    """State of the machine at one point in time; values that the system does not report are None.

    Attributes:
        temperature: temperature of the hottest thermal zone, in °C.
        frequency: clock frequency of the first core, in MHz.
        throttled: current CPU limits that the Raspberry Pi's firmware reports, such as "under-voltage".
        throttled_since_start: CPU limits that the firmware has reported since the Raspberry Pi started.
        throttle_count: number of thermal throttling events on all cores since the machine started (x86 only).
        busy: CPU time of all programs on all cores since the machine started, in seconds.
        stolen: CPU time that the hypervisor gave to other virtual machines since the machine started, in seconds.
        ours: CPU time of this process and its finished child processes, in seconds.
    """

    temperature: float | None = None
    frequency: float | None = None
    throttled: tuple[str, ...] | None = None
    throttled_since_start: tuple[str, ...] | None = None
    throttle_count: int | None = None
    busy: float | None = None
    stolen: float | None = None
    ours: float = 0.0

    @classmethod
    def from_json(cls, value: Any) -> MachineState:
        """Return the state from JSON values written by `to_json`; missing values are set to their defaults.

        Raises:
            RecordError: the values are invalid.
        """
        found = check(value, _STATE)
        throttled = found.get("throttled")
        return cls(
            temperature=found.get("temperature_c"),
            frequency=found.get("frequency_mhz"),
            throttled=None if throttled is None else tuple(throttled),
            throttle_count=found.get("throttle_count"),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "temperature_c": self.temperature,
            "frequency_mhz": self.frequency,
            "throttled": None if self.throttled is None else list(self.throttled),
            "throttle_count": self.throttle_count,
        }


def machine_facts() -> dict[str, Any]:
    """Return the constant properties of this machine, such as its CPU, memory and TFLite interpreter.

    Raises:
        RuntimeMissingError: no interpreter is installed.
    """
    runtime = find_runtime()
    governor = (_text(_CPU / "cpu0/cpufreq/scaling_governor") or "").strip() or None
    return {
        "board": (_text(Path("/proc/device-tree/model")) or "").strip("\0") or None,
        "cpu": _cpu_name(),
        "architecture": platform.machine(),
        "cores": cores(),
        "governor": governor,
        "max_frequency_mhz": _mhz(_CPU / "cpu0/cpufreq/cpuinfo_max_freq"),
        "memory_mb": _memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "interpreter": runtime.name,
        "interpreter_version": runtime.version,
        "emulated": _is_emulated(),
    }


def machine_state() -> MachineState:
    """Return the current state of this machine, such as its temperature and clock frequency."""
    busy, stolen = _cpu_seconds()
    throttled = _throttled()
    times = os.times()
    return MachineState(
        temperature=_temperature(),
        frequency=_mhz(_CPU / "cpu0/cpufreq/scaling_cur_freq"),
        throttled=None if throttled is None else _limits(throttled),
        throttled_since_start=None if throttled is None else _limits(throttled >> _PI_SINCE_START),
        throttle_count=_throttle_count(),
        busy=busy,
        stolen=stolen,
        ours=times.user + times.system + times.children_user + times.children_system,
    )


def resident_peak_mb() -> float | None:
    """Return the peak resident memory of this process in MB, or None if the system does not report it.

    `getrusage` is not used, because a child process inherits the peak of its parent.
    """
    for line in (_text(Path("/proc/self/status")) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def disturbances_between(
    before: MachineState, after: MachineState, seconds: float, used: int, during: Sequence[MachineState] = ()
) -> list[str]:
    """Return descriptions of disturbances of the machine that make measured times unreliable.

    Args:
        before, after: states at the start and at the end of the measurement.
        seconds: time from `before` to `after`, in seconds.
        used: maximum number of cores that the measurement used at the same time.
        during: states that were recorded during the measurement.
    """
    found = []
    if before.busy is not None and after.busy is not None:
        others = (after.busy - before.busy - (after.ours - before.ours)) / max(seconds, 1e-9)
        # Other programs disturb less if a core was not used by the measurement.
        if others > 0.1 * cores() or (others > 0.05 and used >= cores()):
            found.append(
                f"other programs used {100 * others:.0f} % of a core during the measurement. Stop them and repeat it."
            )
    if before.stolen is not None and after.stolen is not None:
        stolen = (after.stolen - before.stolen) / max(seconds, 1e-9)
        if stolen > 0.02:
            found.append(f"the hypervisor took {100 * stolen:.0f} % of a core away during the measurement.")
    limits = {*(before.throttled or ()), *(after.throttled or ())}
    limits |= {*(after.throttled_since_start or ())} - {*(before.throttled_since_start or ())}
    limits.update(*(state.throttled or () for state in during))
    if limits:
        found.append(f"the CPU was throttled: {', '.join(sorted(limits))}. Cool it, or use a stronger power supply.")
    if (after.throttle_count or 0) > (before.throttle_count or 0):
        found.append("the CPU was throttled because of heat.")
    if before.frequency and after.frequency and after.frequency < 0.9 * before.frequency:
        found.append(f"the CPU's clock fell from {before.frequency:.0f} to {after.frequency:.0f} MHz.")
    hottest = max([after.temperature or 0, *(state.temperature or 0 for state in during)])
    if hottest >= _HOT:
        found.append(f"the CPU was at {hottest:.0f} °C; many boards slow down from {_HOT} °C.")
    return found


def machine_name(facts: dict[str, Any]) -> str:
    """Return a short name of a machine for tables: its board or CPU, number of cores and, if known, host name."""
    if facts.get("estimated"):
        return str(facts["host"])
    emulated = "emulated " if facts.get("emulated") else ""
    name = facts.get("board") or facts.get("cpu") or facts.get("architecture")
    where = f" ({facts['host']})" if facts.get("host") else ""
    return f"{emulated}{name}, {facts.get('cores')} cores{where}"


def _is_emulated() -> bool:
    """Return whether QEMU emulates the processor in user mode; measured times then differ from a real device's."""
    if any(name.startswith("QEMU_") for name in os.environ):
        return True
    # QEMU passes the host's /proc/cpuinfo to programs; only x86 processors have a line with the vendor.
    return platform.machine() in ("aarch64", "armv7l", "armv6l") and "vendor_id" in (_text(Path("/proc/cpuinfo")) or "")


def _cpu_name() -> str | None:
    for line in (_text(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or None


def _memory() -> int | None:
    for line in (_text(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024 // 1_000_000
    return None


def _cpu_seconds() -> tuple[float | None, float | None]:
    words = (_text(Path("/proc/stat")) or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) / _TICKS for word in words[1:9])
    return user + nice + system + irq + softirq, steal


def _temperature() -> float | None:
    values = [_number(zone / "temp") for zone in sorted(_THERMAL.glob("thermal_zone*"))]
    return max((value / 1000 for value in values if value is not None), default=None)


def _throttle_count() -> int | None:
    counts = [_number(core / "thermal_throttle/core_throttle_count") for core in _CPU.glob("cpu[0-9]*")]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def _throttled() -> int | None:
    """Return the throttling flags from the Raspberry Pi's firmware as an integer; None if they are not available."""
    text = _text(_PI_THROTTLED) or _vcgencmd()
    try:
        return int((text or "").strip().removeprefix("throttled=").removeprefix("0x"), 16)
    except ValueError:
        return None


def _limits(flags: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _PI_NOW.items() if flags & bit)


def _vcgencmd() -> str | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        return subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _mhz(path: Path) -> float | None:
    value = _number(path)
    return None if value is None else value / 1000


def _number(path: Path) -> float | None:
    try:
        return float((_text(path) or "").strip())
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None
