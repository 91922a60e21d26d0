#!/usr/bin/env python3
"""Build and test the app without Gradle and without Google's Maven: the one build that is tested.

    python3 build.py            JVM tests, then a signed and verified APK
    python3 build.py tests      the JVM tests alone
    python3 build.py apk        the APK alone

Needs Python 3.10 and nothing else of Python's; javac, mvn, aapt, zipalign, apksigner and dexdump are installed
where they are missing and this may be done. The model must be in app/src/main/assets/model.tflite, where
`poets-edge android MODEL` puts it.
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
    """Run the build; the APK's path goes to stdout, progress and troubles to stderr."""
    parser = argparse.ArgumentParser(description="Build and test the app without Gradle.")
    parser.add_argument("what", nargs="?", choices=("all", "tests", "apk"), default="all")
    parser.add_argument("--out", type=Path, default=_HERE.parent / "build/android", help="folder for what is built")
    parser.add_argument("--vectors", type=Path, help="folder with what Python answers, to compare with")
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
