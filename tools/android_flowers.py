"""Flower models and test vectors for the Android app: a small MobileNet in all quantizations.

    python -m tools.android_flowers --photos flower_photos --out build/android

The network is trained on photos of five kinds of flowers. Output: a model in each quantization (`OUT/flowers/*.tflite`,
unless the models exist), and a folder of test vectors for each model (`OUT/vectors/*`, see `write_vectors`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from poets_edge.exporting.android import write_vectors
from poets_edge.exporting.export import export
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import scan
from poets_edge.quantize.convert import QUANTIZATIONS
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train

_ARCHITECTURE = "mobilenet_0.25_128"  # the smallest: the app's tests need a real model, not a good one
_PHOTOS_A_MODEL = 60
_MODELS = {"float32": "", "float16": "_float16", "dynamic": "_dynamic", "int8": "_int8"}
"""Suffixes of the file names that `export` writes, by quantization."""


def make_models(photos: Path, out: Path) -> dict[str, Path]:
    """Train a network and export it in all quantizations, unless the models exist; return the paths of the models.

    Args:
        photos: folder of photos.
        out: output folder; the models are written to `out/flowers`.

    Returns:
        The paths of the models by quantization.
    """
    models = {name: out / f"flowers/retrained_graph{suffix}.tflite" for name, suffix in _MODELS.items()}
    if not all(model.is_file() for model in models.values()):
        work = out / "flowers"
        options = TrainOptions(
            image_dir=photos,
            architecture=architecture(_ARCHITECTURE),
            output_graph=work / "retrained_graph.pb",
            output_labels=work / "retrained_labels.txt",
            bottleneck_dir=work / "bottlenecks",
            summaries_dir=work / "summaries",
        )
        train(options)
        export(ExportOptions(graph=work / "retrained_graph.pb", quantizations=QUANTIZATIONS))
    return models


def make_vectors(models: dict[str, Path], photos: Path, out: Path) -> None:
    """Write test vectors for each model, computed from up to sixty photos at regular intervals in the sorted list.

    Args:
        models: paths of the models by quantization.
        photos: folder of photos.
        out: output folder; the vectors are written to `out/vectors/QUANTIZATION`.
    """
    found = sorted(photo.file for photo in scan(photos).photos)
    chosen = found[:: max(1, len(found) // _PHOTOS_A_MODEL)][:_PHOTOS_A_MODEL]
    for name, model in models.items():
        write_vectors(model, chosen, out / "vectors" / name)


def main() -> None:
    """Write the models and their test vectors into the output folder that the command line specifies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    models = make_models(arguments.photos, arguments.out)
    make_vectors(models, arguments.photos, arguments.out)


if __name__ == "__main__":
    main()
