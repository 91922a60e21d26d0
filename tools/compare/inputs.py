"""Functions that write the input files of test cases, such as archives, damaged photos and frames.

Each function gets the folder of the test case and the folder of shared data, which contains photos and models.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

_SIZE = (320, 240)
"""Width and height of frames in pixels."""
_SEEDS = Path(__file__).resolve().parents[2] / "tests/corpus/seeds"


def flowers(folder: Path, shared: Path) -> None:
    """Copy the first fifteen flower photos of each class from the shared data into the folder of a test case."""
    for source in _classes(shared / "data/flower_photos"):
        _copy(sorted(source.glob("*.jpg"))[:15], folder / "flowers" / source.name)


def defects(folder: Path, shared: Path) -> None:
    """Copy the first ten pictures of each class of surface defects from the shared data into the folder of a test case.

    The pictures are gray and unlike the photos in ImageNet.
    """
    for source in _classes(shared / "data/surface_defects"):
        _copy(sorted(path for path in source.iterdir() if path.is_file())[:10], folder / "defects" / source.name)


def foreign_models(folder: Path, shared: Path) -> None:
    """Copy models created by other programs from the shared data into the folder of a test case."""
    shutil.copytree(shared / "cases/models", folder / "models")


def archives(folder: Path, _: Path) -> None:
    """Write a test case's synthetic photos to photos.zip and photos.tar, and to WebDataset shards."""
    photos = _photos(folder)
    with zipfile.ZipFile(folder / "photos.zip", "w") as packed:
        for photo in photos:
            packed.writestr(zipfile.ZipInfo(photo.relative_to(folder).as_posix()), photo.read_bytes())
    _tar(folder / "photos.tar", {photo.relative_to(folder / "photos").as_posix(): photo for photo in photos})
    for shard in range(2):
        with tarfile.open(folder / f"shard-{shard:03}.tar", "w") as packed:
            for number, photo in enumerate(photos[shard::2]):
                for suffix, content in (("jpg", photo.read_bytes()), ("cls", photo.parent.name.encode())):
                    _add(packed, f"{number:04}.{suffix}", content)


def set_folders(folder: Path, _: Path) -> None:
    """Copy a test case's synthetic photos into the folders train, val and test, each with one folder per class."""
    for number, photo in enumerate(_photos(folder)):
        chosen = ("train", "train", "val", "train", "test")[number % 5]
        _copy([photo], folder / "divided" / chosen / photo.parent.name)


def nested(folder: Path, _: Path) -> None:
    """Copy a test case's synthetic photos, every third one into a folder deeper inside its class folder."""
    for number, photo in enumerate(_photos(folder)):
        _copy([photo], folder / "nested" / photo.parent.name / ("deeper/still" if number % 3 == 0 else ""))


def exclusions(folder: Path, _: Path) -> None:
    """Write two files that list photos to exclude: in the JSON format of the audit page, and with a name per line."""
    names = [photo.relative_to(folder / "photos").as_posix() for photo in _photos(folder)]
    listed = {"leave_out": names[:3], "belongs_to": {names[20]: "tulips", names[40]: "weeds"}}
    (folder / "exclude.json").write_text(json.dumps(listed))
    (folder / "exclude.txt").write_text("# by hand\n" + "\n".join(names[5:8]) + "\n")


def odd_photos(folder: Path, _: Path) -> None:
    """Add damaged photos, and photos in various formats, color modes and orientations, to the synthetic photos."""
    photos = _photos(folder)
    first, second = (Image.open(photo).convert("RGB") for photo in (photos[0], photos[-1]))
    daisies, tulips = folder / "photos/daisy", folder / "photos/tulips"
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotated by 90 degrees
    first.save(daisies / "turned.jpg", exif=exif)
    first.convert("L").save(daisies / "gray.png")
    first.convert("CMYK").save(daisies / "cmyk.jpg")
    first.save(daisies / "photo.webp", lossless=True)
    second.convert("P").save(tulips / "palette.gif")
    second.save(tulips / "photo.bmp")
    clear = second.convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, clear.width).astype(np.uint8), (clear.height, 1))))
    clear.save(tulips / "clear.png")
    Image.fromarray(np.asarray(second.convert("L")).astype(np.uint16) * 257).save(tulips / "deep.png")
    whole = photos[1].read_bytes()
    (daisies / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (daisies / "damaged.jpg").write_bytes(b"not a photo")
    (daisies / "empty.jpg").write_bytes(b"")
    (daisies / "notes.txt").write_text("not a photo either\n")
    shutil.copy(photos[2], tulips / "copy.jpg")


def copies(folder: Path, _: Path) -> None:
    """Add cropped, darkened, mirrored, rotated or smaller copies of photos, a third of them to a wrong class."""
    for folders in ("photos", "flowers"):
        photos = sorted((folder / folders).rglob("*.jpg"))[::5]
        for number, photo in enumerate(photos):
            image = Image.open(photo).convert("RGB")
            width, height = image.size
            share = number % 6 / 20  # up to a quarter cropped, darkened or rotated
            cropped = image.crop((int(share * width), int(share * height), width, height)).resize(image.size)
            darker = ImageEnhance.Brightness(image).enhance(1 - 2 * share)
            changed = {
                "cropped": cropped,
                "darker": darker,
                "mirrored": cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
                "turned": image.rotate(60 * share, fillcolor=(128, 128, 128)),
                "small": image.resize((width // 4, height // 4)),
            }
            name = list(changed)[number % len(changed)]
            target = photo.parent if number % 3 else photos[0].parent
            changed[name].save(target / f"{photo.stem}-{name}.jpg", quality=30 + 5 * (number % 12))


def frames(folder: Path, shared: Path) -> None:
    """Write thirty synthetic photos as video frames, to a folder and to an MJPEG file, and German label names."""
    other_labels(folder, shared)
    (folder / "frames").mkdir()
    stream = b""
    for number, photo in enumerate(_photos(folder)[::2], 1):
        content = io.BytesIO()
        Image.open(photo).convert("RGB").resize(_SIZE).save(content, "JPEG", quality=90)
        (folder / f"frames/frame_{number}.jpg").write_bytes(content.getvalue())
        stream += content.getvalue()
    (folder / "frames.mjpeg").write_bytes(stream)


def fixed_graph(folder: Path, _: Path) -> None:
    """Copy a small graph and its int8 model without the training record; write pictures and label translations.

    The pixels of the pictures are computed with integers, so they are equal on all machines.
    """
    names = ("seed_graph.pb", "seed_labels.txt", "seed_graph_int8.tflite")
    _copy([_SEEDS / name for name in names], folder / "seeds")
    (folder / "words.txt").write_text("daisy=marguerite\nroses=rose\ntulips=tulip\n")
    (folder / "pictures").mkdir()
    y, x = np.mgrid[:48, :64]
    for number in range(6):
        pixels = np.stack([x * (number + 1) * 3, y * (number + 2) * 5, (x + y) * (number * 7 + 1)], axis=-1) % 256
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"pictures/{number}.png")


def fixed_benchmarks(folder: Path, _: Path) -> None:
    """Write two synthetic result files of `poets-edge benchmark`, each with a float32 and an int8 model.

    The files differ in the latency of the float32 model, which is 6 % higher in the second one, and in the CPU name.
    """
    for name, factors in (("first", (1.0, 1.0)), ("second", (1.06, 1.0))):
        results = [
            {
                "name": model,
                "size": size,
                "sha256": f"{size:064}",
                "architecture": "mobilenet_0.25_128",
                "quantization": quantization,
                "threads": 1,
                "latency_ms": {"median": median * factor},
                "rounds_differ": 0.03,
                "rounds": [
                    {"samples_ms": [median * factor * (1 + (process * 7 % 10 + sample) / 1000) for sample in range(5)]}
                    for process in range(30)
                ],
            }
            for (model, size, quantization, median), factor in zip(
                (("float.tflite", 860_000, "float32", 0.5), ("int8.tflite", 300_000, "int8", 0.25)),
                factors,
                strict=True,
            )
        ]
        machine = {"interpreter": "ai_edge_litert", "interpreter_version": "2.3.0", "cpu": name, "cores": 2}
        result = {"format": "poets_edge-benchmark-1", "warnings": [], "machine": machine, "results": results}
        (folder / f"{name}.json").write_text(json.dumps(result))


def without_record(folder: Path, _: Path) -> None:
    """Copy the trained graph and its labels without the training record, as if another program had made the graph."""
    for name in ("retrained_graph.pb", "retrained_labels.txt"):
        _copy([folder / "tf_files" / name], folder / "bare")


def other_labels(folder: Path, _: Path) -> None:
    """Write a labels file with German names, which differ from the labels in the model."""
    (folder / "words.txt").write_text("Gänseblümchen\nLöwenzahn\nRosen\nSonnenblumen\nTulpen\n", "utf-8")


def app(folder: Path, _: Path) -> None:
    """Create a minimal folder that `poets-edge android --app` accepts as the sources of the Android app."""
    (folder / "app/app/src/main").mkdir(parents=True)
    (folder / "app/app/src/main/AndroidManifest.xml").write_text("<manifest/>\n")


def odd_bytes(folder: Path, _: Path) -> None:
    """Write a damaged model, a damaged graph, a damaged training record and a damaged weights file."""
    for name in ("retrained_graph_int8.tflite", "retrained_graph.pb"):
        content = (folder / "tf_files" / name).read_bytes()
        (folder / f"cut{Path(name).suffix}").write_bytes(content[: len(content) // 2])
    (folder / "weights.h5").write_bytes(b"no weights")
    (folder / "broken").mkdir()
    for name in ("retrained_graph.pb", "retrained_labels.txt"):
        _copy([folder / "tf_files" / name], folder / "broken")
    (folder / "broken/retrained_graph.json").write_text('{"format": 1}')


def _classes(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _photos(folder: Path) -> list[Path]:
    return sorted((folder / "photos").rglob("*.jpg"))


def _copy(files: list[Path], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, target / file.name)


def _tar(path: Path, files: dict[str, Path]) -> None:
    with tarfile.open(path, "w") as packed:
        for name, file in files.items():
            _add(packed, name, file.read_bytes())


def _add(packed: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    packed.addfile(info, io.BytesIO(content))
