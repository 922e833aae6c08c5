"""The packaged digits: origin, split, resizing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import ulzoo.data.digits
from ulzoo.data.digits import DigitsConfig
from ulzoo.data.source import Dataset

FOLDER = Path(ulzoo.data.digits.__file__).parent


def test_data_is_what_the_readme_says():
    with np.load(FOLDER / "digits.npz", allow_pickle=False) as data:
        pixels, label, heldout = data["pixels"], data["label"], data["heldout"]
    assert pixels.shape == (1797, 8, 8)
    assert pixels.max() == 16
    digest = hashlib.sha256(pixels.tobytes() + label.tobytes()).hexdigest()
    assert digest in (FOLDER / "README.md").read_text()
    for digit in range(10):
        assert (heldout[label == digit] == (np.arange((label == digit).sum()) % 5 == 2)).all()


def test_splits_and_records():
    config = DigitsConfig(size=12)
    assert isinstance(config, Dataset)
    assert config.io().shape == (1, 12, 12)
    assert config.io().num_classes == 10
    train, heldout = config.open("train"), config.open("heldout")
    assert (len(train), len(heldout)) == (1438, 359)
    record = heldout[7]
    assert record["image"].shape == (12, 12, 1)
    assert (record["image"].dtype, record["label"].dtype, record["index"].dtype) == (
        np.uint8,
        np.int32,
        np.int32,
    )
    assert record["index"] == 7
    assert heldout.skipped == ()
    held = {heldout[i]["image"].tobytes() for i in range(len(heldout))}
    # The collection itself holds no duplicates across the splits.
    assert not any(train[i]["image"].tobytes() in held for i in range(len(train)))


def test_original_size_is_exact():
    source = DigitsConfig(size=8).open("train")
    with np.load(FOLDER / "digits.npz", allow_pickle=False) as data:
        first = data["pixels"][~data["heldout"]][0]
    np.testing.assert_array_equal(source[0]["image"][..., 0], np.rint(first.astype(float) * 255 / 16))


def test_enlarging_keeps_ink():
    small, large = DigitsConfig(size=8).open("heldout"), DigitsConfig(size=32).open("heldout")
    ink = [[source[i]["image"].mean() for i in range(50)] for source in (small, large)]
    # Bicubic enlargement keeps the mean but for clipped overshoot and the borders: a few grey levels.
    np.testing.assert_allclose(ink[0], ink[1], atol=6)


@pytest.mark.parametrize("size", [7, 257])
def test_size_is_bounded(size):
    with pytest.raises(ValidationError):
        DigitsConfig(size=size)
