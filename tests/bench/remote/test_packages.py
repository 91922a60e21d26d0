"""Tests of the packages that are downloaded and packed for a device."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.remote import wheels
from poets_edge.bench.remote.wheels import fetched, own_wheel, required_packages
from poets_edge.errors import RemoteError

REQUIREMENTS = ["numpy>=1.26", "Pillow>=10; python_version > '3'", "ai_edge_litert>=1.2", "paho-mqtt; extra == 'mqtt'"]


@pytest.mark.parametrize(
    ("machine", "runtime", "own", "requirements", "alone", "system"),
    [
        ("aarch64", "ai-edge-litert", (), ("numpy>=1.26", "Pillow>=10", "ai_edge_litert>=1.2"), False, ()),
        ("aarch64", "tflite-runtime", (), ("numpy<2", "Pillow>=10", "tflite-runtime"), False, ()),
        ("armv7l", "tflite-runtime", (), ("tflite-runtime",), True, ("numpy", "pillow")),
        ("aarch64", "ai-edge-litert", ("numpy",), ("Pillow>=10", "ai_edge_litert>=1.2"), False, ("numpy",)),
    ],
)
def test_packages_for_a_device_depend_on_its_processor_and_camera(
    monkeypatch: pytest.MonkeyPatch, machine: str, runtime: str, own: tuple[str, ...], requirements: tuple[str, ...],
    alone: bool, system: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr(wheels, "requires", lambda name: REQUIREMENTS)
    found = required_packages(SimpleNamespace(machine=machine), runtime, own=own)  # type: ignore[arg-type]
    assert (found.requirements, found.alone, found.system) == (requirements, alone, system)
    assert wheels.extra_needs("mqtt").requirements == ("paho-mqtt",)


@pytest.mark.parametrize("alone", [False, True])
def test_wheels_are_downloaded_for_the_device(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        calls.append((command, env))
        folder = Path(command[command.index("--dest") + 1])
        for name in ("numpy-2.0-cp311.whl", "Pillow-11.0-cp311.whl"):
            (folder / name).touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("PYTHONPATH", "/of/this/program")
    system: Any = SimpleNamespace(python=(3, 11), machine="aarch64", libc_version=(2, 18))
    needs = wheels.Needs(("numpy>=1", "pillow"), alone, ("numpy",))
    with fetched(system, needs) as found:
        assert [path.name for path in found] == ["Pillow-11.0-cp311.whl"], "the system provides numpy"
        folder = found[0].parent
    assert not folder.exists()
    [(command, env)] = calls
    tags = ("manylinux_2_18_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64")
    assert command == [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder),
        "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "abi3",
        "--abi", "none", *(word for tag in tags for word in ("--platform", tag)), *(["--no-deps"] if alone else []),
        "numpy>=1", "pillow",
    ]  # fmt: skip
    assert env["PYTHONPATH"] == "", "pip must not find packages of this program"


def test_wheels_that_cannot_be_downloaded_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1, stderr="first\nERROR: no wheel\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    system: Any = SimpleNamespace(python=(3, 11), machine="aarch64", libc_version=(2, 18))
    with pytest.raises(RemoteError) as raised, fetched(system, wheels.Needs(("x",), False, ())):
        pass
    assert (
        str(raised.value) == "wheels for aarch64 cannot be fetched here (no wheel)."
        and raised.value.reason == "no wheel"
    )


def test_wheel_of_the_program_has_fixed_timestamps(tmp_path: Path) -> None:
    with zipfile.ZipFile(own_wheel(tmp_path)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        names = archive.namelist()
        [record] = [name for name in names if name.endswith("RECORD")]
        assert [line.partition(",")[0] for line in archive.read(record).decode().splitlines()] == names
    assert not [name for name in names if name.endswith(".pyc")]
