"""Prediction beside copying and linear motion, where the right numbers are known."""

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation

from ulzoo.data.moving_digits import MovingDigitsConfig
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.prediction_psnr import PredictionPSNRConfig, frame_psnr, moved_on, repeated


class Predicting(FakeEvaluation):
    def __init__(self, clips, predicted):
        super().__init__()
        self.clips, self.predicted = clips, predicted

    def predictions(self, split, limit, given, seed):
        return self.clips, self.predicted, {"sampler": "fake", "given": given}


def still(levels):
    """Clips whose frame t is one grey: (n, t, 4, 4, 1)."""
    return np.broadcast_to(np.array(levels, np.uint8)[..., None, None, None], (*np.shape(levels), 4, 4, 1))


def test_closed_forms():
    clips = still([[100, 100, 110, 120], [100, 100, 110, 120]])
    predicted = still([[0, 0, 111, 122], [0, 0, 111, 122]])
    config = PredictionPSNRConfig(given=2, horizon=1)
    psnr, gain = config.build(DataIO((1, 4, 4, 4)))(Predicting(clips, predicted))
    at = lambda error: 20 * np.log10(255 / error)  # noqa: E731
    # What is said of given frames counts for nothing; the horizon is one frame.
    assert psnr.value == pytest.approx(at(1), rel=1e-12)
    assert gain.value == pytest.approx(at(1) - at(10), rel=1e-12)
    np.testing.assert_allclose(psnr.extra["prediction_by_frame"], [at(1), at(2)], rtol=1e-12)
    np.testing.assert_allclose(psnr.extra["copy_of_last_frame_by_frame"], [at(10), at(20)], rtol=1e-12)
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
