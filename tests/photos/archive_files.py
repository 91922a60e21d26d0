"""Helpers that write archives and WebDataset shards of synthetic photos, and that train on them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from tests.conftest import poets_edge

FEW = ("--how_many_training_steps", "50", "--weights", "embedded", "--architecture", "mobilenet_0.25_128")


def trained(place: Path | str, folder: Path, *more: str) -> bytes:
    folder.mkdir(exist_ok=True)
    poets_edge("train", "--image_dir", place, *FEW, *more, cwd=folder).ok()
    return (folder / "tf_files/retrained_graph.pb").read_bytes()


def make_zip(path: Path, photos: Path, above: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/daisy/._1.jpg", b"no photo")
        archive.writestr(f"{above}LICENSE.txt", b"text")
        for photo in sorted(photos.glob("*/*.jpg"), reverse=True):
            archive.write(photo, above + photo.relative_to(photos).as_posix())
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def contents_of(photos: Path) -> dict[str, bytes]:
    return {path.relative_to(photos).as_posix(): path.read_bytes() for path in sorted(photos.glob("*/*.jpg"))}


def shards(folder: Path, photos: Path, count: int = 3) -> None:
    contents = [*contents_of(photos).items()]
    for number in range(count):
        files: dict[str, bytes] = {}
        for place, (name, content) in enumerate(contents[number::count]):
            files |= {f"{place:04}.jpg": content, f"{place:04}.cls": name.partition("/")[0].encode() + b"\n"}
            files[f"{place:04}.json"] = b"{}"
        make_tar(folder / f"flowers-{number:03}.tar", files)
