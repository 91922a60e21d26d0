"""What the app's own files state about it: versions, libraries, package name, where its sources lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


class BuildError(Exception):
    """The build cannot go on; the message is one line and says what to do."""


@dataclass(frozen=True)
class Library:
    """One artifact of a Maven repository."""

    group: str
    artifact: str
    version: str


@dataclass(frozen=True)
class Project:
    """The app in a folder.

    Attributes:
        root: the folder that holds settings.gradle.kts.
        out: where everything that is built goes.
        versions: the version catalog's [versions].
        libraries: the version catalog's [libraries].
        package: the app's Java package and application id.
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
        """The model that goes into the app."""
        return self.main / "assets/model.tflite"

    @property
    def apk(self) -> Path:
        return self.out / "poets-edge-demo.apk"


def read_project(root: Path, out: Path) -> Project:
    """Read the Gradle files of the app in `root`. Raises BuildError where they are not as expected."""
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
        raise BuildError(f"{script}: states no namespace.")
    return Project(root, out, versions, libraries, namespace.group(1))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}.") from None
