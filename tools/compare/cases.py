"""Lists of the test cases for comparing two revisions, and of the fixtures, which are folders that cases start from.

A case consists of commands that are run with both revisions of poets_edge, whose outputs are then compared. To add a
case, add a line. Most cases use synthetic photos and the weights in the package, which are fast and need no data.
`fetch-flowers`, `deploy` and commands with `--on` (run on another device) are not included, because they require a
server.
"""

from __future__ import annotations

from tools.compare import inputs
from tools.compare.case import Case

_NETWORK = "--weights embedded --architecture mobilenet_0.25_128"
_FEW = "--how_many_training_steps 200"
_TRAIN = f"train photos {_NETWORK} {_FEW}"
_GRAPH = "tf_files/retrained_graph.pb"
_FLOAT = "tf_files/retrained_graph.tflite"
_HALF = "tf_files/retrained_graph_float16.tflite"
_DYNAMIC = "tf_files/retrained_graph_dynamic.tflite"
_INT8 = "tf_files/retrained_graph_int8.tflite"
_MODELS = f"{_FLOAT} {_HALF} {_DYNAMIC} {_INT8}"
_DAISY = "photos/daisy/daisy-000.jpg"
_QUICK = "--threads 1 --min-seconds 0.02 --min-runs 3 --rounds 2"
_TWO = (
    f"--architecture mobilenet_0.25_128 --architecture mobilenet_0.50_128 {_FEW} --calibration_photos 10"
    " --testing_percentage 30"
)
_MEASURED = " ".join(
    f"measured/mobilenet_{alpha}_128/retrained_graph{quantization}.tflite"
    for alpha in ("0.25", "0.50")
    for quantization in ("", "_int8")
)

# Created by the base revision for both trees, so that a difference appears only in the cases of its cause.
FIXTURES = (
    Case("photos", ("draw-photos photos --per-class 12",)),
    Case("trained", (f"{_TRAIN} --testing_percentage 30", "export --all"), ("photos",)),
    Case("runs", (_TRAIN, f"{_TRAIN} --seed 1", f"{_TRAIN} --early-stop --learning_rate 0.02"), ("photos",)),
    Case("tuned", (f"{_TRAIN} --fine-tune 1 --fine-tune-epochs 2 --distorted-variants 2",), ("photos",)),
    Case(
        "benchmarks",
        (
            f"benchmark {_MODELS} --image_dir photos {_QUICK} --output first.json",
            f"benchmark {_FLOAT} {_INT8} --image_dir photos --threads 1,2 --min-seconds 0.05 --rounds 3"
            " --output second.json",
        ),
        ("trained",),
    ),
    Case(
        "latencies",
        (
            f"grid photos {_TWO} {_QUICK} --output-dir measured --bottleneck_dir measured/bottlenecks",
            f"benchmark {_MEASURED} {_QUICK} --output times.json",
        ),
        ("photos",),
        shared=("keras",),
    ),
    Case(
        "stages",
        tuple(
            f"train photos {_NETWORK} --how_many_training_steps {steps} --output_graph s/{steps}.pb"
            f" --output_labels s/{steps}.txt -q"
            for steps in (2, 10, 20, 30, 50, 100, 200)
        ),
        ("photos",),
    ),
    Case("flowers", prepare=inputs.flowers, shared=("data/flower_photos",)),
    Case(
        "trained-flowers",
        ("train flowers --architecture mobilenet_0.50_224 --how_many_training_steps 500", "export --all"),
        ("flowers",),
        shared=("keras",),
    ),
)

CASES = (
    Case("version", ("--version",)),
    Case("draw-photos", ("draw-photos a --per-class 3 --json", "draw-photos b --per-class 2 --seed 7 --output b.json")),
    # train
    Case("train", (f"{_TRAIN} --json", f"{_TRAIN} --output again.json"), ("photos",)),
    Case("train-text", (f"{_TRAIN} --print_misclassified_test_images", f"{_TRAIN} -q --rehash"), ("photos",)),
    Case(
        "train-distorted",
        (
            f"{_TRAIN} --flip_left_right --random_crop 10 --random_scale 10 --random_brightness 10"
            " --distorted-variants 2 --json",
        ),
        ("photos",),
    ),
    Case(
        "train-options",
        (
            f"{_TRAIN} --testing_percentage 30 --validation_percentage 20 --test_batch_size 5 --train_batch_size 20"
            " --validation_batch_size -1 --eval_step_interval 50 --learning_rate 0.05 --seed 3 --folds 3 --json",
            f"{_TRAIN} --folds 0 --not-calibrated --early-stop --strict --json",
        ),
        ("photos",),
    ),
    Case(
        "train-places",
        (
            f"{_TRAIN} --output_graph out/graph.pb --output_labels out/labels.txt --bottleneck_dir out/cache"
            " --summaries_dir out/summaries --runs-dir out/runs --intermediate_store_frequency 100"
            " --intermediate_output_graphs_dir out/graphs --final_tensor_name answer --output out/result.json",
            "export out/graph.pb --quantize float32 --quantize int8 --json",
            f"label out/graph.pb {_DAISY} --json",
        ),
        ("photos",),
    ),
    Case("train-tuned", (f"{_TRAIN} --fine-tune 2 --fine-tune-epochs 2 --json", "export --all --json"), ("photos",)),
    Case(
        "train-tuned-distorted",
        (f"{_TRAIN} --fine-tune 1 --fine-tune-epochs 2 --flip_left_right --distorted-variants 2",),
        ("photos",),
    ),
    Case(
        "train-exclude",
        (f"{_TRAIN} --exclude exclude.json --json", f"{_TRAIN} --exclude exclude.txt --json"),
        ("photos",),
        inputs.exclusions,
    ),
    Case(
        "train-nested",
        (
            f"train nested {_NETWORK} {_FEW} --json",
            f"train nested --recursive {_NETWORK} {_FEW} --json",
            "evaluate nested --recursive --json",
        ),
        ("photos",),
        inputs.nested,
    ),
    Case(
        "train-set-folders",
        (
            f"train divided {_NETWORK} {_FEW} --json",
            "export --quantize int8 --json",
            f"evaluate {_INT8} divided --json",
            f"evaluate {_INT8} divided --set validation --json",
            f"audit divided {_NETWORK} --json",
        ),
        ("photos",),
        inputs.set_folders,
    ),
    Case(
        "train-archives",
        (
            f"train photos.zip {_NETWORK} {_FEW} --json",
            "export --quantize int8 --json",
            f"evaluate {_INT8} photos.zip --json",
            f"train photos.tar {_NETWORK} {_FEW} --output_graph tar/graph.pb --output_labels tar/labels.txt --json",
            "evaluate tar/graph.pb photos.tar --json",
            f"train 'shard-{{000..001}}.tar' {_NETWORK} {_FEW} --output_graph s/g.pb --output_labels s/l.txt --json",
            f"audit photos.zip {_NETWORK} --json",
        ),
        ("photos",),
        inputs.archives,
    ),
    Case(
        "train-odd-photos",
        (
            f"{_TRAIN} --json",
            f"! {_TRAIN} --strict",
            f"audit photos {_NETWORK} --json",
            f"evaluate {_GRAPH} photos --set all --json",
            f"! label {_GRAPH} photos/daisy photos/tulips --json",
        ),
        ("photos",),
        inputs.odd_photos,
    ),
    Case("train-cluster", (f"{_TRAIN} --cluster local:2 --json",), ("photos",)),
    Case(
        "train-codelab-words", (f"train --image_dir=photos {_NETWORK}_quantized {_FEW} --random-crop=5",), ("photos",)
    ),
    Case(
        "train-errors",
        (
            "! train",
            "! train missing",
            "! train photos photos",
            f"! {_TRAIN} --architecture mobilenet_0.3_128",
            f"! {_TRAIN} --architecture mobilenet_0.50_128",
            f"! {_TRAIN} --weights weights.h5",
            f"! {_TRAIN} --testing_percentage 90 --validation_percentage 20",
            f"! {_TRAIN} --output_graph photos/graph.pb",
            f"! {_TRAIN} --epochs 3",
            f"! {_TRAIN} --fine-tune 99",
            f"! {_TRAIN} --final_tensor_name a:b",
            f"! {_TRAIN} --exclude missing.json",
        ),
        ("trained",),
        inputs.odd_bytes,
    ),
    Case(
        "train-flowers",
        ("train flowers --architecture mobilenet_0.25_128 --json", "train flowers --architecture mobilenet_0.25_128"),
        ("flowers",),
        shared=("keras",),
    ),
    Case(
        "train-flowers-224",
        (
            "train flowers --architecture mobilenet_0.50_224 --how_many_training_steps 500 --json",
            "export --all --json",
            f"evaluate {_MODELS} flowers --set all --json",
        ),
        ("flowers",),
        shared=("keras",),
    ),
    Case(
        "train-flowers-tuned",
        (
            f"train flowers --architecture mobilenet_0.50_128 --fine-tune 3 --fine-tune-epochs 1 {_FEW}"
            " --distorted-variants 2 --json",
            "export --quantize int8 --json",
        ),
        ("flowers",),
        shared=("keras",),
    ),
    Case(
        "train-defects",
        ("train defects --architecture mobilenet_0.75_160 --json", "export --all --json"),
        prepare=inputs.defects,
        shared=("data/surface_defects", "keras"),
    ),
    # export
    Case("export", ("export --all --json", "export --all --output result.json"), ("trained",)),
    Case(
        "export-each",
        (
            "export",
            "export --quantize --output-dir a",
            "export --quantize none --quantize float16 --output-dir b",
            "export --quantize dynamic --output-dir c --labels tf_files/retrained_labels.txt",
            "export --quantize int8 --float-io --output-dir d --json",
            "export --quantize int8 --calibration-photos 5 --output-dir e --json",
            "export --graph tf_files/retrained_graph.pb --image_dir photos --output-dir f --json",
        ),
        ("trained",),
        inputs.other_labels,
    ),
    Case(
        "export-drop",
        ("export --all --max-accuracy-drop 100 --json", "! export --quantize int8 --max-accuracy-drop -1 --json"),
        ("trained",),
    ),
    Case(
        "export-bare",
        (
            "export bare/retrained_graph.pb --json",
            "export bare/retrained_graph.pb --image_dir photos --all --json",
            "export bare/retrained_graph.pb --image_dir photos --testing_percentage 40 --validation_percentage 0",
            "! export bare/retrained_graph.pb --quantize int8",
        ),
        ("trained",),
        inputs.without_record,
    ),
    Case(
        "export-errors",
        ("! export missing.pb", "! export cut.pb", "! export broken/retrained_graph.pb", "! export --quantize int4"),
        ("trained",),
        inputs.odd_bytes,
    ),
    Case(
        "fixed-graph",
        (
            "export seeds/seed_graph.pb --labels seeds/seed_labels.txt --output-dir out"
            " --quantize float32 --quantize float16 --quantize dynamic --json",
            "inspect seeds/seed_graph_int8.tflite --json",
            "inspect seeds/seed_graph.pb --json",
            "label seeds/seed_graph_int8.tflite pictures --json",
            "annotate seeds/seed_graph_int8.tflite --labels words.txt --json",
        ),
        prepare=inputs.fixed_graph,
    ),
    Case("export-tuned", ("export --all --json",), ("tuned",)),
    Case("export-flowers", ("export --all --json",), ("trained-flowers",)),
    # label
    Case(
        "label",
        (
            f"label {_FLOAT} photos --json",
            f"label {_HALF} photos --json",
            f"label {_DYNAMIC} photos --json",
            f"label {_INT8} photos --json",
            f"label {_GRAPH} photos --json",
        ),
        ("trained",),
    ),
    Case(
        "label-text",
        (
            f"label {_INT8} {_DAISY}",
            f"label {_INT8} {_DAISY} photos/tulips/tulips-003.jpg --top 2",
            f"label {_FLOAT} photos --threshold 0.5 --output labels.json",
            f"label {_DYNAMIC} - < {_DAISY}",
            f"label --graph={_GRAPH} --image={_DAISY}",
            f"label {_DAISY}",
            f"label {_INT8} {_DAISY} --labels words.txt --threads 2",
            f"label {_FLOAT} {_DAISY} --input_size 128 --input_mean 128 --input_std=128 --input_layer input",
        ),
        ("trained",),
        inputs.other_labels,
    ),
    Case(
        "label-errors",
        (
            "! label",
            f"! label {_INT8}",
            f"! label missing.tflite {_DAISY}",
            f"! label cut.tflite {_DAISY}",
            f"! label cut.pb {_DAISY}",
            f"! label {_INT8} missing.jpg {_DAISY} --json",
            f"! label {_INT8} {_DAISY} --input_size 224",
            f"! label {_INT8} {_DAISY} --top 0",
            f"! label {_INT8} {_GRAPH} {_DAISY}",
            f"! infer {_INT8} {_DAISY}",
        ),
        ("trained",),
        inputs.odd_bytes,
    ),
    Case("label-flowers", (f"label {_INT8} flowers --json", f"label {_GRAPH} flowers --json"), ("trained-flowers",)),
    # evaluate
    Case(
        "evaluate",
        (
            f"evaluate {_INT8} photos --json",
            f"evaluate {_MODELS} {_GRAPH} photos --testing_percentage 30 --json",
            f"evaluate {_FLOAT} photos --set all --json",
            f"evaluate {_FLOAT} photos --set training --json",
            f"evaluate {_FLOAT} {_INT8} photos --set validation --testing_percentage 10 --validation_percentage 30"
            " --json",
        ),
        ("trained",),
    ),
    Case("evaluate-graph", (f"evaluate {_GRAPH} --image_dir photos --output graph.json",), ("trained",)),
    Case(
        "evaluate-text",
        (
            "evaluate photos --set all",
            f"evaluate {_FLOAT} {_INT8} photos --set all",
            f"evaluate {_INT8} photos",
            f"! evaluate {_INT8} photos --labels words.txt --set all",
            "! evaluate missing.tflite photos",
            "! evaluate photos missing",
            f"! evaluate {_INT8} photos --set test --testing_percentage 0",
        ),
        ("trained",),
        inputs.other_labels,
    ),
    Case(
        "evaluate-other-folder",
        (
            f"evaluate {_INT8} flowers --json",
            f"evaluate {_MODELS} flowers --output flowers.json",
        ),
        ("trained", "flowers"),
    ),
    Case(
        "evaluate-stages",
        (
            "evaluate s/200.pb s/2.pb s/10.pb s/20.pb s/30.pb s/50.pb s/100.pb photos --set all --json",
            "evaluate s/30.pb s/2.pb s/10.pb s/20.pb s/50.pb s/100.pb s/200.pb photos --set all",
        ),
        ("stages",),
    ),
    Case("evaluate-flowers", (f"evaluate {_GRAPH} {_INT8} flowers --json",), ("trained-flowers",)),
    # inspect
    Case(
        "inspect",
        (
            f"inspect {_FLOAT} --json",
            f"inspect {_HALF} --json",
            f"inspect {_DYNAMIC} --json",
            f"inspect {_INT8} --output int8.json",
            f"inspect {_GRAPH} --json --tensorboard graph",
            f"inspect {_GRAPH}",
            f"inspect {_INT8}",
            "! inspect cut.tflite",
            "! inspect cut.pb",
        ),
        ("trained",),
        inputs.odd_bytes,
    ),
    Case(
        "foreign-models",
        (
            "annotate models/f01.tflite --labels models/labels.txt --input-range 0:1 --json",
            "label models/f01_annotated.tflite photos --json",
            "inspect models/f01.tflite --json",
            "inspect models/frigate_uint8.tflite --json",
            "inspect models/uint8_metadata_127.tflite --json",
            "label models/f01.tflite photos --labels models/labels.txt --json",
            "label models/frigate_uint8.tflite photos --labels models/labels.txt --json",
            "label models/ei_int8.tflite photos --labels models/labels.txt --json",
            "evaluate models/uint8_metadata_255.tflite photos --labels models/labels.txt --json",
        ),
        ("photos",),
        inputs.foreign_models,
        shared=("cases/models",),
    ),
    Case(
        "foreign-graphs",
        (
            "inspect models/keras_raw_input.pb --json",
            "export models/keras_raw_input.pb --labels models/labels.txt --output-dir out"
            " --quantize float32 --quantize float16 --quantize dynamic --json",
            "label models/keras_raw_input.pb photos/daisy --labels models/labels.txt --json",
        ),
        ("photos",),
        inputs.foreign_models,
        shared=("cases/models",),
    ),
    # benchmark, compare
    Case(
        "benchmark",
        (
            f"benchmark {_FLOAT} {_INT8} --image_dir photos {_QUICK} --output result.json",
            f"benchmark {_INT8} --image_dir photos --set all {_QUICK} --json",
            f"benchmark {_INT8} {_QUICK}",
            f"! benchmark missing.tflite {_QUICK}",
            f"! benchmark {_INT8} --rate 5",
        ),
        ("trained",),
    ),
    Case("benchmark-operators", (f"benchmark {_INT8} {_QUICK} --operators --json",), ("trained",)),
    Case("benchmark-sustained", (f"benchmark {_INT8} --sustained 3s --rate 20 --chart heat.svg --json",), ("trained",)),
    Case(
        "compare",
        (
            "compare first.json second.json --json",
            "compare second.json first.json --output compared.json",
            "compare first.json second.json",
            "! compare first.json",
            "! compare missing.json",
        ),
        ("benchmarks",),
    ),
    Case(
        "compare-fixed",
        ("compare first.json second.json --json", "compare second.json first.json"),
        prepare=inputs.fixed_benchmarks,
    ),
    # audit
    Case("audit", (f"audit photos {_NETWORK} --json", f"audit photos {_NETWORK} --output audit.json"), ("photos",)),
    Case(
        "audit-options",
        (
            f"audit photos {_NETWORK} --report page.html --folds 3 --target 80 --move-suspects moved",
            f"audit photos {_NETWORK} --orientation --json",
            "! audit missing",
        ),
        ("photos",),
    ),
    Case(
        "audit-copies",
        (
            f"audit photos {_NETWORK} --json --report photos.html",
            f"audit flowers {_NETWORK} --json",
            f"train flowers {_NETWORK} {_FEW} --json",
        ),
        ("photos", "flowers"),
        inputs.copies,
    ),
    Case(
        "audit-flowers",
        ("audit flowers --architecture mobilenet_0.25_128 --orientation --json --move-suspects moved",),
        ("flowers",),
        shared=("keras",),
    ),
    # grid, with latencies from a file, and measured
    Case(
        "grid",
        (
            f"grid photos {_TWO} --latency times.json --json --output grid.json",
            f"grid photos {_TWO} --latency times.json --max-latency 20ms --max-size 5MB --min-accuracy 10% --ship",
            f"! grid photos {_TWO} --latency times.json --max-size 1KB",
        ),
        ("latencies",),
        shared=("keras",),
    ),
    Case(
        "grid-options",
        (
            f"grid photos {_TWO} --latency times.json --folds 0 --output-dir other --learning_rate 0.05 --seed 2"
            " --validation_percentage 20 --json",
        ),
        ("latencies",),
        shared=("keras",),
    ),
    Case(
        "grid-measured",
        (f"grid photos {_TWO} {_QUICK} --json",),
        ("photos",),
        shared=("keras",),
    ),
    Case(
        "grid-measured-one",
        (
            f"grid photos --architecture mobilenet_0.25_128 {_FEW} --calibration_photos 10 --folds 2"
            f" --testing_percentage 30 {_QUICK} --json",
        ),
        ("photos",),
        shared=("keras",),
    ),
    Case(
        "grid-tuned",
        (
            f"grid photos --architecture mobilenet_0.25_128 {_FEW} --calibration_photos 10 --latency times.json"
            " --fine-tune 1 --fine-tune-epochs 1 --folds 0 --json",
        ),
        ("latencies",),
        shared=("keras",),
    ),
    # runs, cache, doctor
    Case(
        "runs", ("runs", "runs --json", "runs 1 3", "runs 1 3 --output two.json", "! runs 1", "! runs 1 9"), ("runs",)
    ),
    Case("runs-none", ("runs", "runs --json", "cache", "cache --json")),
    Case(
        "cache",
        ("cache --json", "cache", "! cache --remove missing", "cache --output all.json"),
        ("tuned",),
    ),
    Case("cache-trained", ("cache --json",), ("trained",)),
    Case("doctor", ("doctor --json", "doctor"), ("trained",)),
    # quickstart, codelab
    Case(
        "quickstart",
        ("quickstart --json", "quickstart"),
    ),
    Case(
        "codelab",
        (
            "codelab . --json",
            f"python -m scripts.retrain --image_dir=photos {_NETWORK} --how_many_training_steps=200"
            " --bottleneck_dir=tf_files/bottlenecks --model_dir=tf_files/models/"
            " --summaries_dir=tf_files/training_summaries/mobilenet_0.25_128"
            f" --output_graph={_GRAPH} --output_labels=tf_files/retrained_labels.txt",
            f"python -m scripts.label_image --graph={_GRAPH} --image={_DAISY}",
            f"python -m scripts.count_ops {_GRAPH}",
            f"python -m scripts.count_ops {_GRAPH} final_result",
            f"python -m scripts.graph_pb2tb tf_files/drawn {_GRAPH}",
            "! python -m scripts.evaluate",
            f"! python -m scripts.evaluate {_GRAPH}",
            "codelab other",
        ),
        ("photos",),
    ),
    # devices
    Case("web", (f"web {_INT8} --json", f"web {_FLOAT} --output page", "! web missing.tflite"), ("trained",)),
    Case(
        "android",
        (f"android {_INT8} --app app --json", f"android {_FLOAT} --app app", f"! android {_INT8} --app nowhere"),
        ("trained",),
        inputs.app,
    ),
    Case(
        "watch",
        (
            f"watch {_INT8} --source frames --every-frame --threads 1 --json",
            f"watch {_FLOAT} --source frames.mjpeg --smooth 3 --threshold 0.5 --every-frame --threads 1 --json",
            f"watch {_INT8} --source - --keep-all --threads 1 --json < frames.mjpeg",
            f"watch {_DYNAMIC} --source photos/daisy --threads 1 --collect unsure --below 0.9 --collect-most 4",
            f"watch {_INT8} --source frames --labels words.txt --threads 1 --every-frame",
            f"watch {_INT8} --source frames --threads 1 --on-label daisy --run 'touch seen' --hold 1 --json",
            f"! watch {_INT8} --source missing",
            f"! watch {_INT8} --source frames --on-label daisy",
        ),
        ("trained",),
        inputs.frames,
    ),
)
