"""Build the APK: pack resources, classes, native libraries and the model, then align and sign the file.

Builds are reproducible: entries are sorted and have a fixed date, the debug key is part of the sources, and RSA
signatures (PKCS#1 v1.5) are deterministic.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recipe.maven import Wanted, resolve
from recipe.project import BuildError, Project
from recipe.tools import APKSIGNER, JAVAC, SHORT_JVM, run

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
_RUNTIME = (Wanted("tensorflow-lite", "aar", alone=True), Wanted("tensorflow-lite-api", "aar", alone=True))
"""Libraries of TensorFlow Lite. The first declares the second as a .jar, which does not exist, so both are listed."""
_STORED = (".tflite", ".arsc", ".png")
"""Suffixes of files that are stored uncompressed: the model is memory-mapped, Android 11 requires resources.arsc to be
uncompressed, and PNGs are compressed already.
"""
_EPOCH = (1981, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Compiled:
    """Results of compilation that packing and the JVM tests need.

    Attributes:
        android: jar with the classes and resources of the Android framework.
        classes: folder with the .class files of the app.
        libraries: jars that the app needs at run time.
        resources: package with the compiled resources and the manifest.
        manifest: manifest with package name, versions and SDK levels.
    """

    android: Path
    classes: Path
    libraries: list[Path]
    resources: Path
    manifest: Path


def compile_app(project: Project) -> Compiled:
    """Compile the resources and sources of the app. Raises BuildError if this fails."""
    (android,) = resolve(project, "android", [Wanted("android-all")])
    libraries = _unpack_runtime(project)
    manifest = _fill_manifest(project)
    resources, generated = _compile_resources(project, android, manifest)
    sources = [*sorted(project.main.joinpath("java").rglob("*.java")), *generated.rglob("*.java")]
    classes = fresh_folder(project.out / "classes")
    compile_java(project, sources, [android, *libraries], classes)
    return Compiled(android, classes, libraries, resources, manifest)


def require_model(project: Project) -> None:
    """Raise BuildError if the app has no model."""
    if not project.model.is_file():
        raise BuildError(
            f"{project.model}: no model. Put one there with: poets-edge android MODEL --app {project.root}"
        )


def build_apk(project: Project, compiled: Compiled) -> None:
    """Pack, align and sign the APK as `project.apk`. Raises BuildError if this fails."""
    dex = _dex(project, compiled)
    unaligned, aligned = project.out / "unaligned.apk", project.out / "aligned.apk"
    _pack(unaligned, dict(_entries(project, compiled, dex)))
    run(["zipalign", "-f", "4", unaligned, aligned])
    run([*APKSIGNER, "sign", "--ks", project.root / "debug.keystore", "--ks-pass", "pass:android",
         "--ks-key-alias", "androiddebugkey", "--min-sdk-version", project.versions["min-sdk"],
         "--v1-signing-enabled", "false", "--v4-signing-enabled", "false", "--out", project.apk, aligned])  # fmt: skip


def compile_java(project: Project, sources: Iterable[Path], classpath: Iterable[Path], classes: Path) -> None:
    """Compile .java files into the folder `classes`. Raises BuildError after any error or warning."""
    # Excluded: warnings about the deprecation of Java 8, and about faults in libraries.
    run([*JAVAC, "--release", project.versions["java"], "-encoding", "UTF-8", "-g", "-Werror",
         "-Xlint:all,-options,-classfile,-processing,-path", "-proc:none", "-implicit:none",
         "-cp", ":".join(map(str, classpath)), "-d", classes, *sources])  # fmt: skip


def fresh_folder(path: Path) -> Path:
    """Create an empty folder, removing an existing one, and return its path."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def unpack_classes(archives: Iterable[Path], folder: Path) -> list[Path]:
    """Extract the jar from each .aar into a folder; return the paths of all jars, including the given ones."""
    jars = []
    for archive in archives:
        if archive.suffix != ".aar":
            jars.append(archive)
            continue
        jar = folder / f"{archive.stem}.jar"
        with zipfile.ZipFile(archive) as files:
            jar.write_bytes(files.read("classes.jar"))
        jars.append(jar)
    return jars


def _unpack_runtime(project: Project) -> list[Path]:
    folder = fresh_folder(project.out / "runtime")
    archives = resolve(project, "runtime", _RUNTIME)
    for archive in archives:
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                parts = Path(name).parts  # jni/ABI/library
                if len(parts) == 3 and parts[0] == "jni" and parts[1] in ABIS:
                    library = folder / "lib" / parts[1] / parts[2]
                    library.parent.mkdir(parents=True, exist_ok=True)
                    library.write_bytes(files.read(name))
    return unpack_classes(archives, folder)


def _fill_manifest(project: Project) -> Path:
    """Write a manifest with the package name, versions and SDK levels, as Gradle does, and return its path."""
    versions = project.versions
    source = (project.main / "AndroidManifest.xml").read_text(encoding="utf-8")
    opening = '<manifest xmlns:android="http://schemas.android.com/apk/res/android">'
    if source.count(opening) != 1:
        raise BuildError(f"{project.main / 'AndroidManifest.xml'}: does not contain the line {opening}")
    filled = (
        f'{opening[:-1]} package="{project.package}" android:versionCode="{versions["version-code"]}"'
        f' android:versionName="{versions["version-name"]}"><uses-sdk'
        f' android:minSdkVersion="{versions["min-sdk"]}" android:targetSdkVersion="{versions["target-sdk"]}" />'
    )
    manifest = project.out / "AndroidManifest.xml"
    manifest.write_text(source.replace(opening, filled), encoding="utf-8")
    return manifest


def _compile_resources(project: Project, android: Path, manifest: Path) -> tuple[Path, Path]:
    generated = fresh_folder(project.out / "generated")
    package = project.out / "resources.apk"
    run(["aapt", "package", "-f", "-M", manifest, "-S", project.main / "res", "-I", android, "-J", generated,
         "--no-version-vectors", "-F", package])  # fmt: skip
    return package, generated


def _dex(project: Project, compiled: Compiled) -> Path:
    dex = project.out / "classes.dex"
    (dx,) = resolve(project, "dx", [Wanted("dalvik-dx")])
    run(["java", *SHORT_JVM, "-cp", dx, "com.android.dx.command.Main", "--dex",
         f"--min-sdk-version={project.versions['min-sdk']}", f"--output={dex}",
         compiled.classes, *compiled.libraries])  # fmt: skip
    return dex


def _entries(project: Project, compiled: Compiled, dex: Path) -> Iterable[tuple[str, bytes]]:
    with zipfile.ZipFile(compiled.resources) as resources:
        for name in resources.namelist():
            yield name, resources.read(name)
    yield "classes.dex", dex.read_bytes()
    yield "assets/model.tflite", project.model.read_bytes()
    libraries = project.out / "runtime"
    for library in libraries.glob("lib/*/*.so"):
        yield library.relative_to(libraries).as_posix(), library.read_bytes()


def _pack(path: Path, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as apk:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
            apk.writestr(info, entries[name], compresslevel=9)
