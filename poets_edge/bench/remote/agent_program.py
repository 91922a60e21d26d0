"""Source code of the agent as a single program, and the command that starts it on a device."""

from __future__ import annotations

from importlib.resources import files

NO_PYTHON = 97
START = (
    "exec /bin/sh -c '"
    "for p in python3 python3.13 python3.12 python3.11 python3.10; do "
    'if $p -c "import sys; sys.exit((3, 10) > sys.version_info or sys.version_info >= (3, 14))" '
    "</dev/null >/dev/null 2>&1; then "
    'exec $p -u -c "import sys; i = sys.stdin.buffer; exec(i.read(int(i.readline())))"; fi; done; '
    f"python3 -V >&2 2>/dev/null || echo no Python >&2; exit {NO_PYTHON}'"
)
"""Shell command that starts Python on the device; Python then reads the source code of the agent. The quoted part of
the command contains no single quotes, backslashes or exclamation marks, so that sh, bash, zsh, fish and csh interpret
it identically."""
_DEVICE_MODULES = (
    "chunks",
    "own_files",
    "own_items",
    "own_service",
    "own_folder",
    "device_description",
    "saved_frames",
    "unit_links",
    "unpack_wheel",
)
"""Modules in `on_device` that are sent to the device with the agent; each module comes after the modules that it
imports."""


def agent_program() -> bytes:
    """Return the source code of the agent as a single program, including the modules that it imports."""
    folder = files("poets_edge.bench.remote.on_device")
    program = "import sys, types\n"
    for name in _DEVICE_MODULES:
        module, source = f"poets_edge.bench.remote.on_device.{name}", folder.joinpath(f"{name}.py").read_text("utf-8")
        program += f"sys.modules[{module!r}] = types.ModuleType({module!r})\n"
        program += f"exec(compile({source!r}, {module!r}, 'exec'), sys.modules[{module!r}].__dict__)\n"
    agent = folder.joinpath("agent.py").read_text("utf-8")
    return (program + f"exec(compile({agent!r}, 'agent', 'exec'), globals())\n").encode()
