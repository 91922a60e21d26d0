"""Export a trained graph for a neural processing unit (NPU)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poets_edge.exporting.export import prepare_export
from poets_edge.exporting.npu.edge_tpu import check_edge_tpu
from poets_edge.exporting.npu.vela import ACCELERATORS, NpuEstimate, compile_for_npu
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.labels import join_labels

EDGE_TPU = "edge-tpu"
NPUS = (*ACCELERATORS, EDGE_TPU)


@dataclass(frozen=True, kw_only=True)
class NpuExport:
    """Result of `export_for_npu`.

    Attributes:
        target: name of the NPU, such as "ethos-u55-128" (one of NPUS).
        file: the full-int8 file, with its evaluation.
        compiled: path of the compiled file; None for the Edge TPU, whose compiler is a separate program.
        estimate: the compiler's report; None for the Edge TPU.
    """

    target: str
    file: ExportedFile
    compiled: Path | None
    estimate: NpuEstimate | None

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-compatible dictionary."""
        return {
            "target": self.target,
            "file": self.file.to_json(),
            "compiled": str(self.compiled) if self.compiled else None,
            "estimate": self.estimate.to_json() if self.estimate else None,
        }


def export_for_npu(options: ExportOptions, target: str, reporter: Reporter | None = None) -> NpuExport:
    """Convert a trained graph to full-int8, and compile it for an NPU.

    For the Edge TPU, whose compiler is a separate program, the model is only checked. Nothing is written if an operator
    would not run on the NPU.

    Args:
        options: options of the export; `quantizations` is set by this function, and `output_dir` is by default a
            folder next to the graph, named after the target.
        target: name of the NPU, such as "ethos-u55-128" (one of NPUS).

    Raises:
        ModelError: the model cannot be compiled, or an operator would run on the CPU.
        RuntimeMissingError: the compiler is not installed.
        PoetsEdgeError: other errors, as for `export`.
    """
    folder = options.output_dir or options.graph.parent / target.replace("-", "_")
    prepared = prepare_export(replace(options, quantizations=("full-int8",), output_dir=folder), reporter or Silent())
    [file], [content], model = prepared.result.files, prepared.contents, prepared.models["full-int8"]
    written = {file.path: content, folder / "labels.txt": join_labels(prepared.result.labels).encode()}
    if target == EDGE_TPU:
        check_edge_tpu(model, name=str(options.graph))
        prepared.write(written)
        return NpuExport(target=target, file=file, compiled=None, estimate=None)
    compiled = compile_for_npu(model, target, name=str(options.graph))
    path = file.path.with_name(f"{file.path.stem}_vela.tflite")
    prepared.write({**written, path: compiled.content})
    return NpuExport(target=target, file=file, compiled=path, estimate=compiled.estimate)
