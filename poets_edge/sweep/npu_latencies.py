"""Latencies on an NPU, estimated by Vela (Arm's compiler), and the memory that models need on a microcontroller.

Both are computed for the trained networks in full-int8. The networks are not calibrated, since the ranges that
calibration determines influence neither latency nor cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from poets_edge.bench.machine import MachineState
from poets_edge.bench.measurement import Measurement, model_facts
from poets_edge.bench.rounds import Variant
from poets_edge.bench.timing import Timing
from poets_edge.errors import ModelError
from poets_edge.exporting.microcontroller.fitting import MicroCost, micro_cost, uncalibrated
from poets_edge.exporting.npu.vela import compile_for_npu
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.network import Network
from poets_edge.nets.trained_graph import read_trained
from poets_edge.progress import Reporter
from poets_edge.quantize.quantize import network_of
from poets_edge.sweep.architecture_result import GridModel
from poets_edge.sweep.options import GridOptions


def npu_facts(target: str) -> dict[str, Any]:
    """Return a description of an NPU as the source of latencies, with the keys of `LatencySource.machine`."""
    try:
        compiler = version("ethos-u-vela")
    except PackageNotFoundError:  # the error of the compilation says how to install it
        compiler = "unknown"
    return {
        "board": target,
        "host": f"{target}, estimated by Vela",
        "system": "no measurement",
        "interpreter": "Vela",
        "interpreter_version": compiler,
        "estimated": True,
    }


def estimate_latencies(
    options: GridOptions, models: Sequence[GridModel], reporter: Reporter
) -> tuple[dict[Path, Measurement], list[str]]:
    """Estimate the latency of every int8 model on the NPU `options.target`.

    Returns:
        A dictionary of measurements with one sample each, keyed by model path; and an empty list of warnings, so that
        the result has the type that `LatencySource.measure` returns. There are no measurements for float32 models,
        which an NPU cannot run.

    Raises:
        ModelError: a model cannot be compiled.
        RuntimeMissingError: Vela is not installed.
    """
    measured, integer = {}, [model for model in models if model.quantization == "int8"]
    with reporter.progress("estimating", len(integer), "model") as advance:
        for model in integer:
            name = model.architecture.name
            content = uncalibrated(_network(options, model.architecture))
            estimate = compile_for_npu(content, options.target, name=name).estimate
            variant = Variant(model.path, options.threads, model.sha256)
            timing = Timing(
                load_ms=0.0,
                first_ms=estimate.milliseconds,
                warm_up_runs=0,
                steady=True,
                samples_ms=(estimate.milliseconds,),
                state=MachineState(),
            )
            measured[model.path] = Measurement(variant, model_facts(variant), (timing,))
            advance(1)
    return measured, []


def board_costs(
    options: GridOptions, architectures: Iterable[Architecture], reporter: Reporter
) -> dict[Architecture, MicroCost]:
    """Return the memory that each architecture needs on a microcontroller.

    The result is an empty dictionary if the options specify no board.

    For an architecture that converts its input to grayscale, this is the memory of a model with grayscale input.

    Raises:
        RuntimeMissingError: TensorFlow Lite Micro is not installed.
    """
    if options.budget.board is None:
        return {}
    costs, every = {}, list(architectures)
    with reporter.progress("fitting", len(every), "model") as advance:
        for architecture in every:
            cost = micro_cost(_network(options, architecture), name=architecture.name)
            costs[architecture] = replace(cost, arena=cost.gray_arena) if architecture.gray else cost
            advance(1)
    return costs


def _network(options: GridOptions, architecture: Architecture) -> Network:
    graph = options.train_options(architecture).output_graph
    network = network_of(read_trained(graph).frozen)
    if network is None:
        raise ModelError(f"{graph}: cannot be written as full-int8.")
    return network
