import jax
import numpy as np

from ulzoo.diffusion.times import stratified_times


def test_each_stratum_holds_one_time_with_one_common_offset():
    times = np.asarray(stratified_times(jax.random.key(0), 64))
    assert times.shape == (64,)
    np.testing.assert_array_equal(np.floor(times * 64), np.arange(64))
    # Differences of float32 numbers up to 1.
    np.testing.assert_allclose(np.diff(times), 1 / 64, atol=1e-7)


def test_times_stay_in_the_unit_interval_and_are_uniform_over_keys():
    keys = jax.random.split(jax.random.key(1), 4000)
    times = np.asarray(jax.vmap(lambda key: stratified_times(key, 3))(keys))
    assert times.min() >= 0.0
    assert times.max() <= 1.0
    # Mean and variance of each time over keys: uniform on its third; 5 standard errors of 4000 draws.
    np.testing.assert_allclose(times.mean(axis=0), [1 / 6, 1 / 2, 5 / 6], atol=5 / 3 / np.sqrt(12 * 4000))
