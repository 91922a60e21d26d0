"""Tests that each command passes all of its options to the library, unchanged and in the right place."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.auditing.options import AuditOptions
from poets_edge.bench.benchmark import BenchmarkOptions
from poets_edge.bench.remote.deploy import DeployOptions
from poets_edge.bench.rounds import TimingConfig
from poets_edge.bench.sustained import SustainedOptions
from poets_edge.device.watch.collect import CollectOptions
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.device.watch.trigger import Command
from poets_edge.device.watch.watch import TriggerOptions, WatchOptions
from poets_edge.errors import UsageError
from poets_edge.exporting.microcontroller.boards import board_with_memory
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.photos.split import SplitConfig
from poets_edge.studio.server import StudioOptions
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.options import GridOptions
from poets_edge.training.distort import Distortions
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions
from poets_edge.training.options import TrainOptions

SMALL = architecture("mobilenet_0.25_128")


class CalledError(Exception):
    """Raised by the stand-in for a library function, with the arguments of the call."""

    def __init__(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        super().__init__()
        self.arguments, self.named = arguments, named


Passed = Callable[..., CalledError]


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Passed:
    """Function that runs a command line and returns the arguments with which it calls a library function.

    The first argument is the dotted name of the function in the module that calls it.
    """

    def run(function: str, *line: str) -> CalledError:
        def stand_in(*arguments: Any, **named: Any) -> None:
            raise CalledError(arguments, named)

        monkeypatch.setattr(f"poets_edge.{function}", stand_in)
        command = importlib.import_module(f"poets_edge.cli.{line[0].replace('-', '_')}").command
        with pytest.raises(CalledError) as called:
            command.main(list(line[1:]), prog_name=line[0], standalone_mode=False)
        return called.value

    return run


def test_train_passes_every_option(passed: Passed) -> None:
    line = (
        "train photos --exclude no.json --background empty --strangers others --recursive --rehash --group-by parent"
        " --strict --testing-percentage 21 --validation-percentage 13 --architecture mobilenet_0.25_128"
        " --weights embedded --fine-tune 2 --fine-tune-epochs 7 --fine-tune-folds 3 --bottleneck-dir b --model-dir m"
        " --cluster local:2 --insecure-cluster --steps 11 --learning-rate 0.5 --flip-left-right --random-crop 1"
        " --random-scale 2 --random-brightness 3 --distorted-variants 4 --early-stop --unknown-rate 6 --folds 9"
        " --not-calibrated --seed 8 --runs-dir r --output-graph g.pb --output-labels l.txt --summaries-dir s"
        " --eval-step-interval 14 --train-batch-size 15 --validation-batch-size 16 --test-batch-size 17"
        " --final-tensor-name last --intermediate-store-frequency 18 --intermediate-output-graphs-dir i"
    )
    expected = TrainOptions(
        image_dir=Path("photos"), architecture=SMALL, output_graph=Path("g.pb"), output_labels=Path("l.txt"),
        bottleneck_dir=Path("b"), model_dir=Path("m"), weights="embedded", summaries_dir=Path("s"),
        intermediate_output_graphs_dir=Path("i"), intermediate_store_frequency=18,
        percentages=SplitConfig(testing=21, validation=13),
        head=HeadOptions(
            steps=11, learning_rate=0.5, train_batch_size=15, validation_batch_size=16, eval_step_interval=14, seed=8,
            early_stop=True,
        ),
        test_batch_size=17, folds=9, group_by="parent",
        distortions=Distortions(
            flip_left_right=True, random_crop=1, random_scale=2, random_brightness=3, variants=4
        ),
        final_tensor_name="last", recursive=True, rehash=True, strict=True, exclude=Path("no.json"), calibrated=False,
        unknown_rate=6.0, background=Path("empty"), strangers=Path("others"), runs_dir=Path("r"),
        fine_tuning=FineTuning(blocks=2, epochs=7, folds=3), cluster="local:2", insecure_cluster=True,
    )  # fmt: skip
    assert passed("training.train.train", *line.split()).arguments[0] == expected


def test_train_without_options_passes_the_defaults(passed: Passed) -> None:
    found = passed("training.train.train", "train", "--image-dir", "photos").arguments[0]
    assert found == TrainOptions(image_dir=Path("photos"))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("--network small", "mobilenet_0.25_224"),
        ("--architecture mobilenet_1.0_160", "mobilenet_1.0_160"),
        ("--network small --architecture mobilenet_0.25_224", "mobilenet_0.25_224"),
    ],
)
def test_network_and_architecture_options_select_the_architecture(passed: Passed, line: str, name: str) -> None:
    found = passed("training.train.train", "train", "photos", *line.split()).arguments[0].architecture
    assert found.name == name


def test_train_rejects_contradictory_network_and_architecture_options(passed: Passed) -> None:
    with pytest.raises(UsageError, match=r"`network` balanced is .*, and `architecture` is mobilenet_0\.25_128"):
        passed("training.train.train", *["train", "p", "--network", "balanced", "--architecture", "mobilenet_0.25_128"])


def test_grid_passes_every_option(passed: Passed) -> None:
    line = (
        "grid photos --exclude no.json --strangers others --recursive --rehash --group-by parent"
        " --testing-percentage 21 --validation-percentage 13 --architecture mobilenet_0.25_128 --fine-tune 2"
        " --fine-tune-epochs 7 --bottleneck-dir b --model-dir m --cluster local:2 --insecure-cluster --steps 11"
        " --learning-rate 0.5 --folds 9 --calibration-photos 12 --seed 8 --max-latency 20ms --max-size 2MB"
        " --min-accuracy 90% --ship --on pi --remote-dir there --threads 3 --min-seconds 4 --min-runs 5 --rounds 6"
        " --output-dir out"
    )
    expected = GridOptions(
        image_dir=Path("photos"), architectures=(SMALL,), output_dir=Path("out"), bottleneck_dir=Path("b"),
        model_dir=Path("m"), percentages=SplitConfig(testing=21, validation=13),
        head=HeadOptions(steps=11, learning_rate=0.5, seed=8), fine_tuning=FineTuning(blocks=2, epochs=7),
        calibration_count=12, recursive=True, rehash=True, exclude=Path("no.json"), folds=9, group_by="parent",
        threads=3, timing=TimingConfig(seconds=4.0, runs=5, rounds=6),
        budget=Budget(latency=20.0, size=2e6, accuracy=0.9), strangers=Path("others"), ship=True, on="pi",
        remote_dir="there", cluster="local:2", insecure_cluster=True,
    )  # fmt: skip
    assert passed("cli.grid.grid", *line.split()).arguments[0] == expected


def test_grid_passes_the_source_of_latencies_and_the_board(passed: Passed) -> None:
    one = "grid photos --architecture mobilenet_0.25_128"
    found = passed("cli.grid.grid", *f"{one} --latency a.json --latency b.json".split()).arguments[0]
    assert found.latency == (Path("a.json"), Path("b.json")) and not found.ship
    assert passed("cli.grid.grid", *f"{one} --target ethos-u55-128".split()).arguments[0].target == "ethos-u55-128"
    found = passed("cli.grid.grid", *f"{one} --board esp32s3 --memory 100KB".split()).arguments[0]
    assert found.budget == Budget(board=board_with_memory("esp32s3", "100KB")) and found.architectures == (SMALL,)
    names = [
        entry.name for entry in passed("cli.grid.grid", *["grid", "p", "--board", "esp32s3"]).arguments[0].architectures
    ]
    others = [entry.name for entry in passed("cli.grid.grid", *["grid", "p"]).arguments[0].architectures]
    assert names[: len(others)] == others and len(names) > len(others), "small networks are added for a board"


def test_audit_passes_every_option(passed: Passed) -> None:
    line = (
        "audit photos --recursive --rehash --group-by parent --architecture mobilenet_0.25_128 --weights embedded"
        " --bottleneck-dir b --model-dir m --folds 9 --target 90 --orientation --report r.html"
    )
    expected = AuditOptions(
        image_dir=Path("photos"), architecture=SMALL, report=Path("r.html"), weights="embedded", model_dir=Path("m"),
        bottleneck_dir=Path("b"), folds=9, group_by="parent", target=0.9, recursive=True, rehash=True, orientation=True,
    )  # fmt: skip
    assert passed("cli.audit.audit", *line.split()).arguments[0] == expected
    assert passed("cli.audit.audit", "audit", "photos").arguments[0] == AuditOptions(image_dir=Path("photos"))


def test_export_passes_every_option(passed: Passed) -> None:
    line = (
        "export g.pb --quantize float16 --quantize full-int8 --quantize float16 --float-io --input-type int8"
        " --unknown-label other --max-accuracy-drop 1.5 --output-dir out --image-dir photos --calibration-photos 12"
        " --testing-percentage 21 --validation-percentage 13 --input-range 0:1 --input-size 96 --labels l.txt"
    )
    expected = ExportOptions(
        graph=Path("g.pb"), labels=Path("l.txt"), unknown_label="other", output_dir=Path("out"),
        quantizations=("float16", "full-int8"), float_io=True, input_type="int8", input_range="0:1", input_size=96,
        image_dir=Path("photos"), percentages=SplitConfig(testing=21, validation=13), calibration_count=12,
        max_accuracy_drop=1.5,
    )  # fmt: skip
    assert passed("cli.export.export", *line.split()).arguments[0] == expected


@pytest.mark.parametrize(
    ("line", "quantizations"),
    [
        ("export --graph g.pb", ()),
        ("export g.pb --quantize", ("int8",)),
        ("export g.pb --quantize none", ("float32",)),
        ("export g.pb --all", ("float32", "dynamic", "float16", "int8")),
    ],
)
def test_export_options_select_the_quantizations(passed: Passed, line: str, quantizations: tuple[str, ...]) -> None:
    found = passed("cli.export.export", *line.split()).arguments[0]
    assert found == ExportOptions(graph=Path("g.pb"), quantizations=quantizations)  # type: ignore[arg-type]


def test_export_calls_the_function_for_the_target(passed: Passed) -> None:
    options, folder, _ = passed(
        "cli.export.export_for_frigate", *["export", "g.pb", "--for", "frigate", "out"]
    ).arguments
    assert (options.graph, folder) == (Path("g.pb"), Path("out"))
    assert passed("cli.export.export_format", *["export", "g.pb", "--format", "onnx"]).arguments[1] == "onnx"
    line = "export g.pb --target microcontroller --board esp32s3 --memory 200KB --gray"
    options, *named, _ = passed("cli.export.export_target", *line.split()).arguments
    assert named == ["microcontroller", "esp32s3", "200KB"]
    assert (options.gray, options.quantizations) == (True, ("full-int8",))


@pytest.mark.parametrize(
    "line",
    [
        "--for frigate out --format onnx",
        "--format onnx --target edge-tpu",
        "--for frigate out --board esp32s3",
        "--for frigate out --all",
        "--for frigate out --output-dir x",
        "--for frigate out --float-io",
        "--for frigate out --input-type int8",
        "--format onnx --quantize",
        "--format onnx --float-io",
        "--format onnx --input-type int8",
        "--format onnx --max-accuracy-drop 1",
        "--target edge-tpu --board esp32s3",
        "--target edge-tpu --memory 1MB",
        "--target edge-tpu --all",
        "--target edge-tpu --float-io",
        "--target microcontroller",
    ],
)
def test_export_rejects_contradictory_options(passed: Passed, line: str) -> None:
    with pytest.raises(UsageError):
        passed("cli.export.export", "export", "g.pb", *line.split())


def test_benchmark_passes_every_option(passed: Passed) -> None:
    line = (
        "benchmark a.tflite b.tflite --threads 1,3 --min-seconds 4 --min-runs 5 --rounds 6 --image-dir photos"
        " --split all --labels l.txt --input-range 0:1"
    )
    expected = BenchmarkOptions(
        models=(Path("a.tflite"), Path("b.tflite")), threads=(1, 3),
        timing=TimingConfig(seconds=4.0, runs=5, rounds=6, enough=6), image_dir=Path("photos"), split="all",
        labels=Path("l.txt"), input_range="0:1",
    )  # fmt: skip
    assert passed("cli.benchmark.benchmark", *line.split()).arguments[0] == expected
    called = passed("cli.benchmark.benchmark_on", *f"{line} --on pi --on pi2 --remote-dir there".split())
    assert called.arguments == (expected, ("pi", "pi2")) and called.named["folder"] == "there"
    plain = passed("cli.benchmark.benchmark", *["benchmark", "a.tflite", "--delegate", "libx.so"]).arguments[0]
    assert plain == BenchmarkOptions(models=(Path("a.tflite"),), delegate="libx.so")
    assert plain.timing.enough < plain.timing.rounds, "by default, the benchmark may end early"


def test_benchmark_passes_the_options_of_sustained_load(passed: Passed) -> None:
    line = "benchmark a.tflite --sustained 2m --rate 15 --threads 3"
    expected = SustainedOptions(models=(Path("a.tflite"),), seconds=120.0, threads=3, rate=15.0)
    assert passed("cli.benchmark.sustain", *line.split()).arguments[0] == expected
    called = passed("cli.benchmark.sustain_on", *f"{line} --on pi --remote-dir there".split())
    assert called.arguments == (expected,)
    assert (called.named["host"], called.named["folder"]) == ("pi", "there")
    plain = passed("cli.benchmark.sustain", *["benchmark", "a.tflite", "--sustained", "3"]).arguments[0]
    assert (plain.threads, plain.rate, plain.seconds) == (1, None, 3.0)


@pytest.mark.parametrize(
    "line",
    [
        "--delegate x.so --on pi",
        "--delegate x.so --sustained 1s",
        "--sustained 1s --image-dir photos",
        "--sustained 1s --on a --on b",
        "--sustained 1s --threads 1,2",
        "--sustained 1s --chart x.png",
        "--rate 5",
        "--chart x.svg",
        "--operators",
        "--json x.json y.json",
        "--json x.json --output z.json",
    ],
)
def test_benchmark_rejects_contradictory_options(
    passed: Passed, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        passed("cli.benchmark.benchmark", "benchmark", "a.tflite", *line.split())


def test_watch_passes_every_option(passed: Passed) -> None:
    line = (
        "watch m.tflite --source clip --keep-all --smooth 4 --threshold 0.25 --accept-all --labels l.txt"
        " --input-range 0:1 --threads 2 --on-label daisy --run true --on-label roses --run false --hold 3"
        " --run-limit 9 --shell --collect unsure --below 0.75 --collect-most 70 --mqtt mqtts://broker --mqtt-name porch"
        " --mqtt-login login --mqtt-ca ca.pem"
    )
    expected = WatchOptions(
        model=Path("m.tflite"), source=Path("clip"), labels=Path("l.txt"), input_range="0:1", smooth=4, threshold=0.25,
        accept_all=True, keep_all=True, threads=2,
        triggers=tuple(
            TriggerOptions(label=label, command=Command(text, shell=True, limit=9.0), hold=3)
            for label, text in (("daisy", "true"), ("roses", "false"))
        ),
        collect=CollectOptions(folder=Path("unsure"), below=0.75, most=70),
        mqtt=MqttOptions(broker="mqtts://broker", name="porch", login=Path("login"), ca=Path("ca.pem")),
    )  # fmt: skip
    assert passed("cli.watch.run_watch", *line.split()).arguments[0] == expected
    found = passed(
        "cli.watch.run_watch",
        *["watch", "m.tflite", "--camera", "2", "--collect", "d", "--on-label", "a", "--run", "true"],
    )
    trigger = TriggerOptions(label="a", command=Command("true", limit=60.0), hold=5)
    collect = CollectOptions(folder=Path("d"), below=0.6, most=500)
    assert found.arguments[0] == WatchOptions(model=Path("m.tflite"), camera="2", triggers=(trigger,), collect=collect)


@pytest.mark.parametrize(
    "line",
    ["--on-label a", "--run x", "--below 0.5", "--collect-most 5", "--mqtt-name x", "--mqtt-login x", "--mqtt-ca x"],
)
def test_watch_rejects_incomplete_options(passed: Passed, line: str) -> None:
    with pytest.raises(UsageError, match="need"):
        passed("cli.watch.run_watch", "watch", "m.tflite", *line.split())


def test_deploy_passes_its_options_and_those_of_watch(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    class Known:
        labels = ("daisy", "roses")

        def __init__(self, model: Path, **given: Any) -> None:
            assert given == {"labels": Path("l.txt"), "input_range": "0:1"}

    monkeypatch.setattr("poets_edge.cli.deploy.Classifier", Known)
    line = (
        "deploy m.tflite --on pi --labels l.txt --input-range 0:1 --remote-dir there --mqtt mqtt://broker"
        " --mqtt-name porch -- --on-label roses --run true --run-limit 0 --smooth 5 --every-frame"
    )
    found = passed("cli.deploy.deploy", *line.split()).arguments[0]
    words = ("--on-label", "roses", "--run", "true", "--run-limit", "0.0", "--smooth", "5", "--every-frame")
    assert sorted(found.watch) == sorted(words)
    assert found.watch.index("roses") == found.watch.index("--on-label") + 1
    assert found == DeployOptions(
        model=Path("m.tflite"), on="pi", labels=Path("l.txt"), input_range="0:1", watch=found.watch,
        mqtt=MqttOptions(broker="mqtt://broker", name="porch"), remote_dir="there",
    )  # fmt: skip


def test_deploy_passes_host_and_folders_to_remove_the_program_and_to_fetch_frames(passed: Passed) -> None:
    removed = passed("cli.deploy.remove", *["deploy", "--on", "pi", "--remove", "--remote-dir", "there"])
    assert removed.arguments == ("pi",) and removed.named["remote_dir"] == "there"
    fetched = passed(
        "cli.deploy.fetch_frames",
        *["deploy", "--on", "pi", "--fetch", "here", "--collect", "unsure", "--remote-dir", "x"],
    )
    assert fetched.arguments == ("pi", Path("here"))
    assert (fetched.named["source"], fetched.named["remote_dir"]) == ("unsure", "x")
    assert passed("cli.deploy.fetch_frames", *["deploy", "--on", "pi", "--fetch", "here"]).named["source"] == ""


def test_evaluate_passes_every_option(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[Any, ...]] = []
    monkeypatch.setattr("poets_edge.cli.evaluate.open_scorer", lambda *given, **named: opened.append((*given, named)))
    line = (
        "evaluate a.tflite b.tflite photos --split training --testing-percentage 21 --strangers others --recursive"
        " --group-by parent --labels l.txt --input-range 0:1"
    )
    called = passed("cli.evaluate.evaluate_together", *line.split())
    assert opened == [(Path(f"{name}.tflite"), Path("l.txt"), {"input_range": "0:1"}) for name in "ab"]
    assert called.arguments[1] == Path("photos")
    named = {name: value for name, value in called.named.items() if name != "reporter"}
    assert named == {
        "split": "training", "percentages": SplitConfig(testing=21, validation=10), "recursive": True,
        "group_by": "parent", "strangers": Path("others"),
    }  # fmt: skip
    called = passed(
        "cli.evaluate.evaluate_together", *["evaluate", "a.tflite", "photos", "--validation-percentage", "13"]
    )
    assert called.named["percentages"] == SplitConfig(testing=10, validation=13)
    assert passed("cli.evaluate.evaluate_together", *["evaluate", "a.tflite", "photos"]).named["percentages"] is None


def test_label_passes_the_options_for_opening_the_model(passed: Passed) -> None:
    line = "label m.tflite photo.jpg --labels l.txt --threads 3 --input-range 0:1 --delegate x.so"
    called = passed("cli.label.open_scorer", *line.split())
    assert called.arguments == (Path("m.tflite"), Path("l.txt"), 3)
    assert called.named == {"input_range": "0:1", "delegate": "x.so"}
    called = passed(
        "cli.label.open_scorer", *["label", "m.tflite", "photo.jpg", "--input-mean", "0", "--input-std", "255"]
    )
    assert called.named["input_range"] == "0.0:1.0"


def test_studio_passes_every_option(passed: Passed) -> None:
    found = passed("cli.studio.studio", *["studio", "flowers", "--port", "81", "--lan"]).arguments[0]
    assert found == StudioOptions(folder=Path("flowers"), port=81, demo=False, lan=True)
    for line, folder, demo in (("studio", "photos", False), ("studio --demo", "studio_demo", True)):
        found = passed("cli.studio.studio", *line.split()).arguments[0]
        assert found == StudioOptions(folder=Path(folder), port=8765, demo=demo, lan=False)


def test_web_and_android_pass_every_option(passed: Passed) -> None:
    line = "m.tflite --labels l.txt --input-range 0:1"
    called = passed("cli.web.write_page", *f"web {line} --output-dir out --title Birds".split())
    assert called.arguments == (Path("m.tflite"), Path("out"))
    assert called.named == {"labels": Path("l.txt"), "input_range": "0:1", "title": "Birds"}
    assert passed("cli.web.write_page", "web", "m.tflite").arguments[1] == Path("site")
    called = passed("cli.android.install_model", *f"android {line} --app there".split())
    assert called.arguments == (Path("m.tflite"), Path("there"))
    assert called.named == {"labels": Path("l.txt"), "input_range": "0:1"}
    called = passed("cli.annotate.annotate", *f"annotate {line} --output n.tflite".split())
    assert called.named == {"labels": Path("l.txt"), "input_range": "0:1", "output": Path("n.tflite")}
    assert passed("cli.annotate.annotate", *f"annotate {line} --output n.json".split()).named["output"] is None


def test_commands_with_few_options_pass_every_option(passed: Passed) -> None:
    called = passed("cli.draw_photos.draw_photos", *["draw-photos", "out", "--per-class", "7", "--seed", "3"])
    assert called.arguments == (Path("out"),) and (called.named["per_class"], called.named["seed"]) == (7, 3)
    called = passed(
        "training.cache_folder.remove_caches", *["cache", "--bottleneck-dir", "b", "--remove", "x", "--remove", "y"]
    )
    assert called.arguments == (Path("b"), ("x", "y"))
    assert passed("training.cache_folder.caches", *["cache", "--bottleneck-dir", "b"]).arguments == (Path("b"),)
    assert passed("cli.runs.list_runs", *["runs", "--runs-dir", "r"]).arguments == (Path("r"),)
    assert passed("demo.quickstart.quickstart", *["quickstart", "--output-dir", "q"]).arguments[0] == Path("q")
    assert passed("photos.fetch.fetch_flowers", *["fetch-flowers", "f"]).arguments == (Path("f"),)
    assert passed("cli.codelab.write_codelab", *["codelab", "f"]).arguments == (Path("f"),)
    assert passed("cli.compare.compare", *["compare", "a.json", "b.json"]).arguments == (
        (Path("a.json"), Path("b.json")),
    )
