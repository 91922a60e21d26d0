"""Verify that an APK is signed and aligned, and contains the runtime, the model and all required classes."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile

from recipe.apk import ABIS
from recipe.project import BuildError, Project
from recipe.tools import APKSIGNER, run

_ANDROID = "{http://schemas.android.com/apk/res/android}"


def verify_apk(project: Project) -> None:
    """Check `project.apk` with the tools of the Android SDK. Raises BuildError if a check fails."""
    signature = run([*APKSIGNER, "verify", "--verbose", project.apk])
    _demand("Verified using v3 scheme (APK Signature Scheme v3): true" in signature, "is not signed (v3)")
    run(["zipalign", "-c", "4", project.apk])
    _check_badging(project)
    _check_contents(project)
    _check_classes(project)


def _check_badging(project: Project) -> None:
    badging = run(["aapt", "dump", "badging", project.apk])
    versions = project.versions
    for line in (
        f"package: name='{project.package}' versionCode='{versions['version-code']}'"
        f" versionName='{versions['version-name']}'",
        f"sdkVersion:'{versions['min-sdk']}'",
        f"targetSdkVersion:'{versions['target-sdk']}'",
        "uses-permission: name='android.permission.CAMERA'",
        f"launchable-activity: name='{project.package}.MainActivity'",
    ):
        _demand(line in badging, f"lacks the line {line}")
    native = re.search(r"^native-code: (.*)$", badging, re.MULTILINE)
    found = sorted(re.findall(r"'([^']+)'", native.group(1))) if native else []
    _demand(found == sorted(ABIS), f"runs on {found}, not on {sorted(ABIS)}")


def _check_contents(project: Project) -> None:
    with zipfile.ZipFile(project.apk) as apk:
        for abi in ABIS:
            library = apk.read(f"lib/{abi}/libtensorflowlite_jni.so")
            _demand(library[:4] == b"\x7fELF", f"contains no ELF library for {abi}")
        entry = apk.getinfo("assets/model.tflite")
        _demand(entry.compress_type == zipfile.ZIP_STORED, "contains a compressed model, which cannot be memory-mapped")
        model = apk.read(entry)
    _demand(model == project.model.read_bytes(), "contains a different model than the app's assets")
    _demand(zipfile.is_zipfile(io.BytesIO(model)), "contains a model without a labels file")


def _check_classes(project: Project) -> None:
    """Check that classes.dex contains all classes that the manifest names, which the compiler does not check."""
    dump = run(["dexdump", project.apk])
    defined = set(re.findall(r"Class descriptor\s*: 'L([^;]+);'", dump))
    root = ElementTree.parse(project.main / "AndroidManifest.xml").getroot()
    named = [element.get(f"{_ANDROID}name", "") for tag in ("application", "activity") for element in root.iter(tag)]
    for name in [*named, "org.tensorflow.lite.Interpreter"]:
        _demand(name.replace(".", "/") in defined, f"lacks the class {name}")


def _demand(holds: bool, problem: str) -> None:
    if not holds:
        raise BuildError(f"the APK {problem}.")
