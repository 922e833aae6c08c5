"""Prediction beside copying and linear motion, where the right numbers are known."""

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation
from scipy.ndimage import shift

from ulzoo.data.moving_digits import MovingDigitsConfig
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.motion import moved_as_seen, moved_on, repeated
from ulzoo.metrics.prediction_psnr import PredictionPSNRConfig, frame_psnr
from ulzoo.metrics.prediction_ssim import PredictionSSIMConfig
from ulzoo.metrics.structural_similarity import structural_similarity


class Predicting(FakeEvaluation):
    def __init__(self, clips, predicted, decoded=None):
        super().__init__(pairs=(clips, clips if decoded is None else decoded))
        self.clips, self.predicted = clips, predicted

    def predictions(self, split, limit, given, seed):
        return self.clips, self.predicted, {"sampler": "fake", "given": given}


def still(levels):
    """Clips whose frame t is one grey: (n, t, 4, 4, 1)."""
    return np.broadcast_to(np.array(levels, np.uint8)[..., None, None, None], (*np.shape(levels), 4, 4, 1))


def test_closed_forms():
    clips = still([[100, 100, 110, 120], [100, 100, 110, 120]])
    predicted = still([[0, 0, 111, 122], [0, 0, 111, 122]])
    decoded = still([[9, 9, 112, 121], [9, 9, 112, 121]])
    config = PredictionPSNRConfig(given=2, horizon=1)
    psnr, gain, gap = config.build(DataIO((1, 4, 4, 4)))(Predicting(clips, predicted, decoded))
    at = lambda error: 20 * np.log10(255 / error)  # noqa: E731
    # What is said of given frames counts for nothing; the horizon is one frame.
    assert psnr.value == pytest.approx(at(1), rel=1e-12)
    assert gain.value == pytest.approx(at(1) - at(10), rel=1e-12)
    np.testing.assert_allclose(psnr.extra["prediction_by_frame"], [at(1), at(2)], rtol=1e-12)
    np.testing.assert_allclose(psnr.extra["copy_of_last_frame_by_frame"], [at(10), at(20)], rtol=1e-12)
    np.testing.assert_allclose(psnr.extra["reconstruction_by_frame"], [at(2), at(1)], rtol=1e-12)
    # One grey is the same wherever it is moved: knowing the motion helps nothing.
    assert gap.value == pytest.approx(at(10) - at(1), rel=1e-12)
    assert gap.extra["gap_to_reconstruction"] == pytest.approx(at(2) - at(1), rel=1e-12)
    assert psnr.name == "stage2/heldout/prediction_psnr"
    assert psnr.protocol == psnr.protocol | {"given": 2, "horizon": 1, "clips": 2, "ema": True}


@pytest.mark.parametrize("pace", [(1, 0), (-1, 2), (0, -2)])
def test_linear_motion_is_exact_for_whole_pixels(pace):
    rng = np.random.default_rng(0)
    clip = np.zeros((7, 40, 40, 1), np.uint8)
    sprite = rng.integers(50, 255, (8, 8, 1))
    for t in range(7):
        y, x = 16 + pace[0] * t, 16 + pace[1] * t
        clip[t, y : y + 8, x : x + 8] = sprite
    np.testing.assert_array_equal(moved_on(clip, 3), clip[3:])


def test_an_oracle_knows_motion_that_is_not_linear():
    rng = np.random.default_rng(0)
    clip = np.zeros((7, 24, 24, 1), np.uint8)
    sprite = rng.integers(50, 255, (8, 8, 1))
    for t, x in enumerate([2, 4, 6, 8, 6, 4, 2]):
        clip[t, 8:16, x : x + 8] = sprite
    np.testing.assert_array_equal(moved_as_seen(clip, 3), clip[3:])
    assert frame_psnr(clip[None, 4:], moved_on(clip, 3)[None, 1:]).max() < 15


def test_motion_between_pixels_is_found_to_a_quarter():
    """Against scipy's bilinear shift, of which only rounding to whole greys is left."""
    rng = np.random.default_rng(1)
    first = np.zeros((20, 20, 1))
    first[6:14, 6:14, 0] = rng.integers(50, 255, (8, 8))
    moved = shift(first, (1.25, -2.5, 0), order=1, mode="nearest")
    clip = np.rint([first, moved]).astype(np.uint8)
    np.testing.assert_array_equal(moved_as_seen(clip, 1)[0], clip[1])


def test_linear_motion_beats_copying_on_moving_digits():
    source = MovingDigitsConfig(size=32, frames=9, speed=(1.0, 1.0)).open("heldout")
    clips = np.stack([source[i]["image"] for i in range(40)])
    moved = frame_psnr(clips[:, 5:], np.stack([moved_on(clip, 5) for clip in clips])).mean()
    copied = frame_psnr(clips[:, 5:], repeated(clips, 5)).mean()
    assert moved > copied + 2


def test_data_without_frames_is_refused():
    with pytest.raises(InterfaceError, match="no frames"):
        PredictionPSNRConfig().build(DataIO((1, 8, 8)))
    with pytest.raises(InterfaceError, match="more than a clip's 8"):
        PredictionPSNRConfig().build(DataIO((1, 8, 8, 8)))


def test_similarity_frame_by_frame():
    """Against the similarity of images, which has its own references."""
    source = MovingDigitsConfig(size=32, frames=9).open("heldout")
    clips = np.stack([source[i]["image"] for i in range(3)])
    noise = np.random.default_rng(0).integers(-20, 21, clips.shape)
    predicted = np.clip(clips + noise, 0, 255).astype(np.uint8)
    config = PredictionSSIMConfig(given=5, horizon=2)
    (record,) = config.build(DataIO((1, 9, 32, 32)))(Predicting(clips, predicted))
    assert (record.name, record.protocol["window"]) == ("stage2/heldout/prediction_ssim", 11)
    pairs = [(clips[:, t], predicted[:, t]) for t in range(5, 9)]
    want = [structural_similarity(*pair, window=11, sigma=1.5).mean() for pair in pairs]
    np.testing.assert_allclose(record.extra["prediction_by_frame"], want, rtol=1e-12)
    assert record.value == pytest.approx(np.mean(want[:2]), rel=1e-12)
    assert (record.extra["reconstruction_by_frame"] == 1).all()
    assert (record.extra["known_motion_by_frame"] > record.extra["copy_of_last_frame_by_frame"]).all()


def test_frames_smaller_than_the_window_are_refused():
    with pytest.raises(InterfaceError, match="a window of 11 pixels on frames of 8 × 8"):
        PredictionSSIMConfig().build(DataIO((1, 16, 8, 8)))
