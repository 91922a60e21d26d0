"""Download libraries from Maven Central, or from a mirror that is configured for `mvn`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipe.project import BuildError, Project
from recipe.tools import run

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>{package}</groupId>
  <artifactId>demo</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
_DEPENDENCY = """    <dependency>
      <groupId>{group}</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{version}</version>
      <type>{type}</type>
{extra}    </dependency>
"""
_EXCLUSIONS = """      <exclusions>
        <exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>
      </exclusions>
"""


@dataclass(frozen=True)
class Wanted:
    """A file of a library.

    Attributes:
        name: name of the library in the version catalog.
        type: type of the file, such as "jar" or "aar".
        classifier: Maven classifier of the file; "" for none.
        alone: whether to exclude the dependencies of the library.
    """

    name: str
    type: str = "jar"
    classifier: str = ""
    alone: bool = False


def resolve(project: Project, name: str, wanted: Sequence[Wanted]) -> list[Path]:
    """Return the paths of the files of some libraries and their dependencies in Maven's local repository.

    The list is saved in `project.out`, so that later builds do not start Maven.

    Args:
        name: name of this set of libraries, for the files in `project.out`.

    Raises:
        BuildError: Maven cannot download a file.
    """
    pom = project.out / f"{name}.pom.xml"
    listing = project.out / f"{name}.classpath"
    text = _POM.format(package=project.package, dependencies="".join(_dependency(project, one) for one in wanted))
    if not (pom.is_file() and pom.read_text() == text and listing.is_file() and all(_paths(listing))):
        listing.unlink(missing_ok=True)
        pom.write_text(text)
        plugin = f"org.apache.maven.plugins:maven-dependency-plugin:{project.versions['maven-dependency-plugin']}"
        run(["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", pom, f"{plugin}:build-classpath",
             f"-Dmdep.outputFile={listing}"])  # fmt: skip
    paths = [path for path in _paths(listing) if path]
    if not paths:
        raise BuildError(f"Maven found no libraries for {pom}.")
    return paths


def _paths(listing: Path) -> list[Path | None]:
    """Return the paths in a saved list; None for each file that no longer exists."""
    paths = [Path(line) for line in listing.read_text().strip().split(":")]
    return [path if path.is_file() else None for path in paths]


def _dependency(project: Project, wanted: Wanted) -> str:
    library = project.libraries[wanted.name]
    extra = f"      <classifier>{wanted.classifier}</classifier>\n" if wanted.classifier else ""
    extra += _EXCLUSIONS if wanted.alone else ""
    return _DEPENDENCY.format(
        group=library.group,
        artifact=library.artifact,
        version=library.version,
        type=wanted.type,
        extra=extra,
    )
