"""Facts about the app from its Gradle files: versions, libraries and package name; and the paths of its sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


class BuildError(Exception):
    """The build failed; the message is one line and states the remedy."""


@dataclass(frozen=True)
class Library:
    """An artifact in a Maven repository."""

    group: str
    artifact: str
    version: str


@dataclass(frozen=True)
class Project:
    """The app: its folder, and facts from its Gradle files.

    Attributes:
        root: folder that contains settings.gradle.kts.
        out: output folder.
        versions: table [versions] of the version catalog.
        libraries: table [libraries] of the version catalog.
        package: Java package and application id of the app.
    """

    root: Path
    out: Path
    versions: dict[str, str]
    libraries: dict[str, Library]
    package: str

    @property
    def main(self) -> Path:
        return self.root / "app/src/main"

    @property
    def test(self) -> Path:
        return self.root / "app/src/test"

    @property
    def model(self) -> Path:
        """Path of the model in the assets of the app."""
        return self.main / "assets/model.tflite"

    @property
    def apk(self) -> Path:
        return self.out / "poets-edge-demo.apk"


def read_project(root: Path, out: Path) -> Project:
    """Read the Gradle files of the app in `root`. Raises BuildError if they lack a required value."""
    catalog = _read(root / "gradle/libs.versions.toml")
    versions = dict(re.findall(r'^([\w-]+) = "([^"]+)"$', catalog, re.MULTILINE))
    libraries = {
        name: Library(group, artifact, versions[version])
        for name, group, artifact, version in re.findall(
            r'^([\w-]+) = \{ module = "([^":]+):([^"]+)", version\.ref = "([\w-]+)" \}$', catalog, re.MULTILINE
        )
    }
    script = root / "app/build.gradle.kts"
    namespace = re.search(r'^\s*namespace = "([\w.]+)"$', _read(script), re.MULTILINE)
    if namespace is None:
        raise BuildError(f"{script}: the namespace is missing.")
    return Project(root, out, versions, libraries, namespace.group(1))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}.") from None
