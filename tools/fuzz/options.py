"""Command lines with hostile values for options: numbers out of range, strange text, and unusual files."""

from __future__ import annotations

import importlib
import os
import socket
from functools import cache
from pathlib import Path
from random import Random

import click

_NUMBERS = (
    "nan", "-nan", "inf", "-inf", "1e999", "-1e999", "1e-320", "-0.0", "-1", "0", "1", "2", "101", "1e6",
    "2147483647", "2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "1" + "0" * 400, "9" * 5000, "\u0663", "\uff11", "1_0", "0x10", "1e3", "", " ", "+1", "1,2", "x",
)  # fmt: skip
_TEXTS = (
    "", " ", "\n", "\r", "\t", "a\nb", "\x1b[2J", "\x7f", "\u202e", "\u2028", "\udcff", "ex\u00e4mple", "cafe\u0301",
    "%s", "{}", "{0}",
    "%(name)s", "$(false)", "`false`", "'", '"', "\\", "-", "--", "-x", "=", ":", ";", "*", "?", "[", "{0..9}", "~",
    "..", ".", "/", "a/b", "a:b", "a b", "x" * 300, "x" * 70_000, "CON", "NUL.txt", "aux.", "nan", "-1", "0", "1,,2",
    "local:0", "local:-1", "local:x", "local:99999999999999999999", "tls://", "tcp://127.0.0.1:1", "tcp://[", "10",
    "20ms", "nanms", "infs", "-1s", "1e999s", "1e400%", "\u0661s", "9" * 400 + "ms", "mobilenet_0.25_128", "mobilenet_",
    "mobilenet_9.9_9", "0.25_128", "inception_v3", "imagenet", "embedded", "127.0.0.1", "::1", "[::1", "256.0.0.1",
    "https://user:secret@127.0.0.1:1/x", "http://127.0.0.1:1/x", "http://[", "https://", "s3://", "file:///etc/passwd",
    "reference://x", "https://exa\udcffmple/", "https://127.0.0.1:99999/", "pi@", "@", "-oProxyCommand=x",
)  # fmt: skip
_PATHS = (
    "absent", "absent/x", "empty.txt", "zeros.bin", "full", "file.txt/x", "file.txt", "link", "broken", "loop", "pipe",
    "socket", "folder", "folder/daisy", "folder/daisy/0.png", "secret.txt", "twisted.json", "latin1.txt", "lines.txt",
    "model.tflite", "cut.tflite", "seed_graph.pb", "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "nul\0name",
)  # fmt: skip
_SYSTEM = ("/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem")
"""System files, which are passed only to options that read files, because root could overwrite them."""
_READING = frozenset({"", "--labels", "--graph", "--image", "--image-dir", "--exclude", "--source", "--latency"})
"""Options with paths that the command only reads; "" stands for its arguments."""
_LASTING = frozenset({
    "--steps", "--how-many-training-steps", "--fine-tune-epochs", "--distorted-variants", "--min-seconds", "--min-runs",
    "--rounds", "--per-class", "--sustained", "--camera", "--serve", "--phone", "--https", "--folds",
})  # fmt: skip
"""Options for which large numbers would make a run long; their values are truncated to two characters."""
_QUIET = {"BROWSER": "true", "POETS_EDGE_SSH": "false", "NO_PROXY": "*"}

_TRAIN = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--steps", "1", "--folds", "0", "--quiet")
_ON = ("--on", "pi")
_SHORT = ("--threads", "1", "--min-seconds", "0.01", "--min-runs", "1", "--rounds", "1")
_COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "folder", *_TRAIN),
    "grid": ("grid", "folder", "--architecture", "mobilenet_0.25_128", "--steps", "1", "--folds", "0", "--quiet"),
    "runs": ("runs",),
    "export": ("export", "seed_graph.pb", "--quantize", "float32", "--output-dir", "out", "--quiet"),
    "web": ("web", "model.tflite", "--output-dir", "page"),
    "android": ("android", "model.tflite", "--app", "app"),
    "label": ("label", "model.tflite", "photo.png"),
    "watch": ("watch", "model.tflite", "--source", "folder/daisy", "--quiet"),
    "evaluate": ("evaluate", "model.tflite", "folder", "--split", "all"),
    "inspect": ("inspect", "model.tflite"),
    "benchmark": (
        "benchmark",
        "model.tflite",
        "--threads",
        "1",
        "--min-seconds",
        "0.01",
        "--min-runs",
        "1",
        "--rounds",
        "1",
    ),
    "compare": ("compare", "times.json", "times.json"),
    "deploy": ("deploy", "model.tflite", *_ON, "--source", "stream.mjpeg"),
    "audit": ("audit", "folder", *_TRAIN[:4], "--folds", "2", "--quiet"),
    "draw-photos": ("draw-photos", "drawn", "--per-class", "1"),
    "cache": ("cache",),
    "codelab": ("codelab", "made"),
    "doctor": ("doctor",),
}


@cache
def options(command: str) -> tuple[tuple[str, str], ...]:
    """Return a pair (name, kind) for each option and argument of a command; kinds are "number", "text" and "path".

    Flags are omitted. The name of an argument is "".
    """
    found = []
    for parameter in importlib.import_module(f"poets_edge.cli.{command.replace('-', '_')}").command.params:
        if getattr(parameter, "is_flag", False):
            continue
        kind = "text"
        if isinstance(parameter.type, click.Path):
            kind = "path"
        elif parameter.type.name in ("number", "integer", "integer range", "float"):
            kind = "number"
        name = parameter.opts[0] if isinstance(parameter, click.Option) else ""
        found.append((name, kind))
    return tuple(found)


def make(seeds: Path, work: Path, rng: Random) -> tuple[list[str], list[Path]]:
    """Return the arguments of a command, one or two of them hostile, and an empty list.

    The fuzzer expects a list of hostile input files in its place, of which there are none here.
    """
    _draw(seeds, work)
    os.environ.update(_QUIET)
    name = rng.choice(sorted(_COMMANDS))
    line = list(_COMMANDS[name])
    for _ in range(rng.choice((1, 1, 2))):
        option, kind = rng.choice(options(name))
        values = {"number": _NUMBERS, "text": _TEXTS, "path": (*_PATHS, *_TEXTS)}[kind]
        if rng.random() < 0.1:
            values = (*_NUMBERS, *_TEXTS)
        value = rng.choice(values)
        if option in _LASTING and value.strip("0123456789.e+_-") == "":
            value = value[:2]
        if value in ("/", "~", "..") or (value in _SYSTEM and option not in _READING):
            value = "link"
        if option == "--source" and value == "pipe":  # `watch` waits for its frames
            value = "socket"
        value = value.replace("\0", "")
        if not option:
            line.append(value)
        elif option in line and rng.random() < 0.8:
            line[line.index(option) + 1] = value
        else:
            line += [f"{option}={value}"] if rng.random() < 0.3 else [option, value]
    return line, []


def _draw(seeds: Path, work: Path) -> None:
    """Write valid input files for all commands, and files with unusual types or contents, such as empty ones."""
    for name, seed in (
        ("model.tflite", "seed_graph.tflite"),
        ("seed_graph.pb", "seed_graph.pb"),
        ("seed_labels.txt", "seed_labels.txt"),
        ("seed_graph.json", "seed_graph.json"),
    ):
        (work / name).write_bytes((seeds / seed).read_bytes())
    if (seeds / "benchmark.json").exists():
        (work / "times.json").write_bytes((seeds / "benchmark.json").read_bytes())
    (work / "cut.tflite").write_bytes((work / "model.tflite").read_bytes()[:1000])
    (work / "empty.txt").touch()
    (work / "file.txt").write_text("daisy\nroses\n")
    (work / "zeros.bin").write_bytes(bytes(100_000))
    (work / "latin1.txt").write_bytes(b"caf\xe9\nros\xe9s\n")
    (work / "lines.txt").write_bytes(b"a\r\n\x1b[2J\r\n\0\r\n" + "\u2028\n".encode() + b"\xef\xbb\xbfx\n")
    (work / "twisted.json").write_text('{"a": "\\ud800", "b": 1e999, "c": NaN, "a": []}')
    (work / "secret.txt").write_text("mine\n")
    (work / "secret.txt").chmod(0)
    (work / "full").mkdir()
    (work / "full/mine.txt").write_text("mine\n")
    (work / "link").symlink_to("file.txt")
    (work / "broken").symlink_to("nowhere")
    (work / "loop").symlink_to("loop")
    os.mkfifo(work / "pipe")
    (work / "app/app/src/main").mkdir(parents=True)
    (work / "app/app/src/main/AndroidManifest.xml").write_text("<manifest/>\n")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        try:
            os.chdir(work)  # a socket's path has at most 107 bytes
            listening.bind("socket")
        finally:
            os.chdir(here)
