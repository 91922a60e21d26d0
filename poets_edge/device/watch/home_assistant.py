"""Discovery messages from which Home Assistant creates a device with entities for the predictions of `watch`.

There is one message per entity, with the topic `homeassistant/<component>/<device>/<entity>/config`. All versions of
Home Assistant with MQTT discovery support this format: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ONLINE, OFFLINE = "online", "offline"
_PREFIX = "homeassistant"


def discovery_messages(
    device: str, *, name: str, topic: str, labels: Sequence[str], model: str, version: str
) -> dict[str, dict[str, Any]]:
    """Return the discovery messages, by topic, for a camera's entities: label, score, unknown and snapshot.

    Args:
        device: identifier of the device, which consists of letters, digits, `_` and `-`.
        name: name of the device in the user interface.
        topic: prefix of the topics `state`, `status` and `snapshot`.
        labels: all values that the entity "label" can have.
        model: name of the model file.
        version: version of poets_edge.
    """
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "label"): {
            "name": "Label",
            "icon": "mdi:label",
            "device_class": "enum",
            "options": list(labels),
            "state_topic": f"{topic}/state",
            # Home Assistant takes the text None as "no value".
            "value_template": "{{ value_json.label }}",
            "json_attributes_topic": f"{topic}/state",
        },
        ("sensor", "score"): {
            "name": "Score",
            "icon": "mdi:percent",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "state_topic": f"{topic}/state",
            "value_template": "{{ (100 * value_json.score) | round(1) if value_json.score is not none else None }}",
        },
        ("binary_sensor", "unknown"): {
            "name": "Unknown",
            "icon": "mdi:help-circle",
            "state_topic": f"{topic}/state",
            "value_template": "{{ 'ON' if value_json.unknown else 'OFF' }}",
        },
        ("image", "snapshot"): {
            "name": "Snapshot",
            "content_type": "image/jpeg",
            "image_topic": f"{topic}/snapshot",
        },
    }
    shared = {
        "availability_topic": f"{topic}/status",
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "device": {
            "identifiers": [device],
            "name": name,
            "manufacturer": "poets_edge",
            "model": model,
            "sw_version": version,
        },
        "origin": {"name": "poets_edge", "sw_version": version},
    }
    return {
        f"{_PREFIX}/{component}/{device}/{entity}/config": {
            **message,
            "unique_id": f"{device}_{entity}",
            **shared,
        }
        for (component, entity), message in entities.items()
    }
