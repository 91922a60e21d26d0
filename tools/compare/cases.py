"""The fixed list of cases, and the fixtures that they start from."""

from __future__ import annotations

from tools.compare.case import Case

_EMBEDDED = "--weights embedded --architecture mobilenet_0.25_128"
_TRAIN = f"train photos {_EMBEDDED} --how_many_training_steps 300"
_MODELS = "tf_files/retrained_graph"

# Fixtures are made by the base revision, so that a difference shows only in the cases about what causes it.
FIXTURES = (
    Case("photos", ("draw-photos photos --per-class 12",)),
    Case("trained", (_TRAIN, "export --all"), ("photos",)),
)

CASES = (
    Case("draw-photos", ("draw-photos a --per-class 3 --json", "draw-photos b --per-class 2 --seed 7 --output b.json")),
    Case("train", (f"{_TRAIN} --json", _TRAIN), ("photos",)),
    Case("export", ("export --all --json", "export --quantize --output-dir out --float-io"), ("trained",)),
    Case("label", (f"label {_MODELS}_int8.tflite photos --json", f"label {_MODELS}.pb photos/daisy"), ("trained",)),
    Case("evaluate", (f"evaluate {_MODELS}.tflite photos --set all --json", "evaluate photos"), ("trained",)),
    Case("inspect", (f"inspect {_MODELS}_int8.tflite --json", f"inspect {_MODELS}.pb"), ("trained",)),
    Case("audit", (f"audit photos {_EMBEDDED} --json", f"audit photos {_EMBEDDED}"), ("photos",)),
    Case("runs", ("runs --json", "runs"), ("trained",)),
)
