"""Tests of the sources of latencies: result files from a device, a device over ssh, and logged rounds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from poets_edge.bench.machine import MachineState
from poets_edge.bench.measurement import Measurement
from poets_edge.bench.result_files import DeviceResults, VariantResult
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, read_rounds
from poets_edge.bench.timing import Timing
from poets_edge.errors import ModelError, OutputError, RecordError, UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.progress import Silent
from poets_edge.sweep import latencies, latency_source
from poets_edge.sweep.architecture_result import GridModel
from poets_edge.sweep.latencies import measure_all, measure_here
from poets_edge.sweep.latency_source import _from_files, _read, open_latency_source
from poets_edge.sweep.options import GridOptions

NAMES = ("mobilenet_0.25_128", "mobilenet_0.50_128")


def timing(*samples: float) -> Timing:
    return Timing(
        load_ms=1.0, first_ms=2.0, warm_up_runs=3, steady=True, samples_ms=samples or (5.0,), state=MachineState()
    )


def result(name: str = NAMES[0], milliseconds: float = 5.0, **fields: Any) -> VariantResult:
    found = VariantResult(
        name=name, threads=1, size=10, sha256="", architecture=name, quantization="int8", median=milliseconds,
        fastest=(), medians=(), kernel=(), accuracy=None, timings=(timing(milliseconds),),
    )  # fmt: skip
    return replace(found, **fields)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[GridModel]:
    monkeypatch.setattr(latency_source, "model_facts", lambda variant: variant.model.name)
    found = []
    for name in NAMES:
        for quantization in ("float32", "int8"):
            path = tmp_path / f"{name}_{quantization}.tflite"
            path.write_text(path.name)
            digest = hashlib.sha256(path.name.encode()).hexdigest()
            found.append(
                GridModel(
                    architecture=architecture(name),
                    quantization=quantization,
                    path=path,
                    size=1,
                    sha256=digest,
                )
            )
    return found


def options(tmp_path: Path, **fields: Any) -> GridOptions:
    return GridOptions(
        **{"image_dir": tmp_path / "photos", "output_dir": tmp_path, "latency": (Path("t.json"),), **fields}
    )


def medians(found: dict[Path, Measurement]) -> dict[str, float]:
    return {path.name: measurement.latency.median for path, measurement in found.items()}


def test_results_are_matched_by_checksum_or_if_it_differs_by_architecture(
    models: list[GridModel], tmp_path: Path
) -> None:
    same = result("other", 7.0, sha256=models[1].sha256)
    kind = result(NAMES[0], 9.0, sha256="0" * 64)
    found, warnings = _from_files(options(tmp_path), models[:2], [kind, same])
    assert medians(found) == {models[1].path.name: 7.0}
    assert found[models[1].path].variant.sha256 == models[1].sha256
    assert warnings == [f"left out, because the file has no latencies of them: {NAMES[0]} float32."]
    found, warnings = _from_files(options(tmp_path), models[1:2], [result(quantization="float32"), kind])
    assert medians(found) == {models[1].path.name: 9.0} and warnings == []


def test_results_for_a_different_number_of_threads_are_not_used(models: list[GridModel], tmp_path: Path) -> None:
    results = [result(threads=4, milliseconds=2.0), result(threads=2, milliseconds=3.0), result(threads=2)]
    with pytest.raises(UsageError, match="`threads` 1: the file has latencies for `threads` 2, 4 only"):
        _from_files(options(tmp_path), models, results)
    found, _ = _from_files(options(tmp_path, threads=2), models, results)
    assert medians(found) == {models[1].path.name: 3.0} and found[models[1].path].variant.threads == 2


def test_latency_files_without_results_for_the_models_are_refused(models: list[GridModel], tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"t\.json: contains no latencies of these models"):
        _from_files(options(tmp_path), models, [result("inception_v3")])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that reads result files with the given device results."""

    def read(*files: list[DeviceResults]) -> Any:
        monkeypatch.setattr(latency_source, "read_benchmark", lambda file: files[int(file.stem)])
        return _read([Path(f"{number}.json") for number in range(len(files))])

    return read


def device(host: str = "", *results: VariantResult, **machine: Any) -> DeviceResults:
    facts = {"cpu": "Cortex-A76", "cores": 4, **machine}
    return DeviceResults(machine=facts, host=host, warnings=(), results=results or (result(),))


def test_result_files_from_one_device_are_merged(read: Any) -> None:
    first, second = result(), result(NAMES[1])
    machine, results = read([device("pi", first)], [device("10.0.0.7", second, system="Linux")])
    assert results == [first, second], "the name of the host may differ"
    assert (machine["host"], machine["system"]) == ("10.0.0.7", "Linux")
    machine, _ = read([device()])
    assert (machine["host"], machine["system"]) == ("0", ""), "named after the file"


def test_result_files_from_several_devices_or_an_emulator_are_refused(read: Any) -> None:
    with pytest.raises(RecordError, match=r"1\.json: measured on Cortex-A72, 4 cores \(1\), and others on Cortex-A76"):
        read([device()], [device(cpu="Cortex-A72")])
    with pytest.raises(UsageError, match=r"0\.json: measured on an emulator"):
        read([device(emulated=True)])
    with pytest.raises(RecordError, match=r"0\.json: contains no raw samples"):
        read([device("", result(), result(NAMES[1], timings=()))])


class Connection:
    """A connection to a device, which the test can close."""

    opened: ClassVar[list[Connection]] = []

    def __init__(self, host: str) -> None:
        self.host, self.alive = host, True
        self.opened.append(self)

    def close(self) -> None:
        self.alive = False


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> Any:
    """State of the simulated device: whether it is emulated, and the error when the program is installed on it."""
    state = SimpleNamespace(emulated=False, error=None, used=[])
    Connection.opened = []

    def install(connection: Connection, folder: str, reporter: Any) -> Any:
        if state.error:
            raise state.error
        return SimpleNamespace(connection=connection)

    def rounds(device: Any, paths: Any, threads: Any, config: Any, log: Any, reporter: Any) -> Any:
        state.used.append((device.connection, list(paths), threads))
        return SimpleNamespace(stamp="s", warnings=["throttled"])

    monkeypatch.setattr(latency_source, "Connection", Connection)
    monkeypatch.setattr(latency_source, "install", install)
    monkeypatch.setattr(
        latency_source, "device_facts", lambda device, reporter: {"emulated": state.emulated, "cpu": "A76"}
    )
    monkeypatch.setattr(latency_source, "measure_rounds", rounds)
    monkeypatch.setattr(latency_source, "measure_all", lambda options, models, reporter, measure: measure(models, None))
    return state


def variants(*names: str) -> list[Any]:
    return [SimpleNamespace(model=Path(name)) for name in names]


def test_lost_connection_is_reopened_before_measuring(ssh: Any, tmp_path: Path) -> None:
    with open_latency_source(options(tmp_path, latency=(), on="pi@host", threads=3), Silent()) as source:
        assert source.machine == {"emulated": False, "cpu": "A76", "host": "pi@host"}
        assert source.measure(variants("a")) == ("s", ["pi@host: throttled"])  # type: ignore[comparison-overlap]
        Connection.opened[0].close()
        source.measure(variants("b"))
    first, second = Connection.opened
    assert ssh.used == [(first, [Path("a")], (3,)), (second, [Path("b")], (3,))] and not second.alive


def test_connection_is_closed_after_errors(ssh: Any, tmp_path: Path) -> None:
    ssh.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), open_latency_source(options(tmp_path, latency=(), on="pi"), Silent()):
        pytest.fail("the device cannot be used")
    ssh.error, ssh.emulated = None, True
    with (
        pytest.raises(UsageError, match="pi is an emulator"),
        open_latency_source(options(tmp_path, latency=(), on="pi"), Silent()),
    ):
        pytest.fail("the device cannot be used")
    assert len(Connection.opened) == 2 and not any(one.alive for one in Connection.opened)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that measures two rounds of each model; returns the measurements."""
    monkeypatch.setattr("poets_edge.bench.measurement.model_facts", lambda variant, name="": name)
    monkeypatch.setattr(latencies, "measurements_of", _measurements)

    def measure(options: GridOptions, models: list[GridModel], stamp: str = "now") -> Any:
        def rounds(variants: Any, log: Any) -> tuple[str, list[str]]:
            for variant in variants:
                for number in range(2):
                    if number not in log.timings(stamp, variant, 2):
                        asked.append(variant.model.name)
                        done = Round(stamp=stamp, sha256=variant.sha256, threads=variant.threads, number=number,
                                     timing=timing(4.0, 8.0))  # fmt: skip
                        log.add(done)
            return stamp, ["the machine was busy"]

        return measure_all(options, models, Silent(), rounds)

    asked: list[str] = []
    measure.asked = asked  # type: ignore[attr-defined]
    return measure


def _measurements(variants: Any, names: Any, log: Any, stamp: str, config: Any) -> list[Measurement]:
    return [
        Measurement(variant, SimpleNamespace(name=name), tuple(log.timings(stamp, variant, 2).values()))  # type: ignore[arg-type]
        for variant, name in zip(variants, names, strict=True)
    ]


def test_rounds_are_logged_and_reused_under_the_same_conditions(
    measured: Any, models: list[GridModel], tmp_path: Path
) -> None:
    wanted = options(tmp_path, latency=(), threads=2)
    found, warnings = measured(wanted, models)
    assert list(found) == [model.path for model in models] and found[models[0].path].variant.threads == 2
    assert warnings[0] == "the machine was busy" and len(measured.asked) == 8
    assert len(read_rounds(tmp_path / "latency.jsonl")) == 8
    measured(wanted, models)
    assert len(measured.asked) == 8, "nothing is measured again"
    measured(wanted, models, stamp="later")
    assert len(measured.asked) == 16


def test_latency_of_a_model_that_was_replaced_during_measurement_is_not_saved(
    measured: Any, models: list[GridModel], tmp_path: Path
) -> None:
    models[2].path.write_text("replaced")
    with pytest.raises(ModelError, match=f"{models[2].path.name}: has changed while it was being measured"):
        measured(options(tmp_path, latency=()), models)
    assert {one.sha256 for one in read_rounds(tmp_path / "latency.jsonl")} == {models[0].sha256, models[1].sha256}


def test_error_about_a_full_disk_tells_the_user_how_to_continue(
    measured: Any, models: list[GridModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, one: Round) -> None:
        raise OutputError("cannot write.")

    monkeypatch.setattr(latencies, "append_round", full)
    with pytest.raises(OutputError, match=r"cannot write\. All architectures are finished and kept\. Free some space"):
        measured(options(tmp_path, latency=()), models)


def test_stamp_of_measurement_conditions_depends_on_machine_and_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latencies, "measure_variants", lambda variants, config, **rest: [rest["stamp"]])

    def stamp(machine: dict[str, Any], **fields: Any) -> str:
        found, warnings = measure_here(options(tmp_path, latency=(), **fields), machine, Silent())([], RoundLog())
        assert warnings == [found]
        return found

    plain = stamp({"cpu": "a"})
    assert plain == stamp({"cpu": "a"})
    assert (
        len({plain, stamp({"cpu": "b"}), stamp({"cpu": "a"}, timing=TimingConfig(seconds=9.0, runs=1, rounds=3))}) == 3
    )


@pytest.mark.parametrize(("differ", "text"), [(0.01, "by up to 1 %"), (0.0099, "vary widely within rounds")])
def test_noise_warning_mentions_rounds_that_differ_by_one_percent_or_more(differ: float, text: str) -> None:
    def noisy(rounds_differ: float) -> Any:
        return SimpleNamespace(rounds_differ=rounds_differ, warnings=lambda: ["noisy"])

    quiet = SimpleNamespace(rounds_differ=0.9, warnings=list)
    [warning] = latencies.noise_warnings([noisy(differ), noisy(0.0), quiet])  # type: ignore[list-item]
    assert text in warning and warning.startswith("the times of 2 of 3 models are noisy")


def test_warning_about_noisy_latencies_follows_the_warnings_of_the_measurement(
    measured: Any, models: list[GridModel], tmp_path: Path
) -> None:
    """Samples of 4 and 8 ms in each round are noisy."""
    _, warnings = measured(options(tmp_path, latency=()), models)
    assert warnings == [
        "the machine was busy",
        "the times of 4 of 4 models are noisy: they vary widely within rounds. Measure again on an idle machine.",
    ]
