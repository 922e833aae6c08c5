"""PSNR against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation

from ulzoo.metrics.psnr import CAP, PSNRConfig, mean_squared_errors


def measured(originals, images, **fields):
    evaluation = FakeEvaluation(pairs=(originals, images))
    (record,) = PSNRConfig(**fields).build()(evaluation)
    return record, evaluation


def test_constant_error():
    originals = np.full((3, 4, 5, 1), 100, np.uint8)
    offsets = np.array([1, 10, 50])
    images = (originals + offsets[:, None, None, None]).astype(np.uint8)
    record, evaluation = measured(originals, images, count=7, seed=2)
    assert record.name == "stage1/heldout/psnr"
    assert record.unit == "dB"
    want = 20 * np.log10(255 / offsets)
    # Both are double-precision logarithms.
    assert record.value == pytest.approx(want.mean(), rel=1e-12)
    assert record.interval[0] <= record.value <= record.interval[1]
    assert record.interval[0] >= want.min()
    pooled = 10 * np.log10(255**2 / np.mean(offsets**2))
    assert record.extra["psnr_of_mean_squared_error"] == pytest.approx(pooled, rel=1e-12)
    assert evaluation.calls == [("reconstructions", "heldout", 7, 2, None)]
    assert record.protocol == record.protocol | {"decoder_steps": 4, "images": 3, "seed": 2, "ema": True}


def test_gaussian_noise():
    rng = np.random.default_rng(0)
    originals = np.full((20, 32, 32, 3), 128, np.uint8)
    images = np.rint(originals + rng.normal(0, 8, originals.shape)).astype(np.uint8)
    record, _ = measured(originals, images)
    # Rounding adds 1/12 to the variance; the mean over 61,440 values has a relative error of √(2/61440) = 0.6
    # %, that is 0.025 dB, allowed four times.
    assert record.value == pytest.approx(10 * np.log10(255**2 / (64 + 1 / 12)), abs=0.1)


def test_exact_reconstruction_is_capped():
    originals = np.zeros((2, 4, 4, 1), np.uint8)
    record, _ = measured(originals, originals)
    assert record.value == record.extra["psnr_of_mean_squared_error"] == CAP == record.protocol["cap_db"]
    assert record.extra["exact_images"] == 2
    assert record.interval == (CAP, CAP)


def test_errors_do_not_wrap():
    black, white = np.zeros((1, 2, 2, 1), np.uint8), np.full((1, 2, 2, 1), 255, np.uint8)
    assert mean_squared_errors(black, white) == mean_squared_errors(white, black) == 255**2


@pytest.mark.parametrize("wrong", [np.zeros((2, 4, 4, 1)), np.zeros((1, 4, 4, 1), np.uint8)])
def test_only_like_is_compared_with_like(wrong):
    with pytest.raises(ValueError, match="uint8 arrays of one shape"):
        mean_squared_errors(np.zeros((2, 4, 4, 1), np.uint8), wrong)


def test_one_image_has_no_interval():
    image = np.zeros((1, 4, 4, 1), np.uint8)
    assert measured(image, image)[0].interval is None
