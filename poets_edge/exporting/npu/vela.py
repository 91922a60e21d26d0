"""Compile models for Arm Ethos-U NPUs with Vela, Arm's compiler, which also estimates memory and speed."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import scratch_folder
from poets_edge.errors import ModelError, RuntimeMissingError

ACCELERATORS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
"""Supported NPUs; the number in a name is the number of multiply-accumulate operations per cycle."""

_KIB = 1024
_SECONDS = 600
_COUNT = re.compile(r"^(CPU|NPU) operators = (\d+)", re.MULTILINE)
_REASON = re.compile(r"operator: (\w+), .*\n(?: - )?Reason: (.*)")


@dataclass(frozen=True, kw_only=True)
class NpuEstimate:
    """Report of the compiler Vela on a model.

    Memory and speed are estimated by Vela for its default configuration of a system with this NPU.

    Attributes:
        accelerator: name of the NPU, such as "ethos-u55-128" (one of ACCELERATORS).
        system: Vela's names for the system configuration (memories and clock) and the memory mode.
        npu_operators: number of operators that run on the NPU.
        cpu_operators: number of operators that run on the CPU next to the NPU.
        sram: bytes of memory for tensors.
        flash: bytes of flash memory or DRAM for weights and commands.
        milliseconds: estimated duration of an inference.
    """

    accelerator: str
    system: str
    npu_operators: int
    cpu_operators: int
    sram: int
    flash: int
    milliseconds: float

    @property
    def share(self) -> float:
        """Fraction of the operators that run on the NPU, 0 to 1."""
        return self.npu_operators / (self.npu_operators + self.cpu_operators)

    @property
    def inferences_per_second(self) -> float:
        """Estimated number of inferences per second."""
        return 1000 / self.milliseconds

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON-compatible dictionary."""
        return {**asdict(self), "share": self.share, "inferences_per_second": self.inferences_per_second}


@dataclass(frozen=True)
class NpuModel:
    """A model that was compiled for an NPU.

    Attributes:
        content: bytes of the compiled `.tflite`, which contains a command stream for the NPU.
        estimate: the compiler's report.
    """

    content: bytes
    estimate: NpuEstimate


def compile_for_npu(content: bytes, accelerator: str, *, name: str) -> NpuModel:
    """Compile a full-int8 model for an NPU.

    Args:
        content: bytes of a `.tflite`.
        accelerator: name of the NPU, such as "ethos-u55-128" (one of ACCELERATORS).
        name: name of the model in messages.

    Raises:
        ModelError: Vela cannot compile the model, or some operators would run on the CPU.
        RuntimeMissingError: Vela is not installed.
    """
    if importlib.util.find_spec("ethosu") is None:
        raise RuntimeMissingError(
            f"compiling for {accelerator} needs Vela, which is not installed. Run: pip install 'poets-edge[npu]'"
        )
    with scratch_folder() as folder:
        source = folder / "model.tflite"
        source.write_bytes(content)
        arguments = ["--accelerator-config", accelerator, "--output-dir", str(folder), str(source)]
        try:
            ran = subprocess.run(
                [sys.executable, "-m", "ethosu.vela", *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"{name}: Vela did not finish within {_SECONDS} seconds.") from None
        compiled = folder / "model_vela.tflite"
        if ran.returncode or not compiled.is_file():
            lines = (ran.stderr or ran.stdout).strip().splitlines() or ["no message"]
            raise ModelError(f"{name}: Vela cannot compile it ({lines[-1][:200]}).")
        found = NpuModel(compiled.read_bytes(), _estimate(accelerator, ran.stdout, folder))
    if found.estimate.cpu_operators:
        reasons = sorted({f"{operator}: {reason}" for operator, reason in _REASON.findall(ran.stdout)})
        raise ModelError(
            f"{name}: {found.estimate.cpu_operators} of its operators would run on the CPU"
            f" ({'; '.join(reasons)[:200] or 'Vela gives no reason'}). An NPU takes a full-int8 file."
        )
    return found


def _estimate(accelerator: str, printed: str, folder: Path) -> NpuEstimate:
    [summary] = folder.glob("model_summary_*.csv")
    with summary.open(newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    counts = {kind: int(count) for kind, count in _COUNT.findall(printed)}
    outside = ("dram_memory_used", "on_chip_flash_memory_used", "off_chip_flash_memory_used")
    return NpuEstimate(
        accelerator=accelerator,
        system=f"{row['system_config']}, {row['memory_mode']}",
        npu_operators=counts["NPU"],
        cpu_operators=counts["CPU"],
        sram=round(float(row["sram_memory_used"]) * _KIB),
        flash=round(sum(float(row[name]) for name in outside) * _KIB),
        milliseconds=float(row["inference_time"]) * 1000,
    )
