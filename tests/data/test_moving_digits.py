"""Moving digits: what moves, how, and that an index always gives the same clip."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import shift

from ulzoo.data.digits.source import DigitsSource
from ulzoo.data.moving_digits import MovingDigitsConfig
from ulzoo.data.moving_digits.source import drawn, motion


def test_shapes_labels_and_splits():
    config = MovingDigitsConfig(size=24, frames=6, digit_size=10)
    assert config.io().shape == (1, 6, 24, 24)
    digits = DigitsSource("heldout", 10)
    source = config.open("heldout")
    assert len(source) == len(digits) == 359
    assert len(config.open("train")) == 1438
    record = source[17]
    assert record["image"].shape == (6, 24, 24, 1)
    assert record["image"].dtype == np.uint8
    assert record["label"] == digits[17]["label"]


def test_clips_of_several_digits_have_no_label():
    config = MovingDigitsConfig(digits=2)
    assert config.io().num_classes is None
    assert "label" not in config.open("train")[0]


def test_a_clip_is_a_function_of_its_index_and_training_gives_it_another_motion():
    source = MovingDigitsConfig(frames=4).open("train")
    np.testing.assert_array_equal(source[3]["image"], source[3]["image"])
    moved = source.draw(3, np.random.default_rng(0))["image"]
    assert not np.array_equal(source[3]["image"], moved)
    np.testing.assert_array_equal(moved, source.draw(3, np.random.default_rng(0))["image"])


def test_the_motion_is_straight_and_bounces():
    places = motion(400, 16, (1.5, 1.5), np.random.default_rng(1))
    assert places.min() >= 0
    assert places.max() <= 16
    steps = np.diff(places, axis=0)
    # Away from the edges every step has the same length in each direction; 1.5 pixels together.
    inside = ((places[:-1] > 1.5) & (places[:-1] < 14.5)).all(axis=1)
    assert inside.sum() > 100
    np.testing.assert_allclose(np.hypot(*steps[inside].T), 1.5, rtol=1e-9)
    # It turns round: both directions are seen on both axes.
    assert (steps[inside].min(axis=0) < 0).all()
    assert (steps[inside].max(axis=0) > 0).all()


def test_a_digit_without_room_stays():
    np.testing.assert_array_equal(motion(5, 0, (1, 2), np.random.default_rng(0)), np.zeros((5, 2)))


def test_drawing_agrees_with_scipy():
    digit = DigitsSource("train", 8)[0]["image"][..., 0]
    place = np.array([[3.25, 5.75]])
    canvas = np.zeros((20, 20), np.float32)
    canvas[:8, :8] = digit
    # Order 1 is bilinear; grid-constant: black outside is interpolated with, too. Float32 sums of up to 255.
    wanted = shift(canvas, place[0], order=1, mode="grid-constant")
    np.testing.assert_allclose(drawn(digit, place, 20)[0], wanted, atol=1e-3)


@pytest.mark.parametrize("wrong", [{"digit_size": 40}, {"speed": (3, 1)}, {"frames": 0}])
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(ValidationError):
        MovingDigitsConfig(**wrong)
