"""Tests of the counts of photos that the unknown-photo detector rejects."""

from __future__ import annotations

import numpy as np
import pytest

from poets_edge.device.unknown import Refused


def test_rejected_photos_are_counted_with_a_wilson_interval() -> None:
    distances = np.array([0.0, 1.0] * 45 + [1.0] + [1.0001, 2.0, 50.0] * 3, np.float32)
    found = Refused.of(distances)
    # 95 % Wilson interval of 9 of 100: 4.8 to 16.2 %
    assert found.to_json() == {
        "refused": 9, "photos": 100, "share": 0.09, "interval95": pytest.approx([0.048073, 0.162262], abs=1e-6),
    }  # fmt: skip
    assert str(found) == "9 of 100 photos (9.0 %, 95 % interval 4.8 to 16.2)"
    assert Refused.of(distances[:0]).share is None
