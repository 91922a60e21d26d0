"""Lower bound of the time for training and exporting 16 architectures: times of the unavoidable parts of the work.

    python -m benchmarks.bare_parts GRID_DIR BOTTLENECK_DIR

1. Forward passes of the float backbones over all photos on all cores, with one interpreter per thread. The photos are
   decoded and resized beforehand.
2. Conversions of each retrained graph to float and int8. The calibration photos are decoded and TensorFlow is loaded
   beforehand.

Prints JSON: wall time and processor time of each part, in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.core.parallel import cores
from poets_edge.exporting.held_out import calibration_photos, photos_of_record
from poets_edge.nets.graphdef import parse_graph
from poets_edge.nets.layers import INPUT
from poets_edge.nets.mobilenet_v1 import MOBILENETS
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.nets.trained_graph import read_trained
from poets_edge.photos.folder import scan
from poets_edge.photos.image import fit, normalizer, read_photo
from poets_edge.photos.normalization import BACKBONE
from poets_edge.quantize.convert import convert
from poets_edge.tflite.session import Session

RESOLUTIONS = (128, 160, 192, 224)


def forward_passes(models: dict[int, list[Path]], photos: list[dict[int, Any]]) -> None:
    """Run each model on all photos, one model at a time, on all cores."""
    normalize = normalizer(BACKBONE)
    for resolution, paths in models.items():
        pictures = [photo[resolution] for photo in photos]
        for path in paths:
            with ThreadPoolExecutor(cores()) as pool:
                list(pool.map(partial(_share, path, normalize), [pictures[i :: cores()] for i in range(cores())]))


def _share(path: Path, normalize: Any, pictures: list[Any]) -> None:
    interpreter = Session(path).interpreter
    start, end = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    for picture in pictures:
        normalize(picture, interpreter.tensor(start)()[0])
        interpreter.invoke()
        np.array(interpreter.tensor(end)())


def converter_calls(graphs: list[tuple[Path, list[Any]]]) -> None:
    """Convert each retrained graph to a float and an int8 model."""
    for path, calibration in graphs:
        graph = parse_graph(path.read_bytes(), str(path))
        convert(graph, str(path), INPUT, "final_result")
        convert(graph, str(path), INPUT, "final_result", quantization="int8", calibration=calibration)


def timed(work: Callable[[], None]) -> dict[str, float]:
    before, cpu = time.perf_counter(), sum(os.times()[:2])
    work()
    return {"seconds": time.perf_counter() - before, "core_seconds": sum(os.times()[:2]) - cpu}


def main(grid_dir: Path, bottleneck_dir: Path) -> None:
    record = read_trained(grid_dir / MOBILENETS[0].name / "retrained_graph.pb").record
    assert record is not None
    photos = [
        {n: fit(image, (n, n)) for n in RESOLUTIONS}
        for image in (read_photo(photo.file) for photo in scan(Path(record["image_dir"])).photos)
    ]
    backbones = {
        n: [next(bottleneck_dir.glob(f"{a.name}-*.tflite")) for a in MOBILENETS if a.resolution == n]
        for n in RESOLUTIONS
    }
    forward = timed(lambda: forward_passes(backbones, photos))
    chosen = [read_photo(p.file) for p in calibration_photos(photos_of_record(record, None).training, 100)]
    graphs = [(grid_dir / a.name / "retrained_graph.pb", [fit(image, a.size) for image in chosen]) for a in MOBILENETS]
    load_tensorflow("the converter")
    print(json.dumps({"forward": forward, "convert": timed(lambda: converter_calls(graphs))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
