"""Tests of the app's Gradle files, manifest and sources without access to Google's Maven."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from recipe.project import BuildError, read_project
from tests.android.conftest import DEMO, copy_app

ANDROID = "{http://schemas.android.com/apk/res/android}"
MAIN = DEMO / "app/src/main"
SCRIPTS = ("settings.gradle.kts", "build.gradle.kts", "app/build.gradle.kts")


def read(name: str) -> str:
    return (DEMO / name).read_text(encoding="utf-8")


def java_sources(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.java"))
    assert found
    return found


def test_gradle_scripts_refer_only_to_entries_of_the_version_catalog() -> None:
    catalog = read("gradle/libs.versions.toml")
    known = {
        f"{prefix}{name.replace('-', '.')}"
        for section, prefix in (("versions", "versions."), ("libraries", ""), ("plugins", "plugins."))
        for name in re.findall(r"^([\w-]+) =", catalog.split(f"[{section}]")[1].split("\n[")[0], re.MULTILINE)
    }
    used = {
        name.removesuffix(".get")
        for script in SCRIPTS
        for name in re.findall(r"\blibs\.([\w.]+?)(?=\(\)|\)|\.get\(\))", read(script))
    }
    assert len(used) >= 12
    assert used <= known, used - known


def test_library_versions_are_stated_only_in_the_version_catalog() -> None:
    project = read_project(DEMO, Path())
    for script in SCRIPTS:
        assert not re.search(r"\d+\.\d+", read(script)), f"{script} states a version"
    for library in project.libraries.values():
        assert library.version in project.versions.values()
    # Every entry of the catalog is used by Gradle's scripts or the build without Gradle.
    users = "".join(read(script) for script in SCRIPTS) + "".join(
        path.read_text(encoding="utf-8") for path in sorted((DEMO / "recipe").glob("*.py"))
    )
    catalog = read("gradle/libs.versions.toml")
    for name in project.versions:
        used = f'version.ref = "{name}"' in catalog or f'"{name}"' in users or f"['{name}']" in users
        assert used or f"libs.versions.{name.replace('-', '.')}" in users, f"{name} is without use"


def test_gradle_uses_a_litert_runtime_aligned_to_16_kb_pages() -> None:
    version = read_project(DEMO, Path()).libraries["litert"].version
    assert tuple(map(int, version.split("."))) >= (1, 4)
    assert "implementation(libs.litert)" in read("app/build.gradle.kts")


@pytest.mark.parametrize("script", SCRIPTS)
def test_gradle_scripts_have_balanced_brackets(script: str) -> None:
    depth: list[str] = []
    for character in re.sub(r'"[^"\n]*"|//[^\n]*', "", read(script)):
        if character in "({[":
            depth.append(character)
        elif character in ")}]":
            assert depth and depth.pop() + character in ("()", "{}", "[]")
    assert not depth


def test_manifest_requires_no_permission_except_the_camera_permission() -> None:
    root = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    assert "package" not in root.attrib  # Gradle refuses the attribute; build.py adds it
    permissions = [element.get(f"{ANDROID}name") for element in root.iter("uses-permission")]
    assert permissions == ["android.permission.CAMERA"]
    (feature,) = root.iter("uses-feature")
    assert feature.get(f"{ANDROID}required") == "false"
    (activity,) = root.iter("activity")
    assert activity.get(f"{ANDROID}exported") == "true"  # required by Android 12
    package = read_project(DEMO, Path()).package
    for element in (*root.iter("application"), *root.iter("activity")):
        name = element.get(f"{ANDROID}name", "")
        assert name.startswith(f"{package}.")
        assert (MAIN / "java" / name.replace(".", "/")).with_suffix(".java").is_file()


def test_app_texts_are_string_resources_and_every_string_resource_is_used() -> None:
    texts = set(re.findall(r'<(?:string|plurals) name="(\w+)"', read("app/src/main/res/values/strings.xml")))
    users = "".join(path.read_text(encoding="utf-8") for path in sorted(MAIN.rglob("*.*ml")))
    users += "".join(path.read_text(encoding="utf-8") for path in java_sources(MAIN))
    used = set(re.findall(r"(?:@string/|R\.string\.|R\.plurals\.)(\w+)", users))
    assert used == texts
    for layout in sorted((MAIN / "res").glob("layout*/*.xml")):
        assert not re.search(r'android:(?:text|contentDescription)="(?!@)', layout.read_text()), layout


def test_dark_theme_defines_every_color_except_the_icon_color() -> None:
    def colors(folder: str) -> set[str]:
        return set(re.findall(r'<color name="(\w+)"', read(f"app/src/main/res/{folder}/colors.xml")))

    assert colors("values") - colors("values-night") == {"icon_background"}


def test_core_package_does_not_import_android() -> None:
    for source in java_sources(MAIN / "java/org/poetsedge/demo/core"):
        assert not re.search(r"^import (android|org\.tensorflow)", source.read_text(), re.MULTILINE), source
    interpreters = [
        source.name
        for source in java_sources(MAIN)
        if re.search(r"^import org\.tensorflow", source.read_text(), re.MULTILINE)
    ]
    assert interpreters == ["TfliteModel.java"]


def test_read_project_reports_a_damaged_project_in_one_line(tmp_path: Path) -> None:
    app = copy_app(tmp_path / "app")
    (app / "gradle/libs.versions.toml").unlink()
    with pytest.raises(BuildError, match=r"libs\.versions\.toml: No such file"):
        read_project(app, tmp_path)
