"""Compilation of the Kotlin code in docs/your-app.md against TensorFlow Lite and the Android framework."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from recipe.apk import fresh_folder, unpack_classes
from recipe.maven import Wanted, resolve
from recipe.project import read_project
from recipe.tools import SHORT_JVM
from tests.android.conftest import BUILD_SECONDS, DEMO
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


def test_kotlin_examples_in_the_documentation_compile(tools: None, tmp_path: Path) -> None:
    text = (ROOT / "docs/your-app.md").read_text(encoding="utf-8")
    [source] = re.findall(r"^```kotlin\n(import .*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "Snippet.kt").write_text(source)
    project = read_project(DEMO, tmp_path)
    compiler = resolve(project, "kotlin", [Wanted("kotlin-compiler")])
    android = resolve(project, "android", [Wanted("android-all")])
    runtime = [Wanted("tensorflow-lite", "aar", alone=True), Wanted("tensorflow-lite-api", "aar", alone=True)]
    libraries = unpack_classes(resolve(project, "runtime", runtime), fresh_folder(tmp_path / "libraries"))
    [standard] = [path for path in compiler if path.name.startswith("kotlin-stdlib-")]
    command = ["java", "-Xmx1g", *SHORT_JVM, "-cp", os.pathsep.join(map(str, compiler))]
    command += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect", "-Werror"]
    command += ["-classpath", os.pathsep.join(map(str, [standard, *android, *libraries]))]
    ended = subprocess.run(
        [*command, "-d", tmp_path / "classes", tmp_path / "Snippet.kt"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "classes/Classifier.class").is_file()
