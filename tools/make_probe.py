"""Write `poets_edge/tflite/probe.tflite`, a model with one convolution: `python -m tools.make_probe`.

The command `poets-edge doctor` runs the model to check whether the interpreter uses the library XNNPACK.
"""

from __future__ import annotations

from pathlib import Path

import poets_edge
from poets_edge.core.files import write_bytes
from poets_edge.nets.tensorflow import load_tensorflow

OUT = Path(poets_edge.__file__).with_name("tflite") / "probe.tflite"


def main() -> None:
    tf = load_tensorflow("the probe")
    kernel = tf.fill((1, 1, 3, 4), 0.5)
    signature = [tf.TensorSpec((1, 8, 8, 3), tf.float32)]
    function = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"), input_signature=signature)
    write_bytes(OUT, tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert())


if __name__ == "__main__":
    main()
