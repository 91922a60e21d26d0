"""The codelab's own folder: `scripts/` and `tf_files/`, in which the lines of "TensorFlow for Poets" run word for word.

The pages say `python -m scripts.retrain ...` in a checkout whose scripts no longer run. `write_codelab` makes a folder
with scripts of these names. They are a few lines each, and call the functions below, which do the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from poets_edge.errors import OutputError, UsageError
from poets_edge.files import write_text
from poets_edge.places import WORK

SCRIPTS = ("retrain", "label_image", "evaluate", "count_ops", "graph_pb2tb")

_PHOTOS = WORK / "flower_photos"
"""Where the codelab's pages unpack their photos, and its `evaluate` looks for them."""

_HEAD = "# Written by: poets-edge codelab"
_SCRIPT = f"""{_HEAD}
from poets_edge.codelab import run_script

if __name__ == "__main__":
    run_script("{{name}}")
"""


def write_codelab(folder: Path) -> tuple[Path, ...]:
    """Write `scripts/` and an empty `tf_files/` into a folder; gives the scripts.

    Raises:
        OutputError: the folder cannot be written, or holds scripts of these names by somebody else.
    """
    scripts = [folder / "scripts" / f"{name}.py" for name in SCRIPTS]
    for path in scripts:
        if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(_HEAD):
            raise OutputError(f"{path}: a script that poets-edge has not written. Give a new folder.")
    try:
        (folder / WORK).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder / WORK}: {error.strerror or error}.") from None
    write_text(folder / "scripts" / "__init__.py", f"{_HEAD}\n")
    for path in scripts:
        write_text(path, _SCRIPT.format(name=path.stem))
    return tuple(scripts)


def run_script(name: str) -> None:
    """Do what the codelab's script of that name does, with the arguments of this process; ends with its status."""
    from poets_edge.cli import main

    arguments = sys.argv[1:]
    if name in _COMMANDS:
        sys.argv[1:] = [*_COMMANDS[name], *arguments]
        main()
    else:
        # Through the command line's own door, so that errors are one line here too.
        sys.argv[1:] = ["codelab", "--run", name, "--", *arguments]
        main()


_COMMANDS = {"retrain": ["train"], "label_image": ["label"]}


def run_lines(name: str, arguments: Sequence[str]) -> list[str]:
    """The output of `evaluate`, `count_ops` or `graph_pb2tb`, line by line.

    Args:
        arguments: as the original's: a graph; a graph and, if only one name counts, that name; a folder and a graph.

    Raises:
        UsageError: another script, or arguments that it does not take.
        PoetsEdgeError: as `poets_edge.evaluate` and the readers of graphs do.
    """
    match name, list(arguments):
        case "evaluate", [graph]:
            from poets_edge.edge.evaluate import evaluate

            found = evaluate(Path(graph), _PHOTOS, chosen="test").evaluation
            return [f"Accuracy: {found.accuracy:g}", f"Cross Entropy: {found.cross_entropy:g}"]
        case "count_ops", [graph, *names] if len(names) <= 1:
            from poets_edge.graphs.frozen import read_frozen_graph

            nodes = read_frozen_graph(Path(graph)).graph.node
            return [str(sum(1 for node in nodes if not names or node.name == names[0]))]
        case "graph_pb2tb", [folder, graph]:
            from poets_edge.edge.inspection import write_tensorboard_graph

            write_tensorboard_graph(Path(graph), Path(folder))
            return []
    usage = {"evaluate": "GRAPH", "count_ops": "GRAPH [NAME]", "graph_pb2tb": "FOLDER GRAPH"}
    if name not in usage:
        raise UsageError(f"{name}: the codelab has no such script; it has {', '.join(SCRIPTS)}.")
    raise UsageError(f"scripts.{name} takes {usage[name]}.")
