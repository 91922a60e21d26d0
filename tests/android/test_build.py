"""Tests of the app built without Gradle: agreement with Python, and a complete and reproducible APK."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from poets_edge.bench.result_files import read_benchmark
from poets_edge.device.classifier import Classifier
from poets_edge.exporting.android import install_model
from recipe.project import BuildError, read_project
from recipe.verify import verify_apk
from tests.android.conftest import BUILD_SECONDS, Built, build, copy_app
from tests.android.resize_sums import lines
from tests.conftest import ROOT, Trained, poets_edge

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


def test_java_scores_equal_python_scores(built: Built) -> None:
    # JUnit's own line; a test that skipped for want of vectors would still be counted in it.
    passed = re.search(r"^OK \((\d+) tests\)$", built.printed, re.MULTILINE)
    assert passed and int(passed.group(1)) >= 50, built.printed
    assert (built.out / "screenshots/portrait.png").stat().st_size > 10_000


def test_compare_reads_benchmarks_from_the_android_app(built: Built, tmp_path: Path) -> None:
    shared = built.out / "screenshots/benchmark.json"
    rows = json.loads(poets_edge("compare", shared, shared, "--json").ok().stdout)["rows"]
    assert rows and all(row["model"].startswith("mobilenet_0.50_224 ") for row in rows)
    [found] = read_benchmark(shared)
    assert found.results and all(result.timings for result in found.results)
    entries = json.loads(shared.read_text())["results"]
    assert [entry["latency_ms"]["count"] for entry in entries] == [
        sum(len(timing.samples_ms) for timing in result.timings) for result in found.results
    ]


def test_resize_checksums_stored_for_the_app_tests_match_those_computed_in_python() -> None:
    committed = ROOT / "android_demo/app/src/test/resources/resize.txt"
    assert committed.read_text() == "".join(lines())


def test_apk_contains_the_model(built: Built, trained: Trained, tmp_path: Path) -> None:
    with zipfile.ZipFile(built.apk) as apk:
        assert apk.testzip() is None
        assert apk.getinfo("assets/model.tflite").compress_type == zipfile.ZIP_STORED
        model = Path(apk.extract("assets/model.tflite", tmp_path))
        abis = {name.split("/")[1] for name in apk.namelist() if name.startswith("lib/")}
    assert model.read_bytes() == trained.model("int8").read_bytes()
    assert Classifier(model).labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert abis == {"arm64-v8a", "armeabi-v7a", "x86_64"}


def test_build_is_reproducible(built: Built, trained: Trained, tmp_path: Path) -> None:
    app, out = copy_app(tmp_path / "elsewhere"), tmp_path / "out"
    install_model(trained.model("int8"), app)
    out.mkdir()
    for listing in (*built.out.glob("*.pom.xml"), *built.out.glob("*.classpath")):
        shutil.copy(listing, out)  # Maven need not be asked again
    again = build(app, out, "apk")
    assert again.apk.read_bytes() == built.apk.read_bytes()
    assert again.printed.strip() == str(again.apk)


def test_verification_refuses_a_changed_apk(built: Built, tmp_path: Path) -> None:
    project = read_project(built.app, tmp_path)
    verify_apk(read_project(built.app, built.out))
    changed = bytearray(built.apk.read_bytes())
    changed[len(changed) // 2] ^= 1
    project.apk.write_bytes(changed)
    with pytest.raises(BuildError, match="apksigner failed"):
        verify_apk(project)


def test_build_refuses_an_app_without_a_model(tools: None, tmp_path: Path) -> None:
    app = copy_app(tmp_path / "android_demo")
    with pytest.raises(AssertionError, match=r"no model\. Put one there with: poets-edge android"):
        build(app, tmp_path / "out", "apk")
