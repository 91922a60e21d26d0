"""Test that each target in the documentation's table of targets has tests."""

from __future__ import annotations

from tests.conftest import ROOT

TESTS = {
    "full-int8 file": "quantize/test_full_int8.py",
    "microcontroller": "exporting/test_microcontroller.py",
    "Arm Ethos-U55, U65, U85": "exporting/test_npu.py",
    "Coral Edge TPU": "exporting/test_npu.py",
    "[Frigate](frigate.md)": "exporting/test_frigate.py",
    "[Home Assistant, MQTT](home-assistant.md)": "device/watch/test_mqtt.py",
    "[Page with LiteRT.js](your-app.md#a-page-with-litertjs)": "web/test_snippets.py",
    "[Page with MediaPipe](your-app.md#a-page-with-mediapipe-tasks)": "web/test_snippets.py",
    "[ONNX](other-formats.md#onnx)": "exporting/test_other_formats.py",
    "[Core ML](other-formats.md#core-ml)": "exporting/test_other_formats.py",
    "[Kotlin and Swift](your-app.md)": "android/test_snippets.py",
}
"""Path of the file that tests a target, relative to `tests`, by the target's entry in the table."""


def test_every_export_target_in_the_documentation_has_a_test() -> None:
    table = (ROOT / "docs/targets.md").read_text("utf-8").partition("| target |")[2].partition("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[0].removeprefix("| ") for row in rows] == list(TESTS)
    assert all(len(row) == 3 for row in rows), "what was verified, and what was not"
    assert all((ROOT / "tests" / path).is_file() for path in TESTS.values())
