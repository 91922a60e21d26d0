"""Test of the discovery messages for Home Assistant against its documentation."""

from __future__ import annotations

from poets_edge.device.watch.home_assistant import discovery_messages

SHARED = {
    "availability_topic": "poets-edge/hall/status",
    "payload_available": "online",
    "payload_not_available": "offline",
    "device": {
        "identifiers": ["cam"],
        "name": "Hall",
        "manufacturer": "poets_edge",
        "model": "m.tflite",
        "sw_version": "1.2",
    },
    "origin": {"name": "poets_edge", "sw_version": "1.2"},
}
STATE = {"state_topic": "poets-edge/hall/state"}


def test_discovery_messages_describe_four_entities_of_one_device() -> None:
    found = discovery_messages(
        "cam", name="Hall", topic="poets-edge/hall", labels=["b", "a", "unknown"], model="m.tflite", version="1.2"
    )
    assert found == {
        "homeassistant/sensor/cam/label/config": {
            "name": "Label", "icon": "mdi:label", "device_class": "enum", "options": ["b", "a", "unknown"], **STATE,
            "value_template": "{{ value_json.label }}", "json_attributes_topic": "poets-edge/hall/state",
            "unique_id": "cam_label", **SHARED,
        },
        "homeassistant/sensor/cam/score/config": {
            "name": "Score", "icon": "mdi:percent", "unit_of_measurement": "%", "state_class": "measurement", **STATE,
            "value_template": "{{ (100 * value_json.score) | round(1) if value_json.score is not none else None }}",
            "unique_id": "cam_score", **SHARED,
        },
        "homeassistant/binary_sensor/cam/unknown/config": {
            "name": "Unknown", "icon": "mdi:help-circle", **STATE,
            "value_template": "{{ 'ON' if value_json.unknown else 'OFF' }}", "unique_id": "cam_unknown", **SHARED,
        },
        "homeassistant/image/cam/snapshot/config": {
            "name": "Snapshot", "content_type": "image/jpeg", "image_topic": "poets-edge/hall/snapshot",
            "unique_id": "cam_snapshot", **SHARED,
        },
    }  # fmt: skip
