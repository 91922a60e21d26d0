"""`poets-edge inspect`: describe a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from poets_edge.api.models import inspect
from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.options import FILE, result_options
from poets_edge.cli.terminal import output_json
from poets_edge.core.wording import accuracy_text
from poets_edge.device.inspection import Inspection
from poets_edge.tflite.session import TensorInfo

_UNKNOWN_RANGE = (
    "not known. Store it in the model: poets-edge annotate; or give it to other commands: --input-range -1:1, 0:1 or"
    " 0:255"
)


@subcommand("inspect", "poets-edge inspect tf_files/retrained_graph_int8.tflite")
@argument("model", "MODEL", {"MODEL": "A .tflite or .pb file."}, type=FILE)
@option("--tensorboard", type=FILE, metavar="DIR", help="Also write the graph of a .pb to DIR, for TensorBoard.")
@result_options
def command(model: Path, tensorboard: Path | None, as_json: bool, output: Path | None) -> None:
    """Describe a model: inputs and outputs, labels, quantization, operators and origin."""
    found = inspect(model)
    if tensorboard is not None:
        from poets_edge.reports.tensorboard import write_tensorboard_graph

        write_tensorboard_graph(model, tensorboard)
    if output_json(found.to_json(), as_json=as_json, output=output):
        return
    rows = list(_rows(found))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {text}")
    if tensorboard is not None:
        click.echo(f"Look at it with: tensorboard --logdir {tensorboard}")


def _rows(found: Inspection) -> list[tuple[str, str]]:
    rows = [("file", str(found.path)), ("kind", f"{found.kind}, {found.size / 1e6:.2f} MB")]
    if found.description:
        rows.append(("what", found.description))
    rows += [("input", _tensor(tensor)) for tensor in found.inputs]
    rows += [("output", _tensor(tensor)) for tensor in found.outputs]
    rows.append(("normalization", str(found.input_range) if found.input_range else _UNKNOWN_RANGE))
    if found.scores:
        rows.append(("scores", found.scores))
    rows.append(
        (
            "labels",
            f"{len(found.labels)}: {', '.join(found.labels[:10])}{' ...' if len(found.labels) > 10 else ''}"
            if found.labels
            else "none inside",
        )
    )
    rows.append(("operators", ", ".join(f"{count} {name}" for name, count in found.operators.items())))
    if found.accelerated is not None:
        rows.append(("XNNPACK", "runs it" if found.accelerated else "does not run it: slower on this machine"))
    return rows + _provenance(found.facts)


def _provenance(facts: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    training = facts.get("training") or facts
    if training.get("architecture"):
        weights = training.get("weights", {})
        rows.append(("trained", f"{training['architecture']} from {weights.get('file', 'unknown weights')}"))
    if training.get("classes"):
        counts = {label: sum(sets.values()) for label, sets in training["classes"].items()}
        rows.append(("photos", ", ".join(f"{label} {count}" for label, count in counts.items())))
    test = facts.get("test")
    if test and test["photos"]:
        rows.append(("test accuracy", accuracy_text(test["accuracy"], test["photos"], test["interval95"])))
    if facts.get("exported_with"):
        rows.append(
            ("exported with", ", ".join(f"{name} {version}" for name, version in facts["exported_with"].items()))
        )
    return rows


def _tensor(tensor: TensorInfo) -> str:
    shape = " x ".join(str(length) for length in tensor.shape)
    scale = f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {shape} {tensor.dtype.name}{scale}"
