import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ulzoo.components.schedules.cosine import CosineConfig
from ulzoo.components.schedules.interpolated_cosine import InterpolatedCosineConfig
from ulzoo.components.schedules.linear import LinearConfig
from ulzoo.components.schedules.shifted_cosine import ShiftedCosineConfig
from ulzoo.diffusion.sampling import levels
from ulzoo.diffusion.schedules import negative_slope
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import ScheduleIO

TIMES = np.linspace(0.0, 1.0, 101, dtype=np.float32)

configs = st.one_of(
    st.just(LinearConfig),
    st.just(CosineConfig),
    st.builds(
        lambda noise, image: lambda **ends: ShiftedCosineConfig(noise_d=noise, image_d=image, **ends),
        st.integers(8, 512),
        st.integers(8, 512),
    ),
    st.builds(
        lambda low, more, image: (
            lambda **ends: InterpolatedCosineConfig(
                noise_d_low=low, noise_d_high=low + more, image_d=image, **ends
            )
        ),
        st.integers(16, 256),
        st.integers(0, 256),
        st.integers(16, 512),
    ),
)


@settings(max_examples=30, deadline=None)
@given(make=configs, log_snr_max=st.floats(1.0, 20.0), log_snr_min=st.floats(-20.0, -5.0))
def test_every_schedule_falls_between_exact_ends_and_inverts(make, log_snr_max, log_snr_min):
    schedule = make(log_snr_min=log_snr_min).build(ScheduleIO(log_snr_max))
    times = jnp.asarray(TIMES)
    log_snr = schedule(times)
    assert log_snr[0] == np.float32(log_snr_max)
    assert log_snr[-1] == np.float32(log_snr_min)
    assert (jnp.diff(log_snr) < 0).all()
    slope = negative_slope(schedule, times)
    assert (slope > 0).all()
    assert jnp.isfinite(slope).all()
    # A few units of float32 rounding of t itself, and of λ divided by the slope there.
    tolerance = 5e-7 + 5e-6 / np.asarray(slope)
    assert (np.abs(schedule.inverse(log_snr) - times) <= tolerance).all()


def test_cosine_is_the_published_curve():
    schedule = CosineConfig(log_snr_min=-10.0).build(ScheduleIO(10.0))
    first, last = (math.atan(math.exp(-0.5 * end)) for end in (10.0, -10.0))
    expected = -2.0 * np.log(np.tan(first + (last - first) * TIMES.astype(np.float64)))
    # Times are float32: near the ends the slope of about 500 turns 6e-8 of time into 3e-5.
    np.testing.assert_allclose(schedule(jnp.asarray(TIMES)), expected, atol=1e-4)


@pytest.mark.parametrize(("noise_d", "image_d"), [(64, 256), (64, 64), (64, 16)])
def test_shift_is_that_of_simple_diffusion_between_its_ends(noise_d, image_d):
    shift = 2.0 * math.log(noise_d / image_d)
    wide = CosineConfig(log_snr_min=-10.0 - shift, log_snr_max=10.0 - shift).build(ScheduleIO())
    config = ShiftedCosineConfig(noise_d=noise_d, image_d=image_d, log_snr_max=10.0)
    times = jnp.asarray(TIMES)
    # The same arithmetic in another order.
    np.testing.assert_allclose(config.build(ScheduleIO())(times), wide(times) + shift, atol=1e-5)


def test_interpolated_without_a_difference_is_the_shifted_schedule():
    times = jnp.asarray(TIMES)
    interpolated = InterpolatedCosineConfig(image_d=256, noise_d_low=64, noise_d_high=64)
    shifted = ShiftedCosineConfig(image_d=256, noise_d=64)
    np.testing.assert_allclose(
        interpolated.build(ScheduleIO(5.0))(times), shifted.build(ScheduleIO(5.0))(times), atol=1e-5
    )


def test_interpolated_moves_from_the_high_shift_to_the_low_one():
    schedule = InterpolatedCosineConfig(
        image_d=512, noise_d_low=32, noise_d_high=256, log_snr_min=-20.0, log_snr_max=20.0
    ).build(ScheduleIO())
    low, high = (2.0 * math.log(d / 512) for d in (32, 256))
    times = np.linspace(0.1, 0.9, 9)
    expected = -2.0 * np.log(np.tan(0.5 * np.pi * times)) + times * low + (1.0 - times) * high
    # Cutting the cosine at ±20 moves its angle by at most e^(−20 + 5)/2 and its log by ten times that.
    np.testing.assert_allclose(schedule(jnp.asarray(times, jnp.float32)), expected, atol=1e-2)


@pytest.mark.parametrize(
    "config",
    [
        LinearConfig(),
        CosineConfig(),
        ShiftedCosineConfig(noise_d=64, image_d=256),
        InterpolatedCosineConfig(image_d=256, noise_d_low=32, noise_d_high=128),
    ],
)
def test_slopes_match_finite_differences_also_of_the_inverse(config):
    with jax.enable_x64(True):
        schedule = config.build(ScheduleIO(5.0))
        times = jnp.asarray([0.1, 0.37, 0.5, 0.92])
        step = 1e-5
        difference = (schedule(times - step) - schedule(times + step)) / (2 * step)
        slope = negative_slope(schedule, times)
        inverse_slope = np.asarray(jax.vmap(jax.grad(schedule.inverse))(schedule(times)))
        slope, difference = np.asarray(slope), np.asarray(difference)
    # Central differences err by step² times the third derivative, of size 1e3 near the ends.
    np.testing.assert_allclose(slope, difference, rtol=1e-6)
    np.testing.assert_allclose(inverse_slope, -1.0 / slope, rtol=1e-6)


def test_slope_at_the_ends_is_the_curves_own():
    schedule = LinearConfig().build(ScheduleIO(5.0))
    np.testing.assert_array_equal(negative_slope(schedule, jnp.asarray([0.0, 0.5, 1.0])), 15.0)


def test_the_latents_noise_is_one_number():
    assert LinearConfig().build(ScheduleIO(5.0)).log_snr_max == 5.0
    assert LinearConfig(log_snr_max=5.0).build(ScheduleIO(5.0)).log_snr_max == 5.0
    assert LinearConfig().build(ScheduleIO()).log_snr_max == 10.0
    assert LinearConfig(log_snr_max=8.0).build(ScheduleIO()).log_snr_max == 8.0
    with pytest.raises(InterfaceError, match=r"log_snr_max is 8, but the latent's log-SNR is 5"):
        LinearConfig(log_snr_max=8.0).build(ScheduleIO(5.0))


def test_ends_out_of_order_are_refused():
    with pytest.raises(InterfaceError, match="log_snr_min must be below log_snr_max, got -2 and -3"):
        CosineConfig(log_snr_min=-2.0).build(ScheduleIO(-3.0))
    with pytest.raises(InterfaceError, match="noise_d_low and noise_d_high are too far apart"):
        InterpolatedCosineConfig(image_d=64, noise_d_low=1, noise_d_high=10_000).build(ScheduleIO(5.0))
    with pytest.raises(ValidationError, match="must be at least noise_d_low = 64"):
        InterpolatedCosineConfig(image_d=64, noise_d_low=64, noise_d_high=32)


def test_levels_rise_from_end_to_end_at_equal_times():
    schedule = CosineConfig().build(ScheduleIO(5.0))
    grid = levels(schedule, 7)
    assert grid.shape == (8,)
    assert grid[0] == -10.0
    assert grid[-1] == 5.0
    # Rounding of float32 times.
    np.testing.assert_allclose(schedule.inverse(grid), np.arange(7, -1, -1) / 7, atol=1e-6)
    with pytest.raises(InterfaceError, match="steps must be at least 1, got 0"):
        levels(schedule, 0)
