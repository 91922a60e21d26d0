"""Tests of the description of a machine, which is read from files such as those on Linux and a Raspberry Pi."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench import machine
from poets_edge.bench.machine import (
    MachineState,
    disturbances_between,
    machine_facts,
    machine_name,
    machine_state,
    resident_peak_mb,
)

TICKS = machine._TICKS
FILES = {
    "cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    "cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
    "cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "cpu/cpu0/thermal_throttle/core_throttle_count": "2\n",
    "cpu/cpu1/thermal_throttle/core_throttle_count": "3\n",
    "thermal/thermal_zone0/temp": "45000\n",
    "thermal/thermal_zone1/temp": "61500\n",
    "thermal/thermal_zone2/temp": "broken\n",
    "throttled": "80001\n",
    "proc/stat": f"cpu {' '.join(str(TICKS * seconds) for seconds in (1, 2, 4, 8, 16, 32, 64, 5))}\n",
    "proc/self/status": "Name:\tpython\nVmHWM:\t    2000 kB\n",
    "proc/meminfo": "MemTotal:        1000000 kB\nMemFree: 5 kB\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Cortex-A72\n",
    "proc/device-tree/model": "Raspberry Pi 4\0",
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with files that are read in place of /proc and /sys."""
    write(tmp_path, FILES)
    monkeypatch.setattr(machine, "_CPU", tmp_path / "cpu")
    monkeypatch.setattr(machine, "_THERMAL", tmp_path / "thermal")
    monkeypatch.setattr(machine, "_PI_THROTTLED", tmp_path / "throttled")
    monkeypatch.setattr(machine, "Path", lambda text: tmp_path / text.lstrip("/"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in [name for name in os.environ if name.startswith("QEMU_")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_machine_state_values_are_converted_from_the_units_that_linux_uses(pi: Path) -> None:
    found = machine_state()
    assert (found.temperature, found.frequency, found.throttle_count) == (61.5, 1500.0, 5)
    assert found.throttled == ("under-voltage",)
    assert found.throttled_since_start == ("soft temperature limit",)
    assert found.busy == pytest.approx(1 + 2 + 4 + 32 + 64), "without idle, waiting and stolen time"
    assert found.stolen == pytest.approx(5)
    assert found.ours > 0


def test_machine_state_contains_the_cpu_time_of_this_process_and_its_children(
    pi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "times", lambda: os.times_result((1.0, 2.0, 4.0, 8.0, 16.0)))
    assert machine_state().ours == 1 + 2 + 4 + 8, "without the time on the clock"


def test_machine_state_values_are_none_if_the_system_reports_nothing(pi: Path) -> None:
    for name in FILES:
        (pi / name).unlink()
    found = machine_state()
    assert (found.temperature, found.frequency, found.throttle_count, found.busy, found.stolen) == (None,) * 5
    assert found.throttled is None and found.throttled_since_start is None
    assert resident_peak_mb() is None and machine_facts()["memory_mb"] is None


@pytest.mark.skipif(os.name == "nt", reason="vcgencmd is a program of the Raspberry Pi")
def test_machine_state_runs_vcgencmd_if_the_firmware_file_is_missing(pi: Path) -> None:
    (pi / "throttled").unlink()
    write(pi, {"bin/vcgencmd": "#!/bin/sh\necho throttled=0x20004\n"})
    (pi / "bin/vcgencmd").chmod(0o755)
    found = machine_state()
    assert (found.throttled, found.throttled_since_start) == (("throttled",), ("frequency capped",))


def test_machine_facts_include_board_memory_and_clock_frequency(pi: Path) -> None:
    facts = machine_facts()
    assert (facts["board"], facts["cpu"], facts["governor"]) == ("Raspberry Pi 4", "Cortex-A72", "ondemand")
    assert (facts["memory_mb"], facts["max_frequency_mhz"], facts["emulated"]) == (1024, 1800.0, False)
    assert machine_name({**facts, "cores": 4, "host": "pi"}) == "Raspberry Pi 4, 4 cores (pi)"
    assert machine_name({"cpu": "Cortex-A72", "cores": 2, "emulated": True}) == "emulated Cortex-A72, 2 cores"


def test_description_of_an_emulated_machine_states_that_it_is_emulated(
    pi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not machine_facts()["emulated"]
    write(pi, {"proc/cpuinfo": "vendor_id\t: GenuineIntel\n"})
    assert machine_facts()["emulated"]
    write(pi, {"proc/cpuinfo": ""})
    monkeypatch.setenv("QEMU_CPU", "cortex-a72")
    assert machine_facts()["emulated"]


def test_peak_memory_is_converted_from_kibibytes_to_megabytes(pi: Path) -> None:
    assert resident_peak_mb() == pytest.approx(2.048)


@pytest.mark.parametrize(
    ("changes", "used", "said"),
    [
        ({"stolen": 0.05}, 1, "2 % of a core away"),
        ({"stolen": 0.03}, 1, ""),
        ({"frequency": 1340.0}, 1, "1500 to 1340 MHz"),
        ({"frequency": 1360.0}, 1, ""),
        ({"temperature": 80.0}, 1, "80 °C"),
        ({"temperature": 79.9}, 1, ""),
        ({"busy": 14.0, "ours": 9.0}, 4, ""),
        ({"busy": 14.12, "ours": 9.0}, 4, "6 % of a core"),
        ({"busy": 14.12, "ours": 9.0}, 3, ""),
        ({"busy": 14.9, "ours": 9.0}, 3, "45 % of a core"),
    ],
)
def test_only_values_beyond_the_limits_are_disturbances(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], used: int, said: str
) -> None:
    """In two seconds on four cores, this process uses four seconds of CPU time on two cores."""
    monkeypatch.setattr(machine, "cores", lambda: 4)
    before = MachineState(temperature=50.0, frequency=1500.0, busy=10.0, stolen=0.0, ours=5.0)
    after: dict[str, Any] = {"busy": 14.0, "ours": 9.0, **changes}
    found = disturbances_between(before, replace(before, **after), 2.0, used)
    assert len(found) == bool(said) and said in "".join(found)


def test_throttling_before_the_measurement_is_not_a_disturbance() -> None:
    before = MachineState(throttled_since_start=("under-voltage",))
    both = MachineState(throttled_since_start=("throttled", "under-voltage"))
    [found] = disturbances_between(before, both, 2.0, 1)
    assert "throttled" in found and "under-voltage" not in found
