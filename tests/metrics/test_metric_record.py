"""Records of metrics: finite, plain, one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ulzoo.errors import UlzooError
from ulzoo.metrics.base import Record


def test_one_line_of_json():
    record = Record(
        "stage1/heldout/psnr",
        np.float32(24.5),
        "dB",
        {"seed": np.int64(3), "note": "λ\n"},
        (24, np.float64(25)),
        {
            "map": np.arange(4.0).reshape(2, 2),
            "none": None,
            "exact": np.bool_(True),
            "nested": [{"a": (1, 2)}],
        },
    )
    line = record.to_json()
    assert "\n" not in line
    assert json.loads(line) == {
        "name": "stage1/heldout/psnr",
        "value": 24.5,
        "unit": "dB",
        "interval": [24, 25.0],
        "protocol": {"seed": 3, "note": "λ\n"},
        "extra": {"map": [[0.0, 1.0], [2.0, 3.0]], "none": None, "exact": True, "nested": [{"a": [1, 2]}]},
    }


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"value": float("nan")}, "value"),
        ({"interval": (0.0, float("inf"))}, r"interval\.1"),
        ({"extra": {"a": [1.0, {"b": np.array([-np.inf])}]}}, r"extra\.a\.1\.b\.0"),
        ({"protocol": {"scale": float("nan")}}, r"protocol\.scale"),
    ],
)
def test_numbers_are_finite(fields, place):
    with pytest.raises(UlzooError, match=f"stage1/heldout/x: {place} is"):
        Record(**({"name": "stage1/heldout/x", "value": 1.0, "unit": "1", "protocol": {}} | fields))


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="cannot hold set"):
        Record("stage1/heldout/x", 1.0, "1", {"a": {1, 2}})
