#!/usr/bin/env python3
"""Build and test the app without Gradle and without Google's Maven repository.

    python3 build.py            run the JVM tests, then build, sign and verify an APK
    python3 build.py tests      run the JVM tests only
    python3 build.py apk        build the APK only

Requires only Python 3.10 or later. The programs in recipe/programs.json are installed with apt-get if they are missing
and the script runs as root. The model must be in app/src/main/assets/model.tflite, where `poets-edge android MODEL`
writes it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from recipe.apk import build_apk, compile_app, require_model
from recipe.jvm import run_tests
from recipe.project import BuildError, read_project
from recipe.tools import ensure_tools, say
from recipe.verify import verify_apk

_HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the build; print the path of the APK to stdout, and progress and errors to stderr."""
    parser = argparse.ArgumentParser(description="Build and test the app without Gradle.")
    parser.add_argument("what", nargs="?", choices=("all", "tests", "apk"), default="all")
    parser.add_argument("--out", type=Path, default=_HERE.parent / "build/android", help="output folder")
    parser.add_argument("--vectors", type=Path, help="folder of test vectors from Python")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        project = read_project(_HERE, arguments.out.resolve())
        if arguments.what != "tests":
            require_model(project)
        ensure_tools()
        say("compiling the app")
        compiled = compile_app(project)
        if arguments.what != "apk":
            say("running the JVM tests")
            run_tests(project, compiled, arguments.vectors and arguments.vectors.resolve())
        if arguments.what != "tests":
            say("packing the APK")
            build_apk(project, compiled)
            verify_apk(project)
            print(project.apk)
    except BuildError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    say(f"done in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
