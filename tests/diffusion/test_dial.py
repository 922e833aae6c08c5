"""The dial on simulated plants: rates that follow a loss factor late, unevenly and noisily."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ulzoo.diffusion.dial import (
    GAIN,
    LARGEST_ERROR,
    running_mean,
    turned,
)

WITHIN = (-4.6, 6.9)
START = 0.7


def plant(level, *, gain, most=400.0):
    """Rate in nats that networks would settle at: rises with the level, and levels off."""
    return most * jax.nn.sigmoid(gain * (level - 2.0))


@partial(jax.jit, static_argnames=("steps", "settling"))
def steered(target, gain, lag, noise, steps, settling, start):
    """(levels, rates) of `steps` steps in closed loop; the rate follows after 8 steps, through two lags."""
    delay = 8

    def step(carry, key):
        level, mean, inner, rate, past, i = carry
        inner = inner + (plant(past[0], gain=gain) - inner) / lag
        rate = rate + (inner - rate) / (lag / 3)
        measured = rate * (1.0 + noise * jax.random.normal(key))
        after = running_mean(mean, measured, i, settling / 5)
        level = turned(level, mean, after, target, settling, WITHIN)
        past = jnp.concatenate([past[1:], level[None]])
        return (level, after, inner, rate, past, i + 1), (level, rate)

    level = jnp.asarray(start, jnp.float32)
    first = plant(level, gain=gain)
    carry = (level, first, first, first, jnp.full(delay, level), jnp.zeros((), jnp.int32))
    return jax.lax.scan(step, carry, jax.random.split(jax.random.key(0), steps))[1]


@pytest.mark.parametrize("target", [12.0, 40.0, 120.0])
@pytest.mark.parametrize("lag", [30.0, 60.0, 90.0])
def test_it_settles_on_the_target_over_a_decade(target, lag):
    """Two lags in a row, together up to the time that the dial was told; noise as of a batch of 64."""
    first = float(plant(START, gain=0.8))
    _, rates = steered(target, 0.8, lag, 0.08, 2000, 120, START)
    # 8 % of noise, in means of 24 steps, moves the level by some 3 %; the rate follows with a gain below 1.
    assert np.abs(rates[-400:] / target - 1).max() < 0.05
    assert abs(np.mean(rates[-400:]) / target - 1) < 0.01
    # Damped: on its way it does not overshoot by more than a third, of the rate.
    assert float(rates.max()) < 1.35 * max(target, first)
    assert float(rates.min()) > min(target, first) / 1.35


def test_a_plant_twice_as_steep_is_held_too():
    _, rates = steered(60.0, 1.6, 60.0, 0.05, 2000, 120, START)
    assert np.abs(rates[-400:] / 60 - 1).max() < 0.08


def test_steps_too_small_for_float32_still_add_up():
    """Of a long stage: at the end the integral part is smaller than the rounding of the level."""
    _, rates = steered(60.0, 0.8, 6000.0, 0.08, 100_000, 6000, START)
    assert np.abs(rates[-10_000:] / 60 - 1).max() < 0.02


def test_out_of_reach_it_stays_at_its_bounds_and_comes_back_at_once():
    level, mean = jnp.asarray(START), jnp.asarray(100.0)
    for _ in range(40):
        level = turned(level, mean, mean, jnp.asarray(1e6), 2, WITHIN)
    assert float(level) == np.float32(WITHIN[1])
    # Nothing has been wound up in all that time: the first step with the rate above the target turns back.
    assert float(turned(level, mean, mean, jnp.asarray(90.0), 2, WITHIN)) < float(level)
    for _ in range(40):
        level = turned(level, mean, mean, jnp.asarray(1e-3), 2, WITHIN)
    assert float(level) == np.float32(WITHIN[0])


def test_one_step_is_the_formula():
    level, before, rate, target, settling = 0.3, 90.0, 99.0, 100.0, 25.0
    errors = math.log(before / target), math.log(rate / target)
    expected = level - GAIN * ((errors[1] - errors[0]) + errors[1] / settling)
    # Float32.
    found = turned(*map(jnp.asarray, (level, before, rate, target)), settling, WITHIN)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rate", [0.0, -5.0, 1e-30, 1e30])
def test_a_rate_that_stays_wild_turns_the_dial_no_faster_than_the_largest_error(rate):
    level, target, rate = jnp.asarray(1.0), jnp.asarray(100.0), jnp.asarray(rate)
    moved = float(turned(level, rate, rate, target, 10.0, WITHIN)) - 1.0
    # Rounding of float32.
    assert abs(moved) == pytest.approx(GAIN * LARGEST_ERROR / 10, rel=1e-5)


def test_the_mean_is_plain_at_first_and_forgets_later():
    mean = jnp.zeros(())
    for step, measured in enumerate([4.0, 8.0, 6.0]):
        mean = running_mean(mean, jnp.asarray(measured), jnp.asarray(step), 10.0)
    assert float(mean) == pytest.approx(6.0)
    late = running_mean(mean, jnp.asarray(16.0), jnp.asarray(5000), 10.0)
    assert float(late) == pytest.approx(7.0)
    for bad in (jnp.nan, jnp.inf):
        assert float(running_mean(mean, jnp.asarray(bad), jnp.asarray(5000), 10.0)) == float(mean)
