"""Run the JVM tests: plain tests of the app's logic, and Robolectric tests of its activity."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from recipe.apk import Compiled, compile_java, fresh_folder, unpack_classes
from recipe.maven import Wanted, resolve
from recipe.project import BuildError, Project
from recipe.tools import SHORT_JVM

_LIBRARIES = (
    Wanted("junit"),
    Wanted("robolectric"),
    Wanted("tensorflow-lite-jvm"),
    Wanted("tensorflow-lite-jvm", classifier="linux-x86_64"),
    Wanted("javacpp"),
    Wanted("javacpp", classifier="linux-x86_64"),
)
_RUNNER = "org.junit.runner.JUnitCore"


def run_tests(project: Project, compiled: Compiled, vectors: Path | None) -> None:
    """Compile and run all classes whose names end in `Test`, and print JUnit's report.

    Args:
        vectors: folder of test vectors from Python; None to skip the tests that compare with them.

    Raises:
        BuildError: a test failed, or no test ran.
    """
    if vectors is not None and not vectors.is_dir():
        raise BuildError(f"{vectors}: not a folder.")
    libraries = unpack_classes(resolve(project, "tests", _LIBRARIES), fresh_folder(project.out / "test-runtime"))
    (framework,) = resolve(project, "framework", [Wanted("android-all-instrumented")])
    sources = sorted((project.test / "java").rglob("*.java"))
    classes = fresh_folder(project.out / "test-classes")
    compile_java(project, sources, [compiled.classes, compiled.android, *compiled.libraries, *libraries], classes)
    _describe_app(project, compiled, classes)
    names = [
        path.relative_to(project.test / "java").with_suffix("").as_posix().replace("/", ".")
        for path in sources
        if path.stem.endswith("Test")
    ]
    # The framework is last, as under Gradle: it is needed to load the test classes, and Robolectric has its own copy.
    classpath = [
        classes, project.test / "resources", compiled.classes, *compiled.libraries, *libraries, compiled.android
    ]  # fmt: skip
    command = [
        "java",
        "-Xmx2g",
        *SHORT_JVM,
        "--add-opens=java.base/java.lang=ALL-UNNAMED",
        "--add-opens=java.base/java.util=ALL-UNNAMED",
        "-Drobolectric.offline=true",
        f"-Drobolectric.dependency.dir={framework.parent}",
        f"-Dpoetsedge.screenshots={fresh_folder(project.out / 'screenshots')}",
        *([f"-Dpoetsedge.vectors={vectors}"] if vectors else []),
        "-cp",
        os.pathsep.join(map(str, classpath)),
        _RUNNER,
        *names,
    ]
    sys.stdout.flush()
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
        raise BuildError("the JVM tests failed.")


def _describe_app(project: Project, compiled: Compiled, classes: Path) -> None:
    """Write the configuration file with which Robolectric finds the app's resources, as Gradle does."""
    # The app has no assets except the model, and the tests have their own, so the folder of assets is empty.
    facts = {
        "android_custom_package": project.package,
        "android_merged_manifest": compiled.manifest,
        "android_merged_assets": fresh_folder(project.out / "no-assets"),
        "android_resource_apk": compiled.resources,
    }
    config = classes / "com/android/tools/test_config.properties"
    config.parent.mkdir(parents=True)
    config.write_text("".join(f"{key}={value}\n" for key, value in facts.items()))
    with zipfile.ZipFile(compiled.resources) as resources:
        if resources.testzip() is not None:
            raise BuildError(f"{compiled.resources}: damaged.")
