"""`poets-edge export --target`: write firmware for microcontrollers, and models for NPUs."""

from __future__ import annotations

from poets_edge.core.wording import percent
from poets_edge.errors import UsageError
from poets_edge.exporting.microcontroller.boards import BOARDS, board, parse_memory
from poets_edge.exporting.microcontroller.microcontroller import Firmware, export_firmware
from poets_edge.exporting.npu.edge_tpu import compiler_command
from poets_edge.exporting.npu.npu import NPUS, NpuExport, export_for_npu
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.progress import Reporter

_MICROCONTROLLER = "microcontroller"
TARGETS = (_MICROCONTROLLER, *NPUS)


def export_target(
    options: ExportOptions, target: str | None, board_name: str | None, memory: str | None, reporter: Reporter
) -> Firmware | NpuExport:
    """Export a graph for a microcontroller or an NPU.

    Raises:
        UsageError: options are missing or contradict each other.
        PoetsEdgeError: other errors, as for `export_firmware` and `export_for_npu`.
    """
    if target != _MICROCONTROLLER and (board_name or memory):
        raise UsageError("--board and --memory belong to --target microcontroller")
    if options.quantizations not in ((), ("full-int8",)) or options.float_io:
        raise UsageError(f"{target} takes a full-int8 file: leave out --quantize, --all and --float-io")
    if target != _MICROCONTROLLER:
        return export_for_npu(options, str(target), reporter)
    if board_name is None:
        raise UsageError(f"--target microcontroller needs a board: --board {'|'.join(one.name for one in BOARDS)}")
    return export_firmware(
        options, board(board_name), memory=parse_memory(memory) if memory else None, reporter=reporter
    )


def target_rows(result: Firmware | NpuExport) -> tuple[list[list[str]], str]:
    """Return the rows of a table that describes an export, and a line that tells the user what to do next."""
    return _firmware_rows(result) if isinstance(result, Firmware) else _npu_rows(result)


def _firmware_rows(result: Firmware) -> tuple[list[list[str]], str]:
    equal = "equal scores" if not result.largest_difference else f"scores within {result.largest_difference:.4f}"
    rows = [
        ["board", result.board.title],
        ["memory", f"{result.arena:,} bytes for the model's tensors, of {result.memory:,}"],
        ["flash", f"{result.model_size:,} bytes for the model, of {result.board.flash:,}"],
        ["operators", ", ".join(result.operators)],
        ["accuracy", _accuracy(result.file)],
        ["verified", f"TensorFlow Lite Micro, {equal} on {result.compared} photos"],
        ["firmware", str(result.folder)],
    ]
    return rows, f"{result.folder / 'README.md'} has the commands that build it and load it onto the board."


def _npu_rows(result: NpuExport) -> tuple[list[list[str]], str]:
    rows = [["target", result.target], ["accuracy", _accuracy(result.file)], ["file", str(result.file.path)]]
    if result.estimate is None:
        checked = "operators, integer types and fixed sizes, as the compiler requires"
        return [*rows, ["checked", checked]], compiler_command(result.file.path)
    estimate = result.estimate
    rows += [
        ["compiled", str(result.compiled)],
        ["operators", f"{estimate.npu_operators}, {percent(estimate.share)} on the NPU"],
        ["memory", f"{estimate.sram:,} bytes of SRAM (estimated by Vela)"],
        ["weights", f"{estimate.flash:,} bytes of flash memory or DRAM"],
        [
            "speed",
            f"{estimate.milliseconds:.2f} ms, {estimate.inferences_per_second:.0f} inferences a second (estimated by"
            f" Vela for {estimate.system})",
        ],
    ]
    return rows, f"load {result.compiled} in TensorFlow Lite Micro with the operator EthosU; see docs/targets.md"


def _accuracy(file: ExportedFile) -> str:
    found = file.evaluation
    return f"{percent(found.accuracy)} of {found.count} test photos" if found else "not evaluated"
