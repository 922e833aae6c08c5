"""SSIM against closed forms and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation
from references import without_torchvision
from scipy.ndimage import gaussian_filter

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.ssim import SSIMConfig
from ulzoo.metrics.structural_similarity import structural_similarity

RNG = np.random.default_rng(0)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def pairs(shape):
    originals = RNG.integers(0, 256, shape, dtype=np.uint8)
    noise = RNG.integers(-40, 41, shape)
    return originals, np.clip(originals + noise, 0, 255).astype(np.uint8)


CASES = [((2, 24, 31, 3), 11, 1.5), ((2, 16, 16, 1), 7, 0.9)]


@pytest.mark.parametrize(("shape", "window", "sigma"), CASES)
def test_against_filters_of_scipy(shape, window, sigma):
    """Wang et al. 2004, eqs. 13 to 17, by another library's Gaussian filter cut to the places whose window is
    whole."""
    originals, images = pairs(shape)
    half = window // 2

    def mean(values):
        smooth = gaussian_filter(values, (0, sigma, sigma, 0), radius=half, mode="constant")
        return smooth[:, half:-half, half:-half]

    x, y = originals.astype(float), images.astype(float)
    luminance = (2 * mean(x) * mean(y) + C1) / (mean(x) ** 2 + mean(y) ** 2 + C1)
    covariance = mean(x * y) - mean(x) * mean(y)
    variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
    want = (luminance * (2 * covariance + C2) / (variances + C2)).mean((1, 2, 3))
    # Both in double precision.
    found = structural_similarity(originals, images, window=window, sigma=sigma)
    np.testing.assert_allclose(found, want, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "window", "sigma"), CASES)
def test_against_torchmetrics(shape, window, sigma):
    torch = pytest.importorskip("torch")
    reference = without_torchvision("torchmetrics", "torchmetrics.functional.image.ssim")
    originals, images = pairs(shape)
    tensors = [torch.tensor(part).permute(0, 3, 1, 2).double() for part in (originals, images)]
    _, places = reference.structural_similarity_index_measure(
        *tensors, data_range=255.0, sigma=sigma, kernel_size=window, reduction="none", return_full_image=True
    )
    # The reference mirrors the image at its edges and counts those places too, as the paper's own code does
    # not: only places whose window is whole are compared.
    half = window // 2
    want = places[..., half:-half, half:-half].mean((1, 2, 3))
    found = structural_similarity(originals, images, window=window, sigma=sigma)
    # The reference chooses its window by sigma, 11 for 1.5 and 7 for 0.9.
    np.testing.assert_allclose(found, want.numpy(), rtol=1e-4)


def test_equal_images_and_constants():
    originals, images = pairs((2, 12, 12, 3))
    np.testing.assert_allclose(structural_similarity(originals, originals, window=11, sigma=1.5), 1)
    assert (structural_similarity(originals, images, window=11, sigma=1.5) < 1).all()
    one, other = np.full((1, 12, 12, 1), 50, np.uint8), np.full((1, 12, 12, 1), 200, np.uint8)
    # No variance: the similarity of the means alone.
    c = (0.01 * 255) ** 2
    want = (2 * 50 * 200 + c) / (50**2 + 200**2 + c)
    np.testing.assert_allclose(structural_similarity(one, other, window=11, sigma=1.5), want, rtol=1e-9)


def test_metric():
    originals, images = pairs((9, 12, 12, 1))
    evaluation = FakeEvaluation(pairs=(originals, images), heldout=(originals, None))
    (record,) = SSIMConfig(count=9).build(DataIO((1, 12, 12)))(evaluation)
    want = structural_similarity(originals, images, window=11, sigma=1.5)
    # Kept as float32.
    assert record.value == pytest.approx(want.mean(), rel=1e-6)
    assert record.name == "stage1/heldout/ssim"
    assert record.interval[0] < record.value < record.interval[1]
    how = record.protocol
    assert (how["images"], how["window"], how["decoder_steps"]) == (9, 11, 4)
    assert how["reference"]["images"] == 9


def test_clips_are_compared_frame_by_frame():
    originals, images = pairs((3, 5, 12, 14, 1))
    evaluation = FakeEvaluation(pairs=(originals, images), heldout=(originals, None))
    (record,) = SSIMConfig(count=3).build(DataIO((1, 5, 12, 14)))(evaluation)
    clips = zip(originals, images, strict=True)
    each = [structural_similarity(*clip, window=11, sigma=1.5) for clip in clips]
    np.testing.assert_allclose(record.extra["by_frame"], np.mean(each, 0), rtol=1e-6)
    assert record.value == pytest.approx(np.mean(each), rel=1e-6)


def test_mistakes():
    with pytest.raises(InterfaceError, match="window: a window of 11 pixels on images of 8 × 9"):
        SSIMConfig().build(DataIO((1, 8, 9)))
    with pytest.raises(InterfaceError, match="is of images"):
        SSIMConfig().build(DataIO((1, 16)))
    with pytest.raises(InterfaceError, match="window: a window of 11 pixels on images of 8 × 16"):
        SSIMConfig().build(DataIO((1, 4, 8, 16)))
    with pytest.raises(ValueError, match="must be odd, got 4"):
        SSIMConfig(window=4)
